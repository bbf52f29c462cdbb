/**
 * Finds and removes what podfence has installed, with either kind of steering, in this process or
 * an earlier one. It goes by names: the nftables table `podfence`, chains `PODFENCE-…`, sets
 * `podfence-…`. A tool that is not installed, or a table that the kernel lacks, counts as empty.
 */
import { isUnsupported } from './error.ts';
import { SET_PREFIX } from './ipset.ts';
import {
  chosenVariant,
  commandOf,
  destroySet,
  listSets,
  otherVariant,
  readTable,
  tableExists,
  type Variant,
  writeTables,
} from './iptables-commands.ts';
import { type Family, POSTROUTING_CHAIN, TABLES, type Table } from './iptables-rules.ts';
import { hasOurs, type SavedTable } from './iptables-tables.ts';
import { TABLE } from './nftables-rules.ts';
import type { System } from './run.ts';

const FAMILIES: readonly Family[] = [4, 6];

/** Whether podfence's nftables table exists. Throws SteeringError. */
export async function nftablesInstalled(system: System): Promise<boolean> {
  return await tableInstalled(system, TABLE);
}

/** Whether there is an nftables table of this name in the family inet. Throws SteeringError. */
export async function tableInstalled(system: System, table: string): Promise<boolean> {
  const listed = await supported(system.run('nft', ['list', 'tables', 'inet']));
  return listed?.split('\n').includes(`table inet ${table}`) ?? false;
}

/**
 * Whether podfence's rules queue packets rather than copy them. Such rules drop new connections
 * while no agent judges, unless they fail open. Only rules that queue need the postrouting chains.
 * Throws SteeringError.
 */
export async function isQueueing(system: System): Promise<boolean> {
  if (await nftablesInstalled(system)) {
    const chains = await system.run('nft', ['list', 'table', 'inet', TABLE]);
    if (/^\s*chain postrouting\b/m.test(chains)) return true;
  }
  return await anyTable(system, (saved) => saved.has(POSTROUTING_CHAIN), ['mangle']);
}

/**
 * Removes everything that podfence has installed if its rules queue packets. Rules that only copy
 * stay: they hold nothing up. Returns whether there were rules that queue. Throws SteeringError.
 */
export async function removeQueueing(system: System): Promise<boolean> {
  if (!(await isQueueing(system))) return false;
  await removeEverything(system);
  return true;
}

/**
 * Returns the queues that a listing of nft or iptables names: `queue to 1-4` (older nft: `queue num
 * 1-4`), `--queue-num 1`, `--queue-balance 1:4`.
 */
export function queuesOf(listing: string): number[] {
  const ranges = listing.matchAll(/(?:\bqueue (?:flags \S+ )?(?:to|num)|--queue-(?:num|balance)) (\d+)(?:[-:](\d+))?/g);
  return [...ranges].flatMap(([, first, last = first]) =>
    Array.from({ length: Number(last) - Number(first) + 1 }, (_, index) => Number(first) + index),
  );
}

/**
 * Returns the NFLOG groups that a listing of nft or iptables copies to: `log group 1`,
 * `-j NFLOG --nflog-group 1`. iptables leaves out group 0 (libxt_NFLOG.c).
 */
export function groupsOf(listing: string): number[] {
  const groups = listing.matchAll(/\blog group (\d+)|-j NFLOG\b(?: --nflog-group (\d+))?/g);
  return [...groups].map(([, nft, iptables = 0]) => Number(nft ?? iptables));
}

/** Removes podfence's nftables table. Throws SteeringError. */
export async function removeNftables(system: System): Promise<void> {
  // Only if it exists: deleting a base chain drops the packets in all queues of the namespace
  // (nf_queue_nf_hook_drop).
  if (await nftablesInstalled(system)) await system.run('nft', ['-f', '-'], `delete table inet ${TABLE}\n`);
}

/**
 * Whether a chain of podfence's is in a table of any family and variant of iptables. Throws
 * SteeringError.
 */
export async function iptablesInstalled(system: System): Promise<boolean> {
  return await anyTable(system, () => true);
}

/** Removes podfence's chains from one variant of iptables. Throws SteeringError. */
export async function removeChains(system: System, variant: Variant): Promise<void> {
  for (const family of FAMILIES) {
    let isThere = false;
    for await (const [, saved] of tablesOf(system, variant, family)) isThere ||= hasOurs(saved);
    if (isThere) await writeTables(system, variant, family, []);
  }
}

/**
 * Removes podfence's chains from both variants of iptables, then its sets. Throws SteeringError.
 */
export async function removeIptables(system: System): Promise<void> {
  for (const variant of await variants(system)) await removeChains(system, variant);
  await removeOtherSets(system, []);
}

/**
 * Removes podfence's sets except those in `keep`, such as those of a trial that was killed. No rule
 * may refer to them any more. Throws SteeringError.
 */
export async function removeOtherSets(system: System, keep: readonly string[]): Promise<void> {
  const ours = ((await supported(listSets(system))) ?? []).filter((name) => name.startsWith(SET_PREFIX));
  for (const name of ours) if (!keep.includes(name)) await destroySet(system, name);
}

/**
 * Removes everything of podfence's. Throws the first SteeringError, after it has tried the rest.
 */
export async function removeEverything(system: System): Promise<void> {
  const results = await Promise.allSettled([removeNftables(system), removeIptables(system)]);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

/** A table of iptables that has chains of podfence's. */
export interface OurTable {
  /**
   * `iptables` or `ip6tables`, with a variant suffix if it is not the default variant of this
   * machine.
   */
  readonly command: string;
  readonly table: Table;
  readonly saved: SavedTable;
}

/**
 * Yields the tables of every family and variant that have chains of podfence's. Throws
 * SteeringError.
 */
export async function* ourTables(system: System, tables: readonly Table[] = TABLES): AsyncGenerator<OurTable> {
  for (const variant of await variants(system)) {
    for (const family of FAMILIES) {
      const command = commandOf(family, variant);
      for await (const [table, saved] of tablesOf(system, variant, family, tables)) {
        if (hasOurs(saved)) yield { command, table, saved };
      }
    }
  }
}

/** Whether `holds` is true for at least one table with chains of podfence's. */
async function anyTable(
  system: System,
  holds: (saved: SavedTable) => boolean,
  tables: readonly Table[] = TABLES,
): Promise<boolean> {
  for await (const { saved } of ourTables(system, tables)) if (holds(saved)) return true;
  return false;
}

async function* tablesOf(
  system: System,
  variant: Variant,
  family: Family,
  tables: readonly Table[] = TABLES,
): AsyncGenerator<[Table, SavedTable]> {
  for (const table of tables) {
    if (!tableExists(system, variant, family, table)) continue;
    const saved = await supported(readTable(system, variant, family, table));
    if (saved) yield [table, saved];
  }
}

async function variants(system: System): Promise<Variant[]> {
  const chosen = await supported(chosenVariant(system));
  return chosen ? [chosen, otherVariant(chosen)] : [];
}

/** Returns undefined if the machine does not support what was asked. */
export async function supported<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isUnsupported(error)) return undefined;
    throw error;
  }
}
