/**
 * Rules of other software in the forward hook see the packets that podfence judges as if podfence
 * were not there.
 */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { LabHost } from '../../src/lab/lab.ts';
import { close, SOCK_DGRAM } from '../../src/sys/libc.ts';
import { receiveFrom, sendTo, socketAddress, tryBind } from '../../src/sys/sockets.ts';
import { describeAsRoot } from '../root.ts';
import { Connections } from '../scenarios/connections.ts';
import { AgentWorld } from './agent-world.ts';
import { open } from './denied-traffic.ts';
import { useVariant } from './iptables-variant.ts';
import { FRIEND_ALLOWED } from './policies.ts';

/**
 * The value of the clamp, and what is left of it beside TCP's timestamps (RFC 7323, appendix A).
 */
const CLAMP = 1000;
const MSS = 988;
const PORT = 7001;
/** Port of datagrams that the policies allow and a foreign rule drops. */
const DROPPED = 7999;
const NFT_TABLE = 'nft add table inet foreign; nft delete table inet foreign';

describeAsRoot('Rules of other software', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = await AgentWorld.start([FRIEND_ALLOWED]);
  });
  afterEach(async () => {
    await world.killAgents();
    for (const tool of ['iptables-nft', 'iptables-legacy', 'ip6tables-nft', 'ip6tables-legacy']) {
      for (const table of ['security', 'mangle'])
        await world.onNode('sh', '-c', `${tool} -t ${table} -F; ${tool} -t ${table} -X`);
    }
    await world.onNode('sh', '-c', `ipset destroy; ${NFT_TABLE}`);
    world.environment = {};
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  test.each(['nft', 'legacy'] as const)(
    'in FORWARD of the table mangle of iptables-%s: an MSS clamp, a counter and a drop apply to connections of isolated pods',
    async (variant) => {
      useVariant(world, variant);
      const rule = (words: string) =>
        world.onNode(`iptables-${variant}`, '-t', 'mangle', '-A', 'FORWARD', ...words.split(' '));
      await rule(`-p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss ${CLAMP}`);
      await rule(`-p tcp --dport ${PORT} --tcp-flags SYN,ACK SYN`);
      await rule(`-p udp --dport ${DROPPED} -j DROP`);
      await world.startAgent();
      using friend = new Connections(world.lab, 'shop/friend', 'shop/server', PORT);
      await friend.flow();
      using datagrams = new Datagrams(world.lab.pod('shop/friend'), world.lab.pod('shop/server'));
      datagrams.send();
      // These are judged after the datagrams, by the same queue.
      await friend.flow();
      const listed = await world.onNode(`iptables-${variant}`, '-t', 'mangle', '-nvxL', 'FORWARD');
      expect({
        serverSends: await mssOf(world, 'shop/server', `sport = :${PORT}`),
        clientSends: await mssOf(world, 'shop/friend', `dport = :${PORT}`),
        counted: new RegExp(`^ +(\\d+) .* dpt:${PORT} flags:`, 'm').exec(listed)?.[1],
        notDropped: datagrams.received(),
      }).toEqual({ serverSends: MSS, clientSends: MSS, counted: '1', notDropped: 0 });
    },
  );

  test('in an nftables chain after podfence’s queue at the same hook see the packets that it has judged', async () => {
    const chain =
      'nft add table inet foreign; nft add chain inet foreign behind { type filter hook forward priority -149 \\; }';
    await world.onNode(
      'sh',
      '-c',
      `${chain}; nft add rule inet foreign behind tcp dport ${PORT} tcp flags '& (syn | ack)' == syn counter`,
    );
    await world.startAgent('--deny', 'reject');
    using friend = new Connections(world.lab, 'shop/friend', 'shop/server', PORT);
    await friend.flow();
    expect(await world.onNode('nft', 'list', 'table', 'inet', 'foreign')).toContain('counter packets 1 ');
  });
});

/**
 * Returns the largest segment, in bytes, that the pod sends on the TCP connection that ss(8) finds
 * by `filter`.
 */
async function mssOf({ lab }: AgentWorld, pod: string, filter: string): Promise<number> {
  const { stdout } = await lab.exec(lab.pod(pod), ['ss', '-tinO', ...filter.split(' ')]);
  return Number(/\bmss:(\d+)/.exec(stdout)?.[1]);
}

class Datagrams implements Disposable {
  readonly #client: number;
  readonly #server: number;
  readonly #target: Uint8Array;

  constructor(from: LabHost, to: LabHost) {
    this.#target = socketAddress(to.addresses[0] ?? '', DROPPED);
    this.#server = open(to, SOCK_DGRAM);
    tryBind(this.#server, this.#target);
    this.#client = open(from, SOCK_DGRAM);
  }

  send(): void {
    for (let i = 0; i < 10; i++) sendTo(this.#client, new Uint8Array(8), 0, this.#target);
  }

  received(): number {
    let count = 0;
    while (receiveFrom(this.#server, new Uint8Array(64), 0) > 0) count++;
    return count;
  }

  [Symbol.dispose](): void {
    close(this.#client);
    close(this.#server);
  }
}
