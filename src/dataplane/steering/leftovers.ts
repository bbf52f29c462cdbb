/**
 * Finding and taking away what podfence has installed, by whichever kind of steering, of this process or an earlier one. Everything of ours
 * is known by its name: the nftables table `podfence`, chains `PODFENCE-…`, sets `podfence-…`. Tools that are not installed, and tables
 * that the kernel does not have, hold nothing.
 */
import { BOUND_QUEUES, parseBoundQueues } from '../netlink/bound-queues.ts';
import { isUnsupported, SteeringError } from './error.ts';
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
import { CHAIN_PREFIX, type Family, POSTROUTING_CHAIN, TABLES, type Table } from './iptables-rules.ts';
import { hasOurs, type SavedTable } from './iptables-tables.ts';
import { TABLE } from './nftables-rules.ts';
import type { System } from './run.ts';

const FAMILIES: readonly Family[] = [4, 6];

/** Whether the nftables table is there. Throws SteeringError. */
export async function nftablesInstalled(system: System): Promise<boolean> {
  const listed = await supported(system.run('nft', ['list', 'tables', 'inet']));
  return listed?.split('\n').includes(`table inet ${TABLE}`) ?? false;
}

/**
 * Whether rules of ours hand packets themselves over, rather than copies: then what is new is dropped while nobody judges, unless they fail open. Only such need the
 * chains of postrouting. Throws SteeringError.
 */
export async function isQueueing(system: System): Promise<boolean> {
  if (await nftablesInstalled(system)) {
    const chains = await system.run('nft', ['list', 'table', 'inet', TABLE]);
    if (/^\s*chain postrouting\b/m.test(chains)) return true;
  }
  return await anyTable(system, (saved) => saved.has(POSTROUTING_CHAIN), ['mangle']);
}

/**
 * Takes away all that podfence has installed, where rules hand packets themselves over and nobody takes them. Rules that hand over copies are left alone: they hold nothing up.
 * Gives back whether there were such rules. Throws SteeringError, ANSWERED where a process takes the packets: the rules are its own then, and stay.
 */
export async function removeQueueing(system: System): Promise<boolean> {
  if (!(await isQueueing(system))) return false;
  const bound = new Set(parseBoundQueues(system.read(BOUND_QUEUES) ?? '').map(({ queue }) => queue));
  const [answered] = (await ruleQueues(system)).filter((queue) => bound.has(queue));
  if (answered !== undefined) throw alreadyAnswered(answered);
  await removeEverything(system);
  return true;
}

/** The queues that rules of ours hand packets to. */
async function ruleQueues(system: System): Promise<number[]> {
  const texts: string[] = [];
  if (await nftablesInstalled(system)) texts.push(await system.run('nft', ['list', 'table', 'inet', TABLE]));
  await anyTable(system, (saved) => {
    for (const [chain, rules] of saved) if (chain.startsWith(CHAIN_PREFIX)) texts.push(...rules);
    return false;
  });
  return texts.flatMap(queuesOf);
}

/** The queues that a listing of nft or iptables names: `queue to 1-4`, in older words `queue num 1-4`; `--queue-num 1`, `--queue-balance 1:4`. */
export function queuesOf(listing: string): number[] {
  const ranges = listing.matchAll(/(?:\bqueue (?:flags \S+ )?(?:to|num)|--queue-(?:num|balance)) (\d+)(?:[-:](\d+))?/g);
  return [...ranges].flatMap(([, first, last = first]) =>
    Array.from({ length: Number(last) - Number(first) + 1 }, (_, index) => Number(first) + index),
  );
}

function alreadyAnswered(queue: number): SteeringError {
  return new SteeringError(
    'ANSWERED',
    `an agent that enforces runs on this node: it answers queue ${queue}`,
    'stop it first; two agents on one node would undo what the other does',
  );
}

/** Takes away the nftables table. Throws SteeringError. */
export async function removeNftables(system: System): Promise<void> {
  // Only when it is there: to delete a base chain drops the packets of every queue of the namespace (nf_queue_nf_hook_drop).
  if (await nftablesInstalled(system)) await system.run('nft', ['-f', '-'], `delete table inet ${TABLE}\n`);
}

/** Whether any chain of ours is in a table of any family and variant of iptables. Throws SteeringError. */
export async function iptablesInstalled(system: System): Promise<boolean> {
  return await anyTable(system, () => true);
}

/** Takes away the chains in one variant of iptables. Throws SteeringError. */
export async function removeChains(system: System, variant: Variant): Promise<void> {
  for (const family of FAMILIES) {
    let isThere = false;
    for await (const [, saved] of tablesOf(system, variant, family)) isThere ||= hasOurs(saved);
    if (isThere) await writeTables(system, variant, family, []);
  }
}

/** Takes away chains in both variants of iptables, then the sets that they referred to. Throws SteeringError. */
export async function removeIptables(system: System): Promise<void> {
  for (const variant of await variants(system)) await removeChains(system, variant);
  await removeOtherSets(system, []);
}

/** Takes away the sets but for those in `keep`: those of a trial that was killed. No rule may refer to them any more. */
export async function removeOtherSets(system: System, keep: readonly string[]): Promise<void> {
  const ours = ((await supported(listSets(system))) ?? []).filter((name) => name.startsWith(SET_PREFIX));
  for (const name of ours) if (!keep.includes(name)) await destroySet(system, name);
}

/** Takes away all of it. Throws the first SteeringError after having tried the rest. */
export async function removeEverything(system: System): Promise<void> {
  const results = await Promise.allSettled([removeNftables(system), removeIptables(system)]);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

/** A table of iptables that has chains of ours. */
export interface OurTable {
  /** iptables or ip6tables, with the variant where it is not the one that `iptables` stands for here. */
  readonly command: string;
  readonly table: Table;
  readonly saved: SavedTable;
}

/** All of any family and variant. Throws SteeringError. */
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

/** Does it hold for a table of any family and variant of iptables? */
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

/** Undefined where the machine cannot have it. */
export async function supported<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (isUnsupported(error)) return undefined;
    throw error;
  }
}
