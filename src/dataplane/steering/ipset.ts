/**
 * The sets of steered addresses for iptables, in the language of `ipset save` and `ipset restore`. See ipset(8).
 *
 * A set's capacity (maxelem) is fixed when it is made. When it is outgrown, a larger set is filled under another name and swapped in,
 * which is atomic for packets: the rules keep referring to the name.
 */
import { type Family, setName } from './iptables-rules.ts';
import { difference } from './state.ts';

/** Names of ours begin with this; sets with other names are foreign. */
export const SET_PREFIX = 'podfence-';

/** Also the kernel's default; far above the pods of a node, and memory is taken only as a set fills. */
const SMALLEST_CAPACITY = 65_536;

export interface AddressSet {
  readonly capacity: number;
  readonly addresses: ReadonlySet<string>;
}

/** Reads one set out of the text of `ipset save`; undefined where it is not in the text. */
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
 * The set that holds `wanted`: with the capacity of `present` as long as it suffices, also while addresses have been added and others not
 * been removed yet.
 */
export function setOf(wanted: ReadonlySet<string>, present?: AddressSet): AddressSet {
  const capacity = present?.capacity ?? SMALLEST_CAPACITY;
  const most = present ? present.addresses.union(wanted).size : wanted.size;
  return { capacity: most <= capacity ? capacity : 2 ** Math.ceil(Math.log2(2 * most)), addresses: wanted };
}

/**
 * The input of `ipset -exist restore` that turns one set from `present` into `wanted`, or '' if it is so already. Its lines take effect one
 * after the other: addresses that join the set do so before others leave it.
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
