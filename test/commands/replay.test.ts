import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FlowLine } from '../../src/flows/flow.ts';
import { ip, tcp, udp } from '../packet/build.ts';
import { eventually } from '../patience.ts';
import { concat, ethernet, pcap, type Recorded } from '../replay/capture-bytes.ts';
import { ended, podfence, start } from './podfence.ts';

const MANIFESTS = `
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: node-1, containers: [{name: c, image: i}]}
status: {podIPs: [{ip: 10.0.0.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {nodeName: node-1, containers: [{name: c, image: i, ports: [{containerPort: 5432}]}]}
status: {podIPs: [{ip: 10.0.0.2}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {clusterIP: 10.96.0.9, selector: {app: db}, ports: [{port: 5432}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]
`;
const WEB = '10.0.0.1';
const DB = '10.0.0.2';
const OUTSIDE = '192.0.2.7';
const NODE = '172.18.0.2';

let time = Date.UTC(2026, 0, 2);
const at = (packet: Uint8Array): Recorded => {
  time += 250;
  return { bytes: ethernet(packet), time };
};

/**
 * An allowed connection, a denied one that goes on all the same, a datagram to a Service, a DNS
 * answer, and a frame without IP.
 */
const PACKETS: readonly Recorded[] = [
  at(ip(WEB, DB, tcp(1000, 5432, 'S'))),
  at(ip(DB, WEB, tcp(5432, 1000, 'SA'))),
  at(ip(OUTSIDE, DB, tcp(2000, 22, 'S'))),
  at(ip(DB, OUTSIDE, tcp(22, 2000, 'SA'))),
  at(ip(NODE, DB, tcp(3000, 5432, 'S'))),
  at(ip(WEB, '10.96.0.9', tcp(1001, 5432, 'S'))),
  at(ip(WEB, '8.8.8.8', udp(5000, 53))),
  { bytes: Uint8Array.from([...new Array<number>(12).fill(1), 8, 6, 0, 1]), time: time + 250 },
];

let folder: string;
const path = (name: string) => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'podfence-replay-'));
  writeFileSync(path('all.yaml'), MANIFESTS);
  writeFileSync(path('capture.pcap'), pcap(PACKETS));
});
afterAll(() => rmSync(folder, { recursive: true }));

const replay = (...args: readonly string[]) => podfence(['replay', '-m', path('all.yaml'), ...args]);

async function flowsOf(...args: readonly string[]) {
  const { code, stdout, stderr } = await replay('--json', ...args);
  const lines = stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  const flows = (lines.slice(0, -1) as FlowLine[]).map(({ verdict, reason, from, to, port, count, policies }) => {
    const name = (end: FlowLine['from']) => (end.kind === 'pod' ? end.name : end.address);
    return `${verdict} ${name(from)} ${name(to)} ${port} x${count} ${reason} ${policies.map((each) => each.name)}`.trim();
  });
  return { code, flows, summary: lines.at(-1).summary, stderr };
}

const FLOWS = [
  'allow web db 5432 x1 allowed-by-policy db',
  `deny ${OUTSIDE} db 22 x1 ingress-denied db`,
  `deny ${NODE} db 5432 x1 ingress-denied db`,
  'allow web 8.8.8.8 53 x1 not-isolated',
];

