import { afterEach, beforeEach, expect, test } from 'vitest';
import type { PolicyRecord } from '../../src/cluster/records.ts';
import { FIRST_DENY } from '../../src/filter/reasons.ts';
import { TcpStream } from '../../src/lab/tcp-stream.ts';
import { addressText } from '../../src/policy/address-words.ts';
import { type CaptureChange, LiveTraffic, type WireOptions } from '../../src/traffic/live-traffic.ts';
import { WholeCluster } from '../../src/traffic/whole-cluster.ts';
import { policy, port, rule } from '../filter/scene.ts';
import { ip, tcp, udp } from '../packet/build.ts';
import { eventually } from '../patience.ts';
import { ethernet } from '../replay/capture-bytes.ts';
import { describeAsRoot } from '../root.ts';
import { transfer } from '../scenarios/large-packets.ts';
import { A, B, FrameSocket, UdpSocket, WiredHosts } from './wired-hosts.ts';

/** b allows these TCP and UDP ports from any peer. */
const OPEN = [7000, 7001];
const policies: readonly PolicyRecord[] = [
  policy('b', {
    ingress: [
      rule(
        [],
        OPEN.flatMap((each) => [port(each), port(each, 'UDP')]),
      ),
    ],
  }),
];

let hosts: WiredHosts;
let cluster: WholeCluster;
let traffic: LiveTraffic | undefined;
const changes: CaptureChange[] = [];

beforeEach(() => {
  hosts = new WiredHosts();
  cluster = new WholeCluster({ namespaces: [], pods: hosts.pods(), policies }, []);
  changes.length = 0;
});

afterEach(async () => {
  await traffic?.stop();
  traffic = undefined;
  hosts[Symbol.dispose]();
});

async function wire(options: Partial<WireOptions> = {}): Promise<LiveTraffic> {
  traffic = await LiveTraffic.wire({
    cluster,
    pairs: [WiredHosts.PAIR],
    bufferBytes: 1 << 24,
    inNamespace: (start) => hosts.middle.run(start),
    onChange: (change) => changes.push(change),
    ...options,
  });
  await eventually(() => expect(traffic?.closed).toEqual([]));
  return traffic;
}

/** Returns how many packets were denied. */
function denied(): number {
  return traffic?.counters.byReason.slice(FIRST_DENY).reduce((sum, count) => sum + count, 0) ?? 0;
}

function isTcp(frame: Uint8Array): boolean {
  return frame[12] === 8 && frame[13] === 0 && frame[23] === 6;
}

/** Returns what is delivered of a datagram to that port. */
async function delivers(bytes: Uint8Array, port: number, patience?: number): Promise<readonly Uint8Array[]> {
  using from = new UdpSocket(hosts.a, A, 0);
  using to = new UdpSocket(hosts.b, B, port);
  from.connect(B, port);
  from.send(bytes);
  return await to.receive(1, patience);
}

