/**
 * Network interfaces by rtnetlink. The reader must return what a naive reader of the attributes
 * reads, and must not read outside of the message.
 */
import { type Link, readLink } from '../../../src/machine/links.ts';
import { type Attribute, attribute, attributes, attributesOf, unsigned } from '../attributes.ts';
import { joined, mutate } from '../mutate.ts';
import type { Random } from '../random.ts';
import { alone, type Place, surrounded } from '../surroundings.ts';
import { checkSame, type Target } from '../target.ts';

/** From linux/if_link.h. */
const IFNAME = 3;
const MASTER = 10;
const LINKINFO = 18;
const NETNSID = 37;
const KIND = 1;
const DATA = 2;
const CALL_IPTABLES = 36;
const CALL_IP6TABLES = 37;
/** `struct ifinfomsg` after its first 4 bytes: i32 index, u32 flags, u32 change. */
const HEADER = 12;

export const target: Target = {
  generate: (random) => {
    const bytes = message(random);
    return random.oneIn(3) ? bytes : mutate(random, bytes);
  },
  run: (input) => {
    const read = readFrom(alone(input), input.length);
    checkSame(read, naively(input), 'the message is misread');
    for (const place of surrounded(input)) {
      checkSame(readFrom(place, input.length), read, 'what is read depends on bytes around it');
    }
  },
};

function message(random: Random): Uint8Array {
  const kind = random.pick(['veth', 'bridge', 'bridge', 'vxlan', '']);
  const data = attributes(random, [
    attribute(random, random.pick([1, 5, 34]), random.bytes(4)),
    attribute(random, CALL_IPTABLES, [random.below(2)]),
    attribute(random, CALL_IP6TABLES, [random.below(2)]),
  ]);
  const info = attributes(random, [attribute(random, KIND, named(random, kind)), attribute(random, DATA, data)]);
  const parts = [
    attribute(random, IFNAME, named(random, random.pick(['eth0', 'cni0', 'a', 'veth01234567']))),
    ...random.some(1, () => attribute(random, MASTER, [random.below(256), 0, 0, 0])),
    ...random.some(1, () => attribute(random, NETNSID, random.bytes(4))),
    attribute(random, LINKINFO, info),
  ];
  return joined(random.bytes(HEADER), attributes(random, parts));
}

/** Returns the name with a zero byte at its end. */
function named(random: Random, name: string): Uint8Array {
  return random.oneIn(30) ? random.bytes(random.below(3)) : Buffer.from(`${name}\0`);
}

function readFrom({ view, offset }: Place, length: number): Link {
  return readLink(view, offset, offset + length);
}

function naively(input: Uint8Array): Link {
  const found = attributesOf(input.subarray(HEADER));
  // A kind applies to the data after it.
  const link = { kind: '', callIptables: false, callIp6tables: false };
  for (const { value } of all(found, LINKINFO)) {
    for (const part of attributesOf(value)) {
      if (part.type === KIND) link.kind = textOf(part.value);
      if (part.type !== DATA || link.kind !== 'bridge') continue;
      for (const { type, value } of attributesOf(part.value).filter((each) => each.value.length > 0)) {
        if (type === CALL_IPTABLES) link.callIptables = value[0] !== 0;
        if (type === CALL_IP6TABLES) link.callIp6tables = value[0] !== 0;
      }
    }
  }
  const master = all(found, MASTER).findLast(({ value }) => value.length >= 4)?.value;
  return {
    index: input.length < HEADER ? 0 : unsigned(input.slice(0, 4).reverse()) | 0,
    name: textOf(all(found, IFNAME).at(-1)?.value ?? Uint8Array.of()),
    kind: link.kind,
    master: master === undefined ? 0 : unsigned(master.slice(0, 4).reverse()),
    leadsElsewhere: all(found, NETNSID).length > 0,
    callIptables: link.callIptables,
    callIp6tables: link.callIp6tables,
  };
}

function all(found: readonly Attribute[], wanted: number): Attribute[] {
  return found.filter(({ type }) => type === wanted);
}

function textOf(value: Uint8Array): string {
  return Buffer.from(value.subarray(0, Math.max(0, value.length - 1))).toString();
}
