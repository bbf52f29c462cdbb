/**
 * The layout of a RuleTable's buffer: the compiler's parts write it, table-writer.ts puts it
 * together, rule-table.ts reads it.
 *
 * Header, in words: 0 generation, 1 hash seed, then for each section of `SECTIONS` its first word
 * and its length in words. Sections:
 *
 * | section      | contents |
 * |--------------|----------|
 * | addresses4   | hash table of [address, slot + 1; if pods share the address -1 - its first record in `sharers`] |
 * | addresses6   | hash table of [address words 0..3, the same] |
 * | slots        | by slot: identity << 1, plus 1 for an endpoint. Identity 0 is not a pod's |
 * | sharers      | records of SHARER_WORDS: a slot that shares an address, the next record of that address, or -1 |
 * | groups       | by identity: peer group; 0 is the group that no peer selector matches |
 * | classes      | by identity: endpoint class, valid for endpoints only; 0 is the class that no policy selects |
 * | profiles     | by identity: its profile of named ports; 0 is the profile without any |
 * | directions   | by class * 2 + direction: DIRECTION_WORDS words, see below |
 * | groupRules   | hash table of [record, group, port set]; a record is the index into `directions` where it begins |
 * | prefixes4    | hash table of [record << 8 or length, masked address, port set + 1], lengths 1..32 |
 * | prefixes6    | hash table of [record << 8 or length, masked address words 0..3, port set + 1], lengths 1..128 |
 * | portSets     | by port set: PORT_SET_WORDS indexes into this section, the bounds of its TCP, UDP and SCTP ranges and its named ports; |
 * |              | a range is first << 16, or last; a named port is the number of a (protocol, name), ascending |
 * | namedPorts   | by profile: index into this section where it begins (it ends where the next begins); pairs of the number of |
 * |              | a (protocol, name), and port << 2 or the protocol's place among TCP, UDP, SCTP |
 *
 * A hash table has a power of two of entries, at most half of them in use. It is searched by linear
 * probing from `hash & (entries - 1)` (see hash.ts). The last word of a free entry is 0.
 */

export const SECTIONS = [
  'addresses4',
  'addresses6',
  'slots',
  'sharers',
  'groups',
  'classes',
  'profiles',
  'directions',
  'groupRules',
  'prefixes4',
  'prefixes6',
  'portSets',
  'namedPorts',
] as const;
export type Section = (typeof SECTIONS)[number];

export const GENERATION = 0;
export const SEED = 1;
export const FIRST_SECTION = 2;
export const HEADER_WORDS = FIRST_SECTION + 2 * SECTIONS.length;

/** Words of an entry in each hash table, with the value (its last word). */
export const ADDRESS4_WORDS = 2;
export const ADDRESS6_WORDS = 5;
export const GROUP_RULE_WORDS = 3;
export const PREFIX4_WORDS = 3;
export const PREFIX6_WORDS = 6;

/**
 * Words of a record in `directions`. ISOLATED is 0, BY_ENFORCED or BY_AUDITED. Bit n of word w of
 * the lengths stands for prefix length 32 * w + n + 1; /0 has a word of its own, WHOLE4 or WHOLE6.
 */
export const ISOLATED = 0;
export const ANY_PEER = 1;
export const LENGTHS4 = 2;
export const WHOLE4 = 3;
export const LENGTHS6 = 4;
export const WHOLE6 = 8;
export const DIRECTION_WORDS = 9;
/** Value of ISOLATED: enforced policies isolate the endpoint. */
export const BY_ENFORCED = 1;
/** Value of ISOLATED: only audited policies isolate it, and what they deny passes. */
export const BY_AUDITED = 2;

/** The empty port set, and the one with every port of every protocol. */
export const NO_PORTS = 0;
export const ALL_PORTS = 1;
export const PORT_SET_WORDS = 5;
/** The range of all ports. */
export const WHOLE_RANGE = 0x0000ffff;

export const SHARER_WORDS = 2;
/**
 * Most pods that can share an address; if more have it, none of them reaches anybody. A packet is
 * judged for each pair of pods, so it costs this many squared at most.
 */
export const MOST_SHARERS = 8;
/** The record for an address that more pods share. */
export const TOO_MANY = 0;
