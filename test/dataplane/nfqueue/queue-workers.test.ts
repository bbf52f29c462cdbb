import { spawnSync } from 'node:child_process';
import { afterEach, expect, it } from 'vitest';
import type { ClusterRecord, PolicyRecord } from '../../../src/cluster/records.ts';
import { LOOKAHEAD_FROM } from '../../../src/conntrack/lookahead.ts';
import { LISTS } from '../../../src/conntrack/slots.ts';
import { QueueWorkers, type QueueWorkersOptions } from '../../../src/dataplane/nfqueue/queue-workers.ts';
import { REASONS, type ReasonName } from '../../../src/filter/reasons.ts';
import { SEED_WORDS } from '../../../src/judging/protocol.ts';
import { PolicyCompiler } from '../../../src/policy/compiler.ts';
import * as libc from '../../../src/sys/libc.ts';
import { SOCK_RAW, socket } from '../../../src/sys/libc.ts';
import { Sequence } from '../../../src/sys/sequence.ts';
import { sendTo, socketAddress } from '../../../src/sys/sockets.ts';
import { describeAsRoot } from '../../root.ts';
import { TwoPods } from '../two-pods.ts';

const JUDGED = 0x0100_0000;
const QUEUE = 7;
const IPPROTO_RAW = 255;

const NOBODY = { matchLabels: {}, matchExpressions: [] };
const CLUSTER: readonly ClusterRecord[] = [
  { kind: 'Namespace', name: 'default', labels: {} },
  pod('client', TwoPods.CLIENT),
  pod('server', TwoPods.SERVER),
];

function pod(name: string, address: string): ClusterRecord {
  const where = { namespace: 'default', nodeName: 'node', addresses: [address], hostNetwork: false };
  return { kind: 'Pod', name, labels: { app: name }, ports: [], ...where };
}

/** A policy that lets the server receive nothing, everything, or one TCP port. */
function serverAllows(port: number | 'everything' | 'nothing'): PolicyRecord {
  const ports = port === 'everything' ? [] : [{ protocol: 'TCP', port: Number(port) } as const];
  return {
    ...{ kind: 'NetworkPolicy', namespace: 'default', name: 'server', isolates: ['ingress'], egress: [] },
    podSelector: { ...NOBODY, matchLabels: { app: 'server' } },
    ingress: port === 'nothing' ? [] : [{ peers: [], ports }],
  };
}

let workers: QueueWorkers | undefined;
let pods: TwoPods;
const failures: string[] = [];

afterEach(async () => {
  await workers?.stop();
  workers = undefined;
  pods[Symbol.dispose]();
});

/** Starts workers for one queue that gets every forwarded packet of an unjudged flow. */
async function start(compiler: PolicyCompiler, options: Partial<QueueWorkersOptions> = {}): Promise<QueueWorkers> {
  pods = new TwoPods();
  pods.sh(
    pods.node,
    `iptables -t mangle -A FORWARD -m connmark --mark ${JUDGED}/${JUDGED} -j RETURN
     iptables -t mangle -A FORWARD -j NFQUEUE --queue-num ${QUEUE}
     iptables -t mangle -A POSTROUTING -m mark --mark ${JUDGED}/${JUDGED} -j CONNMARK --save-mark --nfmask ${JUDGED} --ctmask ${JUDGED}`,
  );
  workers = new QueueWorkers(withDefaults(options), compiler.compile().table.buffer);
  await workers.bind();
  return workers;
}

function withDefaults(options: Partial<QueueWorkersOptions>): QueueWorkersOptions {
  return {
    ...{ firstQueue: QUEUE, count: 1, flowCapacity: 1024, failOpen: false },
    ...{ judgedBit: JUDGED, rejectBit: 0, offload: true },
    inNamespace: (start) => pods.node.run(start),
    sequence: new Sequence(),
    onFailure: (_, error) => failures.push(error.message),
    onReplaced: () => undefined,
    ...options,
  };
}

function compilerOf(...policies: readonly PolicyRecord[]): PolicyCompiler {
  const compiler = new PolicyCompiler('node');
  compiler.apply([...CLUSTER, ...policies].map((record) => ({ type: 'set', record })));
  return compiler;
}

/**
 * Returns how many of `count` echo requests were answered. Blocks the main thread meanwhile:
 * workers do not need it.
 */
