/**
 * Two pods on one routing node, without an agent: the smallest setup in which real packets are
 * forwarded.
 */
import { execFileSync } from 'node:child_process';
import { Netns } from '../../src/sys/netns.ts';

export class TwoPods implements Disposable {
  readonly node = Netns.create();
  readonly client = Netns.create();
  readonly server = Netns.create();
  static readonly CLIENT = '10.0.1.2';
  static readonly SERVER = '10.0.2.2';

  constructor() {
    this.sh(
      this.node,
      `ip link add client type veth peer name eth0 netns ${this.client.path}
       ip link add server type veth peer name eth0 netns ${this.server.path}
       ip addr add 10.0.1.1/24 dev client; ip link set client up
       ip addr add 10.0.2.1/24 dev server; ip link set server up
       echo 1 > /proc/sys/net/ipv4/ip_forward`,
    );
    const pod = (address: string, gateway: string) =>
      `ip addr add ${address}/24 dev eth0; ip link set eth0 up; ip link set lo up; ip route add default via ${gateway}`;
    this.sh(this.client, pod(TwoPods.CLIENT, '10.0.1.1'));
    this.sh(this.server, pod(TwoPods.SERVER, '10.0.2.1'));
  }

  /** Runs a shell script in a namespace and returns its output. Throws if it fails. */
  sh(where: Netns, script: string): string {
    return where.run(() => execFileSync('sh', ['-ec', script], { encoding: 'utf8' }));
  }

  [Symbol.dispose](): void {
    for (const namespace of [this.client, this.server, this.node]) namespace.close();
  }
}
