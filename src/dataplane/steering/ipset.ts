/**
 * The sets of steered addresses for iptables, in the format of `ipset save` and `ipset restore`.
 * See ipset(8).
 *
 * A set's capacity (maxelem) is fixed when it is created. If the set outgrows it, a larger set is
 * filled under another name and swapped in. The swap is atomic for packets, and the rules keep
 * referring to the name.
 */
import { type Family, setName } from './iptables-rules.ts';
import { difference } from './state.ts';

/** Prefix of podfence's sets; sets with other names are foreign. */
export const SET_PREFIX = 'podfence-';

/**
 * The kernel's default too. It is far above the pods of a node, and a set takes memory only as it
 * fills.
 */
const SMALLEST_CAPACITY = 65_536;

export interface AddressSet {
  readonly capacity: number;
  readonly addresses: ReadonlySet<string>;
}

/** Parses one set from the output of `ipset save`; undefined if it is not there. */
export function parseSet(text: string, name: string): AddressSet | undefined {
  const header = text.split('\n').find((line) => line.startsWith(`create ${name} `));
  if (header === undefined) return undefined;
  const prefix = `add ${name} `;
  const lines = text.split('\n').filter((line) => line.startsWith(prefix));
  return {
    capacity: Number(/ maxelem (\d+)/.exec(header)?.[1] ?? SMALLEST_CAPACITY),
    addresses: new Set(lines.map((line) => line.slice(prefix.length).trim())),
  };
}

/**
 * Returns the set for `wanted`. It keeps the capacity of `present` if old and new addresses fit
 * together, because new ones join before old ones leave.
 */
export function setOf(wanted: ReadonlySet<string>, present?: AddressSet): AddressSet {
  const capacity = present?.capacity ?? SMALLEST_CAPACITY;
  const most = present ? present.addresses.union(wanted).size : wanted.size;
  return { capacity: most <= capacity ? capacity : 2 ** Math.ceil(Math.log2(2 * most)), addresses: wanted };
}

/**
 * Returns the input of `ipset -exist restore` that turns a set from `present` into `wanted`, or ''
 * if it is the same. Lines take effect one after the other: addresses join the set before others
 * leave it.
 */
export function restoreSet(family: Family, present: AddressSet | undefined, wanted: AddressSet): string {
  const name = setName(family);
  const create = (as: string) =>
    `create ${as} hash:ip family inet${family === 6 ? '6' : ''} maxelem ${wanted.capacity}`;
  const fill = (as: string, addresses: Iterable<string>) => Array.from(addresses, (address) => `add ${as} ${address}`);
  if (present === undefined) return lines([create(name), ...fill(name, wanted.addresses)]);
  if (present.capacity !== wanted.capacity) {
    const larger = `${name}-new`;
    return lines([
      create(larger),
      `flush ${larger}`,
      ...fill(larger, wanted.addresses),
      `swap ${larger} ${name}`,
      `destroy ${larger}`,
    ]);
  }
  const { add, remove } = difference(present.addresses, wanted.addresses);
  return lines([...fill(name, add), ...remove.map((address) => `del ${name} ${address}`)]);
}

function lines(commands: readonly string[]): string {
  return commands.map((command) => `${command}\n`).join('');
}
