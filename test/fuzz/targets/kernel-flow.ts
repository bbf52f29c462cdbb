/**
 * Entries of the kernel's connection table. The reader must return what a naive reader of the
 * attributes reads, must not read outside of the entry, and must keep nothing of the entry before.
 * The flow can be passed to the filter.
 */
import { FlowTable } from '../../../src/conntrack/flow-table.ts';
import { KernelFlow } from '../../../src/dataplane/ctnetlink/kernel-flow.ts';
import { Filter } from '../../../src/filter/filter.ts';
import { Packet } from '../../../src/packet/packet.ts';
import { problems } from '../../conntrack/inspect.ts';
import { policy, Scene } from '../../filter/scene.ts';
import { type Attribute, attribute, attributes, attributesOf, unsigned } from '../attributes.ts';
import { joined, mutate } from '../mutate.ts';
import type { Random } from '../random.ts';
import { alone, type Place, surrounded } from '../surroundings.ts';
import { check, checkSame, type Target } from '../target.ts';

/** From linux/netfilter/nfnetlink_conntrack.h. */
const ORIGINAL = 1;
const REPLY = 2;
const PROTOINFO = 4;
const MARK = 8;
const ZONE = 18;
const IP = 1;
const PROTO = 2;
const TCP = 1;
const TCP_STATE = 1;
const TCP_FLAGS = 4;
const AF_INET = 2;
const AF_INET6 = 10;

const TABLE = new Scene([policy('web', { ingress: [] })]).filter.table;
const reused = new KernelFlow();

/** The first byte of an input is the address family, the rest the attributes. */
export const target: Target = {
  generate: (random) => {
    const family = random.oneIn(20) ? random.below(20) : random.pick([AF_INET, AF_INET6]);
    const bytes = joined(Uint8Array.of(family), entry(random, family === AF_INET6));
    return random.oneIn(3) ? bytes : mutate(random, bytes);
  },
  run: (input) => {
    const [family = 0] = input;
    const bytes = input.subarray(1);
    const read = readFrom(reused, alone(bytes), bytes.length, family);
    checkSame(read, naively(bytes, family), 'the entry is misread');
    for (const place of surrounded(bytes)) {
      const fresh = readFrom(new KernelFlow(), place, bytes.length, family);
      checkSame(fresh, read, 'what is read depends on bytes around it');
      checkSame(readFrom(reused, place, bytes.length, family), read, 'what is read depends on the entry before');
    }
    if (read !== undefined) checkSeeded();
  },
};

/** The filter accepts the flow that was read last as a known one. */
function checkSeeded(): void {
  const filter = new Filter(new FlowTable(4, {}, [1, 2]), TABLE);
  const opening = new Packet();
  reused.opening(opening);
  for (const state of ['established', 'revoked'] as const) filter.seed(opening, state, 1000);
  filter.judgeSeeded(opening, 1001);
  const [problem] = problems(filter.flows);
  check(problem === undefined, () => `after seeding, the flow table is broken: ${problem}`);
}

function entry(random: Random, isIpv6: boolean): Uint8Array {
  const protocol = random.pick([6, 6, 17, 132, isIpv6 ? 58 : 1, 47]);
  const parts = [
    attribute(random, ORIGINAL, tuple(random, isIpv6, protocol)),
    attribute(random, REPLY, tuple(random, isIpv6, protocol)),
    attribute(random, random.pick([3, 7, 11, 12]), random.bytes(random.pick([4, 8]))),
    ...random.some(1, () => attribute(random, MARK, random.bytes(4))),
    ...random.some(1, () => attribute(random, ZONE, random.bytes(2))),
  ];
  if (protocol === 6) {
    const state = attribute(random, TCP_STATE, [random.below(12)]);
    const flags = attribute(random, TCP_FLAGS, [random.below(16), random.below(16)]);
    parts.push(attribute(random, PROTOINFO, attribute(random, TCP, attributes(random, [state, flags]))));
  }
  return attributes(random, parts);
}