describeAsRoot('a wire between two hosts', () => {
  test.each([
    ['IPv4', 4],
    ['IPv6', 6],
  ] as const)('carries large TCP transfers both ways over %s, and loses no frame', async (_, family) => {
    const { counters } = await wire();
    const bytes = 16 << 20;
    expect(await transfer(hosts.a, hosts.b, family, 7000, bytes)).toEqual({ toServer: bytes, toClient: bytes });
    expect({ dropped: traffic?.dropped, refused: counters.get('refused'), tooLong: counters.get('tooLong') }).toEqual({
      dropped: 0,
      refused: 0,
      tooLong: 0,
    });
    // With offloads on there are far fewer frames than segments.
    expect(traffic?.captured).toBeLessThan((2 * bytes) / 1448);
  });

  test('lets no TCP through to a port that is not allowed', async () => {
    await wire();
    using to = new FrameSocket(hosts.b);
    await expect(TcpStream.open(hosts.a, B, 7003, 500)).rejects.toThrow('no answer');
    expect(denied()).toBeGreaterThan(0);
    expect(await to.receive(isTcp, 1)).toBeUndefined();
  });

  test('carries fragmented datagrams, except denied ones', async () => {
    await wire();
    const bytes = Uint8Array.from({ length: 9000 }, (_, i) => i % 251);
    expect(await delivers(bytes, 7000)).toEqual([bytes]);
    expect(await delivers(bytes, 7002, 300)).toEqual([]);
    expect(traffic?.counters.get('fragmentsLost')).toBe(0);
  });

  test('carries datagrams that were sent in batches, with their boundaries', async () => {
    await wire();
    using from = new UdpSocket(hosts.a, A, 0);
    using to = new UdpSocket(hosts.b, B, 7000);
    from.connect(B, 7000);
    const bytes = Uint8Array.from({ length: 10_500 }, (_, i) => i % 251);
    from.send(bytes, 1000);
    // Two datagrams in a frame that could also be one.
    from.send(bytes.subarray(0, 1300), 1000);
    const lengths = [1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 500, 1000, 300];
    const received = await to.receive(lengths.length);
    expect(received.map(({ length }) => length)).toEqual(lengths);
    expect(Buffer.concat(received.slice(0, 11)).equals(bytes)).toBe(true);
  });

  test('judges a packet with a VLAN tag, and carries it with its tag', async () => {
    await wire();
    using from = new FrameSocket(hosts.a);
    using to = new FrameSocket(hosts.b);
    const frame = (destination: number) => ethernet(ip(A, B, udp(4000, destination)), [5]);
    // The kernel keeps the tag beside the frame, so only the length shows its absence.
    const isOurs = (length: number) => (bytes: Uint8Array) =>
      bytes.length === length && bytes[0] === 2 && bytes[5] === 1;
    from.send(frame(7000));
    expect(await to.receive(isOurs(frame(7000).length - 4))).toBeDefined();
    from.send(frame(7002));
    await eventually(() => expect(denied()).toBe(1));
    expect(await to.receive(isOurs(frame(7002).length - 4), 100)).toBeUndefined();
  });

  test('carries later fragments that come before the first one, and drops frames that are neither IP nor link-local', async () => {
    await wire();
    using from = new FrameSocket(hosts.a);
    using to = new FrameSocket(hosts.b);
    const later = ethernet(ip(A, B, udp(4000, 7000, { data: 24 }), { offset: 32 }));
    const first = ethernet(ip(A, B, udp(4000, 7000, { data: 24, length: 64 }), { more: true }));
    const unknown = Uint8Array.from([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5, 1, 2, 3]);
    const isFrom = (frame: Uint8Array) => frame[11] === 2;
    from.send(unknown);
    from.send(later);
    await eventually(() => expect(traffic?.counters.get('fragmentsHeld')).toBe(1));
    from.send(first);
    expect(await to.receive(isFrom)).toEqual(first);
    expect(await to.receive(isFrom)).toEqual(later);
    expect(traffic?.counters.get('notIp')).toBe(1);
  });

  test('is closed while a capture process is gone, and open connections go on when it is back', async () => {
    const { pids } = await wire();
    using from = new UdpSocket(hosts.a, A, 0);
    using to = new UdpSocket(hosts.b, B, 7000);
    from.connect(B, 7000);
    from.send(Uint8Array.of(1));
    expect(await to.receive(1)).toEqual([Uint8Array.of(1)]);
    // The process on side b is killed. Frames from side a, which is still captured, must not pass
    // either.
    process.kill(pids[1] as number, 'SIGKILL');
    await eventually(() => expect(traffic?.closed.map((each) => each.interface)).toEqual(['to-b']));
    from.send(Uint8Array.of(2));
    expect(traffic?.closed).toHaveLength(1);
    await eventually(() => expect(traffic?.counters.get('closed')).toBeGreaterThan(0));
    await eventually(() => expect(traffic?.closed).toEqual([]));
    expect(traffic?.restarts).toBe(1);
    from.send(Uint8Array.of(3));
    expect(await to.receive(1)).toEqual([Uint8Array.of(3)]);
  });

  test('counts frames that are dropped because the capture buffer is full', async () => {
    const { pids } = await wire({ bufferBytes: 1 << 18 });
    using from = new FrameSocket(hosts.a);
    process.kill(pids[0] as number, 'SIGSTOP');
    const frames = 500;
    for (let i = 0; i < frames; i++) from.send(ethernet(ip(A, B, tcp(i, 7000, 'S'))));
    process.kill(pids[0] as number, 'SIGCONT');
    await eventually(() => expect(traffic?.dropped).toBeGreaterThan(0));
    await eventually(() => expect((traffic?.dropped ?? 0) + (traffic?.captured ?? 0)).toBeGreaterThanOrEqual(frames));
  });

  test('resumes on an interface that vanishes and returns', async () => {
    await wire();
    expect(hosts.pings(hosts.b, A)).toBe(true);
    hosts.sh(hosts.middle, 'ip link delete to-b');
    await eventually(() => expect(traffic?.closed.map((each) => each.interface)).toEqual(['to-b']));
    hosts.plug(hosts.b);
    await eventually(() => expect(traffic?.closed).toEqual([]));
    await eventually(() => expect(hosts.pings(hosts.b, A)).toBe(true));
    expect(changes.at(-1)).toEqual({ interface: 'to-b', closed: undefined });
  });

  test('is closed while an interface has another name', async () => {
    await wire();
    const rename = (from: string, to: string) =>
      hosts.sh(
        hosts.middle,
        `ip link set ${from} name ${to} || (ip link set ${from} down; ip link set ${from} name ${to}; ip link set ${to} up)`,
      );
    rename('to-b', 'other');
    await eventually(() => expect(traffic?.closed.map((each) => each.interface)).toEqual(['to-b']));
    expect(hosts.pings(hosts.b, A)).toBe(false);
    rename('other', 'to-b');
    await eventually(() => expect(traffic?.closed).toEqual([]));
    await eventually(() => expect(hosts.pings(hosts.b, A)).toBe(true));
  });

  test('judges by a change of the cluster once update resolves', async () => {
    await wire();
    expect(await delivers(Uint8Array.of(1), 7000)).toHaveLength(1);
    cluster.apply([{ type: 'set', record: policy('b', { ingress: [] }) }]);
    await traffic?.update();
    expect(await delivers(Uint8Array.of(1), 7000, 300)).toEqual([]);
    cluster.apply([{ type: 'delete', record: policy('b', { ingress: [] }) }]);
    await traffic?.update();
    expect(await delivers(Uint8Array.of(1), 7002)).toHaveLength(1);
  });

  test.each([
    ['ARP', { arp: false }, A],
    ['neighbour discovery', { neighbourDiscovery: false }, 'fd07::1'],
  ])('without %s hosts do not find each other', async (_, pass, address) => {
    await wire({ pass });
    expect(hosts.pings(hosts.b, address)).toBe(false);
    expect(traffic?.counters.get('linkLocalDenied')).toBeGreaterThan(0);
  });
});