function pings(count: number): number {
  const command = ['-c', String(count), '-i', '0.05', '-W', '1', TwoPods.SERVER];
  const { stdout } = pods.client.run(() => spawnSync('ping', command, { encoding: 'utf8' }));
  return Number(/(\d+) received/.exec(stdout)?.[1]);
}

function judged(reason: ReasonName): number {
  const counters = workers?.counters();
  return [0, 1].reduce((sum, side) => sum + (counters?.packets(side, REASONS.indexOf(reason)) ?? 0), 0);
}

describeAsRoot('queue workers', () => {
  it('let an allowed flow pass while the main thread is busy, and leave it to the kernel after its first packet', async () => {
    await start(compilerOf(serverAllows('everything')));
    expect(pings(5)).toBe(5);
    expect(judged('allowed-by-policy')).toBe(1);
    expect(workers?.counters().offloaded).toBe(1);
  });

  it('judge every packet without offload, and replies as part of their flow', async () => {
    await start(compilerOf(serverAllows('everything')), { judgedBit: 0, offload: false });
    expect(pings(3)).toBe(3);
    expect(judged('allowed-by-policy')).toBe(1);
    expect(judged('established')).toBe(5);
    expect(workers?.counters().offloaded).toBe(0);
  });

  it('drop what no policy allows', async () => {
    await start(compilerOf(serverAllows('nothing')));
    expect(pings(2)).toBe(0);
    expect(judged('ingress-denied')).toBe(2);
  });

  it('report flows that are opened or denied, if flow events are on', async () => {
    const started = await start(compilerOf(serverAllows('nothing')), { flowEvents: true });
    expect(pings(1)).toBe(0);
    const told: string[] = [];
    started.drainFlowEvents(({ protocol, reason, source }) => told.push(`${protocol} ${REASONS[reason]} ${source}`), {
      milliseconds: 1000,
      rest: 'keep',
    });
    expect(told).toEqual([`1 ingress-denied ${0x0a000102}`]);
    expect(pings(1)).toBe(0);
    const noTime = (rest: 'keep' | 'skip') =>
      started.drainFlowEvents(() => told.push('late'), { milliseconds: 0, rest });
    expect(noTime('keep')).toBe(0);
    expect(noTime('skip')).toBe(1);
    expect(noTime('skip')).toBe(0);
    expect(told).toHaveLength(1);
  });

  it('judge by the new table once the command has resolved', async () => {
    const compiler = compilerOf(serverAllows('nothing'));
    const started = await start(compiler);
    expect(pings(1)).toBe(0);
    compiler.apply([{ type: 'set', record: serverAllows('everything') }]);
    await started.command({ type: 'table', table: compiler.compile().table.buffer });
    expect(pings(1)).toBe(1);
  });

  it('deny a seeded revoked flow both ways, and pass one seeded as established', async () => {
    const started = await start(compilerOf(serverAllows(80)), { judgedBit: 0, offload: false });
    const flow = (port: number, revoked: 0 | 1) => {
      const words = new Int32Array(SEED_WORDS);
      words.set([4, 6, 0x0a000102, 0, 0, 0, 0x0a000202, 0, 0, 0, 40_000, port, -1, revoked]);
      return words;
    };
    await started.command({ type: 'seed', flows: flow(80, 0) });
    await started.command({ type: 'seed', flows: flow(81, 1) });
    for (const port of [80, 81]) {
      sendTcp(pods.client, TwoPods.CLIENT, TwoPods.SERVER, 40_000, port);
      sendTcp(pods.server, TwoPods.SERVER, TwoPods.CLIENT, port, 40_000);
    }
    // The pods answer an unknown packet with a RST, which belongs to the flow too.
    await expect.poll(() => judged('established')).toBeGreaterThanOrEqual(2);
    await expect.poll(() => judged('revoked')).toBe(2);
    expect(judged('mid-stream')).toBe(0);
  });

  it('find a flow in a table larger than the caches, with lookahead', async () => {
    const flowCapacity = LOOKAHEAD_FROM + 1000;
    const started = await start(compilerOf(serverAllows(80)), { judgedBit: 0, offload: false, flowCapacity });
    const flows = new Int32Array(flowCapacity * SEED_WORDS);
    for (let i = 0; i < flowCapacity; i++) {
      const client = i === 0 ? 0x0a000102 : 0x0b000000 + i;
      flows.set([4, 6, client, 0, 0, 0, 0x0a000202, 0, 0, 0, 40_000, 80, -1, 0], i * SEED_WORDS);
    }
    await started.command({ type: 'seed', flows });
    sendTcp(pods.client, TwoPods.CLIENT, TwoPods.SERVER, 40_000, 80);
    sendTcp(pods.client, TwoPods.CLIENT, TwoPods.SERVER, 40_001, 80);
    await expect.poll(() => judged('established')).toBeGreaterThanOrEqual(1);
    await expect.poll(() => judged('mid-stream')).toBeGreaterThanOrEqual(1);
    const held = () => Array.from({ length: LISTS }, (_, list) => started.counters().flows(list));
    // A worker reports the size of its table after an idle second.
    await expect.poll(() => held().reduce((sum, flows) => sum + flows, 0)).toBe(flowCapacity);
  });

  it('deny a packet that cannot be decoded, and go on', async () => {
    await start(compilerOf(serverAllows('everything')));
    const headerOnly = Uint8Array.of(...header(TwoPods.CLIENT, TwoPods.SERVER, 6, 24), 1, 2, 3, 4);
    send(pods.client, headerOnly, TwoPods.SERVER);
    await expect.poll(() => judged('malformed')).toBe(1);
    expect(pings(1)).toBe(1);
    expect(failures).toEqual([]);
  });

  it('do not take a queue that another process has bound, and release it when they stop', async () => {
    const compiler = compilerOf();
    const table = compiler.compile().table.buffer;
    const started = await start(compiler);
    const second = () => new QueueWorkers(withDefaults({}), table);
    const refused = second();
    await expect(refused.bind()).rejects.toMatchObject({ name: 'NetlinkError', code: 'EPERM' });
    await refused.stop();
    expect(pods.node.run(() => started.kernelQueues())).toMatchObject([{ queue: QUEUE, waiting: 0 }]);
    await started.stop();
    workers = second();
    await workers.bind();
  });

  it('are replaced when one dies, get their first commands before they bind, and keep its counts', async () => {
    const replaced = Promise.withResolvers<number>();
    const told: string[] = [];
    const started = await start(compilerOf(serverAllows('everything')), {
      onReplaced: replaced.resolve,
      beforeBind: async (command) => {
        told.push('before its queue is bound');
        await command({ type: 'adopt-mid-stream', milliseconds: 0 });
        return told.length;
      },
    });
    expect(pings(1)).toBe(1);
    await started.command({ type: 'seed', flows: undefined as unknown as Int32Array });
    expect(await replaced.promise).toBe(QUEUE);
    expect(failures.splice(0)).toEqual([expect.stringContaining('undefined')]);
    expect(told).toHaveLength(2);
    expect(pings(1)).toBe(1);
    expect(judged('allowed-by-policy')).toBe(2);
  });
});