function tuple(random: Random, isIpv6: boolean, protocol: number): Uint8Array {
  const first = isIpv6 ? 3 : 1;
  const size = random.oneIn(30) ? random.below(20) : isIpv6 ? 16 : 4;
  const ends = [first, first + 1].map((type) => attribute(random, type, random.bytes(size)));
  const icmp = protocol === 58 ? 7 : 4;
  const rest =
    protocol === 1 || protocol === 58
      ? [attribute(random, icmp, random.bytes(2)), attribute(random, icmp + 1, [random.pick([8, 0, 128, 129])])]
      : [attribute(random, 2, random.bytes(2)), attribute(random, 3, random.bytes(2))];
  return attributes(random, [
    attribute(random, IP, attributes(random, ends)),
    attribute(random, PROTO, attributes(random, [attribute(random, 1, [protocol]), ...rest])),
  ]);
}

function readFrom(into: KernelFlow, { view, offset }: Place, length: number, family: number) {
  if (!into.read(view, offset, offset + length, family)) return undefined;
  const packet = new Packet();
  into.opening(packet);
  const { src0, src1, src2, src3, dst0, dst1, dst2, dst3, protocol, srcPort, dstPort, icmpType } = packet;
  const { mark, zone, isOver, isPickedUp } = into;
  return {
    source: words([src0, src1, src2, src3]),
    destination: words([dst0, dst1, dst2, dst3]),
    ...{ family: packet.family, protocol, srcPort, dstPort, icmpType, mark, zone, isOver, isPickedUp },
    tuple: Buffer.from(into.originalTuple()).toString('hex'),
  };
}

function words(address: readonly number[]): string {
  return address.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');
}

function naively(bytes: Uint8Array, domain: number): ReturnType<typeof readFrom> {
  const family = domain === AF_INET ? 4 : domain === AF_INET6 ? 6 : undefined;
  if (family === undefined) return undefined;
  const found = attributesOf(bytes);
  const original = tupleOf(found, ORIGINAL, family);
  const reply = tupleOf(found, REPLY, family);
  if (original === undefined || reply === undefined) return undefined;
  const tcp = within(within(found, PROTOINFO), TCP);
  const flags = last(tcp, TCP_FLAGS, 1)?.[0] ?? 0;
  return {
    ...{ source: original.source, destination: reply.source, family, protocol: original.protocol },
    ...{ srcPort: original.port, dstPort: reply.port, icmpType: original.icmpType },
    mark: unsigned(last(found, MARK, 4)?.subarray(0, 4) ?? Uint8Array.of()) | 0,
    zone: last(found, ZONE, 2) && unsigned((last(found, ZONE, 2) as Uint8Array).subarray(0, 2)),
    // TCP_CONNTRACK_LAST_ACK and later; BE_LIBERAL without WINDOW_SCALE.
    isOver: (last(tcp, TCP_STATE, 1)?.[0] ?? 0) >= 6,
    isPickedUp: (flags & 0x09) === 0x08,
    tuple: Buffer.from(original.value).toString('hex'),
  };
}

/** Returns the last tuple of that kind, if it has both addresses, and of its family. */
function tupleOf(found: readonly Attribute[], kind: number, family: 4 | 6) {
  const value = last(found, kind, 0);
  return value && tupleIn(value, family);
}

function tupleIn(value: Uint8Array, family: 4 | 6) {
  const parts = attributesOf(value);
  const ip = within(parts, IP);
  const size = family === 4 ? 4 : 16;
  const [source, destination] = (family === 4 ? [1, 2] : [3, 4]).map(
    (wanted) => ip.findLast(({ type, value }) => type === wanted && value.length >> 2 === size >> 2)?.value,
  );
  if (source === undefined || destination === undefined) return undefined;
  const proto = within(parts, PROTO);
  const id = proto.findLast(({ type, value }) => [2, 4, 7].includes(type) && value.length >= 2)?.value;
  const icmpType = proto.findLast(({ type, value }) => [5, 8].includes(type) && value.length >= 1)?.value;
  return {
    value,
    source: Buffer.from(source.subarray(0, size)).toString('hex').padEnd(32, '0'),
    protocol: last(proto, 1, 1)?.[0] ?? 0,
    port: id === undefined ? -1 : unsigned(id.subarray(0, 2)),
    icmpType: icmpType?.[0] ?? -1,
  };
}

/** Returns the attributes inside all attributes of a type. */
function within(found: readonly Attribute[], wanted: number): Attribute[] {
  return found.filter(({ type }) => type === wanted).flatMap(({ value }) => attributesOf(value));
}

function last(found: readonly Attribute[], wanted: number, least: number): Uint8Array | undefined {
  return found.findLast(({ type, value }) => type === wanted && value.length >= least)?.value;
}