describeAsRoot('link-local addresses', () => {
  test.each([true, false])(
    'reach each other over a wire only if allowed (%s), while neighbour discovery still works',
    async (linkAddresses) => {
      for (const { name, netns } of [hosts.a, hosts.b]) hosts.sh(netns, `ip addr add fe80::${name}/64 dev eth0 nodad`);
      await wire({ pass: { linkAddresses } });
      expect(hosts.pings(hosts.a, 'fe80::b%eth0')).toBe(linkAddresses);
      expect(hosts.pings(hosts.b, 'fd07::1')).toBe(true);
    },
  );
});

describeAsRoot('listening on an interface', () => {
  test('reports what would be denied once a flow, and delays nothing', async () => {
    // The bridge is the cable.
    hosts.sh(
      hosts.middle,
      'ip link add name bridge0 type bridge; ip link set to-a master bridge0; ip link set to-b master bridge0; ip link set bridge0 up',
    );
    traffic = await LiveTraffic.listen({
      cluster,
      interfaces: ['to-b'],
      inNamespace: (start) => hosts.middle.run(start),
    });
    const bytes = 1 << 16;
    expect(await transfer(hosts.a, hosts.b, 4, 7000, bytes)).toEqual({ toServer: bytes, toClient: bytes });
    expect(await transfer(hosts.a, hosts.b, 4, 7003, bytes)).toEqual({ toServer: bytes, toClient: bytes });
    const seen: string[] = [];
    await eventually(() => {
      traffic?.drain(({ source, destination, destinationPort, reason, protocol }) => {
        const verdict = reason < FIRST_DENY ? 'allow' : 'deny';
        if (protocol === 6)
          seen.push(`${verdict} ${addressText(source)} ${addressText(destination)} ${destinationPort}`);
      });
      expect(seen).toHaveLength(2);
    });
    expect(seen).toEqual([`allow ${A} ${B} 7000`, `deny ${A} ${B} 7003`]);
  });

  test('reports an interface that does not exist', async () => {
    traffic = await LiveTraffic.listen({
      cluster,
      interfaces: ['eth9'],
      inNamespace: (start) => hosts.middle.run(start),
    });
    expect(traffic.closed).toEqual([{ interface: 'eth9', closed: expect.stringContaining('No such device') }]);
  });
});