/** An ACK without data: mid-stream, unless the flow is known. */
function sendTcp(from: TwoPods['client'], source: string, destination: string, sourcePort: number, port: number): void {
  const tcp = new DataView(new ArrayBuffer(20));
  tcp.setUint16(0, sourcePort);
  tcp.setUint16(2, port);
  tcp.setUint8(12, 5 << 4);
  tcp.setUint8(13, 0x10);
  send(from, Uint8Array.of(...header(source, destination, 6, 40), ...new Uint8Array(tcp.buffer)), destination);
}

/** An IPv4 header (RFC 791); the kernel fills in the checksum of a raw socket's packets. */
function header(source: string, destination: string, protocol: number, length: number): number[] {
  const address = (text: string) => text.split('.').map(Number);
  return [
    0x45,
    0,
    length >> 8,
    length & 255,
    0,
    1,
    0,
    0,
    64,
    protocol,
    0,
    0,
    ...address(source),
    ...address(destination),
  ];
}

function send(from: TwoPods['client'], packet: Uint8Array, destination: string): void {
  from.run(() => {
    const fd = socket(libc.AF_INET, SOCK_RAW, IPPROTO_RAW);
    expect(sendTo(fd, packet, 0, socketAddress(destination, 0))).toBe(packet.length);
    libc.close(fd);
  });
}
