/**
 * Pods behind a node, as network namespaces, for tests of how the kernel forwards packets under our
 * rules.
 */
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { Netns } from '../../../src/sys/netns.ts';
import { patience } from '../../patience.ts';
import type { Outcome, Request } from './peer.ts';

/** Long enough for a machine under load to answer. */
const PATIENCE_MS = patience(10_000);
/** Long enough for an undropped packet's reply. Counters show a drop too. */
const SILENCE_MS = 150;

export const root = process.getuid?.() === 0;
/** Appended to the names of skipped tests. */
export const needsRoot = root ? '' : ' (needs root: skipped)';

/** Returns the output of a shell command in a namespace. */
export function shell(netns: Netns, command: string, input = ''): string {
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` };
  return netns.run(() => execFileSync('sh', ['-ec', command], { encoding: 'utf8', input, env, stdio: 'pipe' }));
}

export type PodName = 'a' | 'b' | 'c';

/** Returns 10.1.N.2 or fd00:N::2, N being 1 for a, 2 for b, 3 for c. */
export function addressOf(pod: PodName, family: 4 | 6): string {
  const number = ' abc'.indexOf(pod);
  return family === 4 ? `10.1.${number}.2` : `fd00:${number}::2`;
}

export class Pods {
  readonly node: Netns;
  readonly #pods: ReadonlyMap<PodName, { netns: Netns; peer: ChildProcess }>;

  private constructor(node: Netns, pods: ReadonlyMap<PodName, { netns: Netns; peer: ChildProcess }>) {
    this.node = node;
    this.#pods = pods;
  }

  static async create(): Promise<Pods> {
    const node = Netns.create();
    shell(
      node,
      'ip link set lo up; echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding',
    );
    const pods = new Map<PodName, { netns: Netns; peer: ChildProcess }>();
    for (const name of ['a', 'b', 'c'] as const) {
      const netns = Netns.create();
      const [ipv4, ipv6] = [addressOf(name, 4), addressOf(name, 6)];
      const [gateway4, gateway6] = [ipv4.replace(/2$/, '1'), ipv6.replace(/2$/, '1')];
      shell(node, `ip link add pod-${name} type veth peer name eth0 netns ${netns.path}; ip link set pod-${name} up`);
      shell(node, `ip addr add ${gateway4}/24 dev pod-${name}; ip addr add ${gateway6}/64 dev pod-${name} nodad`);
      shell(netns, `ip link set lo up; ip link set eth0 up; ip addr add ${ipv4}/24 dev eth0`);
      shell(netns, `ip addr add ${ipv6}/64 dev eth0 nodad; ip route add default via ${gateway4}`);
      shell(netns, `ip -6 route add default via ${gateway6}`);
      const peer = netns.run(() => fork(new URL('peer.ts', import.meta.url), { execArgv: ['--no-warnings'] }));
      await once(peer, 'message');
      pods.set(name, { netns, peer });
    }
    return new Pods(node, pods);
  }

  /**
   * Returns the outcome of a TCP connection or a UDP datagram from one pod to port 80 of another,
   * or of the first datagram of a flood. With `silence` it waits only briefly.
   */
  async request(
    from: PodName,
    to: PodName,
    protocol: Request['protocol'],
    family: 4 | 6,
    expectSilence = false,
  ): Promise<Outcome> {
    const peer = this.#pods.get(from)?.peer as ChildProcess;
    const patience = expectSilence ? SILENCE_MS : PATIENCE_MS;
    peer.send({ protocol, address: addressOf(to, family), patience } satisfies Request);
    const [outcome] = await once(peer, 'message');
    return outcome as Outcome;
  }

  close(): void {
    for (const { netns, peer } of this.#pods.values()) {
      peer.disconnect();
      netns.close();
    }
    this.node.close();
  }
}