describe('podfence replay', () => {
  test('--json prints a line per flow with its verdict, reason and policies, and then the totals', async () => {
    const { code, flows, summary, stderr } = await flowsOf(path('capture.pcap'));
    expect(flows).toEqual(FLOWS);
    expect(summary).toEqual({
      ...{ packets: 8, denied: 3, wouldBeDenied: 0, notIp: 1, services: 1, fragments: 0, unknownLinks: {} },
      ...{ first: '2026-01-02T00:00:00.250Z', last: '2026-01-02T00:00:02.000Z' },
      reasons: { 'allowed-by-policy': 1, established: 1, 'ingress-denied': 3, 'not-isolated': 1 },
      policies: [{ policy: 'shop/db', allowed: 1, denied: 2, wouldBeDenied: 0 }],
    });
    expect(stderr).toBe(
      '1 packets are not IP.\n1 packets are from or to the address of a Service: they are judged where they appear with the address of its backend.\n',
    );
    expect(code).toBe(0);
  });

  test('recognizes node addresses that it is given', async () => {
    expect((await flowsOf(path('capture.pcap'), '--node', `node-1=${NODE}`)).flows[2]).toBe(
      `allow ${NODE} db 5432 x1 local-node`,
    );
  });

  test('prints for people a table of flows, one of policies, and a line with the totals', async () => {
    const { stdout } = await replay(path('capture.pcap'), '--verdict', 'deny');
    expect(stdout).toMatch(/^TIME +VERDICT +FROM +TO +PORT +DIRECTION +COUNT +BY\n/);
    expect(stdout).toMatch(/ deny +192\.0\.2\.7 +shop\/db +22\/tcp +ingress +1 +ingress-denied: shop\/db\n/);
    expect(stdout).not.toContain(' allow ');
    expect(stdout).toMatch(/\nPOLICY +ALLOWED +DENIED\nshop\/db +1 +2\n\n8 packets in 1\.8 s, 3 of them denied: /);
  });

  test('writes what is denied to a file that it can read again', async () => {
    const { stderr } = await flowsOf(path('capture.pcap'), '--write-denied', path('denied.pcapng'));
    expect(stderr).toContain('denied.pcapng: 3 denied packets');
    const { flows, summary } = await flowsOf(path('denied.pcapng'));
    expect(flows).toEqual(FLOWS.slice(1, 3));
    expect(summary.packets).toBe(3);
  });

  test.each([
    [
      'the capture itself',
      'own.pcap',
      /--write-denied: .*own\.pcap is the capture .*own\.pcap, which it would overwrite/,
    ],
    ['it by another name', 'link.pcap', /--write-denied: .*link\.pcap is the capture .*own\.pcap/],
  ])('does not overwrite %s', async (_, name, message) => {
    writeFileSync(path('own.pcap'), pcap(PACKETS));
    symlinkSync(path('own.pcap'), path(name === 'own.pcap' ? 'unused.pcap' : name));
    const { code, stderr } = await replay(path('own.pcap'), '--write-denied', path(name));
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
    expect(readFileSync(path('own.pcap'))).toEqual(Buffer.from(pcap(PACKETS)));
  });

  test('leaves the file for denied packets unchanged if a capture cannot be read', async () => {
    writeFileSync(path('before.pcapng'), 'as it was');
    const { code } = await replay(path('capture.pcap'), path('nowhere.pcap'), '--write-denied', path('before.pcapng'));
    expect(code).toBe(2);
    expect(readFileSync(path('before.pcapng'), 'utf8')).toBe('as it was');
  });

  test('prints the first and last time of the packets, in whatever order they come', async () => {
    const [first, second] = PACKETS;
    writeFileSync(path('reversed.pcap'), pcap([second, first] as Recorded[]));
    const { summary } = await flowsOf(path('reversed.pcap'));
    expect([summary.first, summary.last]).toEqual(['2026-01-02T00:00:00.250Z', '2026-01-02T00:00:00.500Z']);
  });

  test('shows what it saw of a live capture that Ctrl-C ends', async () => {
    const child = start('replay', '-m', path('all.yaml'), '-');
    const outcome = ended(child);
    // More than a pipe holds: once all of this is written, replay is reading.
    const many = Array.from({ length: 20_000 }, () => PACKETS[0] as Recorded);
    const bytes = pcap(many);
    await new Promise((resolve) => child.stdin?.write(bytes, resolve));
    // All of it is read, and the next read returns nothing.
    await eventually(() => expect(bytesReadBy(child.pid)).toBeGreaterThan(bytes.length));
    child.kill('SIGINT');
    child.stdin?.end();
    const { code, stdout } = await outcome;
    expect(stdout).toContain('20,000 packets in 0.0 s');
    expect(code).toBe(0);
  });

  test('reads standard input, and several files as one capture', async () => {
    const half = (packets: readonly Recorded[], name: string) => writeFileSync(path(name), pcap(packets));
    half(PACKETS.slice(0, 3), 'first.pcap');
    half(PACKETS.slice(3), 'second.pcap');
    expect((await flowsOf(path('first.pcap'), path('second.pcap'))).flows).toEqual(FLOWS);
    const child = start('replay', '-m', path('all.yaml'), '-');
    child.stdin?.end(readFileSync(path('first.pcap')));
    const { stdout } = await ended(child);
    expect(stdout).toContain('3 packets');
  });

  test('--check exits with 1 if anything is denied', async () => {
    expect((await replay(path('capture.pcap'), '--check')).code).toBe(1);
    writeFileSync(path('fine.pcap'), pcap(PACKETS.slice(0, 2)));
    expect((await replay(path('fine.pcap'), '--check')).code).toBe(0);
  });

  test('judges a truncated file up to the cut, and says so', async () => {
    const bytes = pcap(PACKETS);
    writeFileSync(path('cut.pcap'), bytes.subarray(0, -1));
    const { code, flows, stderr } = await flowsOf(path('cut.pcap'));
    expect({ code, flows }).toEqual({ code: 0, flows: FLOWS });
    expect(stderr).toMatch(/cut\.pcap is cut off at byte \d+: the rest of a packet is missing\n/);
    writeFileSync(path('damaged.pcap'), concat([bytes, new Uint8Array(16).fill(0xff)]));
    expect((await flowsOf(path('damaged.pcap'))).code).toBe(2);
  });

  test('says what is probably wrong if no packet belongs to a pod', async () => {
    writeFileSync(path('elsewhere.pcap'), pcap([at(ip('198.51.100.1', '198.51.100.2', udp(1, 2)))]));
    expect((await flowsOf(path('elsewhere.pcap'))).stderr).toContain('No packet is from or to a pod of the manifests.');
  });

  test('names link types that it does not support', async () => {
    writeFileSync(path('radio.pcap'), pcap([at(ip(WEB, DB, udp(1, 2)))], { linkType: 127 }));
    expect((await flowsOf(path('radio.pcap'))).stderr).toContain(
      '1 packets are of link type 127, which podfence does not read. It reads: BSD loopback, Ethernet, raw IP,',
    );
  });

  test.each([
    [[], "missing required argument 'file'"],
    [['nowhere.pcap'], 'nowhere.pcap: there is no such file'],
    [['capture.pcap', '/'], '/: this is a folder, give the files in it'],
    [['-', '-'], 'standard input can be read only once'],
    [['-', '-m', '-'], 'standard input can be read only once'],
    [['capture.pcap', '--write-denied', '-'], '--write-denied: give the name of a file'],
    [
      ['capture.pcap', '--write-denied', '/dev/full'],
      "--write-denied: ENOSPC: no space left on device, write '/dev/full'",
    ],
    [['all.yaml'], 'all.yaml is not a capture: it is neither pcap nor pcapng'],
    [['capture.pcap', '--verdict', 'maybe'], '--verdict is allow, deny or would_deny'],
    [['capture.pcap', '--node', 'x'], '--node x: expected NAME=IP'],
    [['capture.pcap', '--write-denied', '/nowhere/x'], '--write-denied: ENOENT'],
  ])('%j is refused with exit code 2', async (args, message) => {
    const given = args.map((arg) => (/^(nowhere|all|capture)/.test(arg) ? path(arg) : arg));
    const { code, stderr } = await replay(...given);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
  });
});

/** Reads `rchar` (proc(5)). */
function bytesReadBy(pid: number | undefined): number {
  return Number(/^rchar: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1]);
}
