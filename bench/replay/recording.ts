/** Writes captures of a cluster's traffic, of any length, without keeping them in memory. */
import { CaptureWriter } from '../../src/replay/capture-writer.ts';

const LINKTYPE_ETHERNET = 1;
const ETHERNET = 14;

/** The kind of packets in a recording. */
export type Mix =
  /** Allowed connections of ten packets. */
  | 'connections'
  /** First packets of denied flows, each on a new flow. */
  | 'denied'
  /** Traffic between hosts that no policy selects. */
  | 'open';

/** The server's port for each mix, by the policy in `MANIFESTS`. */
const SERVER_PORTS: Readonly<Record<Mix, number>> = { connections: 80, denied: 81, open: 443 };
const CLIENT = 0x0a000001;
const SERVER = 0x0a000002;
const OUTSIDE = 0xc0000201;

export const MANIFESTS = `
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop, labels: {app: client}}
spec: {containers: [{name: c, image: i}]}
status: {podIPs: [{ip: 10.0.0.1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: server, namespace: shop, labels: {app: server}}
spec: {containers: [{name: c, image: i}]}
status: {podIPs: [{ip: 10.0.0.2}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: server, namespace: shop}
spec: {podSelector: {matchLabels: {app: server}}, ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}]}
`;

const SYN = 2;
const ACK = 16;
const FIN = 1;
/** Packets of a connection: sent by the client (0) or the server (1), and the TCP flags. */
const CONNECTION: readonly (readonly [side: number, flags: number])[] = [
  [0, SYN],
  [1, SYN | ACK],
  [0, ACK],
  [0, ACK],
  [1, ACK],
  [1, ACK],
  [0, ACK],
  [0, FIN | ACK],
  [1, FIN | ACK],
  [0, ACK],
];

/** Writes `packets` of a mix, each of `length` bytes. */
export function record(path: string, mix: Mix, packets: number, length: number): void {
  const writer = new CaptureWriter(path);
  const view = new DataView(new ArrayBuffer(length));
  view.setUint16(12, 0x0800);
  view.setUint8(ETHERNET, 0x45);
  view.setUint16(ETHERNET + 2, length - ETHERNET);
  view.setUint8(ETHERNET + 8, 64);
  view.setUint8(ETHERNET + 9, 6);
  view.setUint8(ETHERNET + 32, 0x50);
  const server = mix === 'open' ? OUTSIDE : SERVER;
  const perFlow = mix === 'denied' ? 1 : CONNECTION.length;
  for (let i = 0; i < packets; i++) {
    const [side, flags] = CONNECTION[i % perFlow] as (typeof CONNECTION)[number];
    const port = 10_000 + (Math.floor(i / perFlow) % 50_000);
    const ends = [
      [CLIENT, port],
      [server, SERVER_PORTS[mix]],
    ] as const;
    const [from, to] = side === 0 ? ends : [ends[1], ends[0]];
    view.setUint32(ETHERNET + 12, from[0]);
    view.setUint32(ETHERNET + 16, to[0]);
    view.setUint16(ETHERNET + 20, from[1]);
    view.setUint16(ETHERNET + 22, to[1]);
    view.setUint8(ETHERNET + 33, flags);
    writer.write(view, 0, length, length, Date.UTC(2026, 0, 1) + i / 100, LINKTYPE_ETHERNET, true);
  }
  writer.close();
}
