/** Reads and writes tables and sets with the commands of iptables and ipset. */
import { setTimeout as delay } from 'node:timers/promises';
import { isUnsupported, SteeringError } from './error.ts';
import { type AddressSet, parseSet } from './ipset.ts';
import { type Chain, type Family, setName, TABLES, type Table } from './iptables-rules.ts';
import { parseSave, restoreInput, type SavedTable } from './iptables-tables.ts';
import type { System } from './run.ts';

/**
 * The kernel stores iptables rules in two places, legacy x_tables and nf_tables, and packets pass
 * through both. We write to the one that `iptables` stands for on this machine, as other software
 * does. The other one may have rules of an earlier podfence whose image had another iptables.
 */
export interface Variant {
  readonly suffix: '' | '-legacy' | '-nft';
  readonly legacy: boolean;
}

/** Returns the variant of the command `iptables`. Throws SteeringError TOOL_MISSING. */
export async function chosenVariant(system: System): Promise<Variant> {
  const version = await system.run('iptables', ['-V']);
  return { suffix: '', legacy: !version.includes('nf_tables') };
}

export function otherVariant({ legacy }: Variant): Variant {
  return legacy ? { suffix: '-nft', legacy: false } : { suffix: '-legacy', legacy: true };
}

/** Reads a table from the kernel. Throws SteeringError. */
export async function readTable(system: System, variant: Variant, family: Family, table: Table): Promise<SavedTable> {
  return parseSave(await system.run(`${commandOf(family, variant)}-save`, ['-t', table]));
}

/** Whether the table exists. Listing a missing table with legacy iptables would create it. */
export function tableExists(system: System, variant: Variant, family: Family, table: Table): boolean {
  if (!variant.legacy) return true;
  const names = system.read(`/proc/thread-self/net/ip${family === 6 ? '6' : ''}_tables_names`) ?? '';
  return names.split('\n').includes(table);
}

/**
 * Whether a family supports a table; creates the table if it does not exist. A kernel may lack one
 * of legacy iptables' tables (CONFIG_IP_NF_SECURITY). Throws SteeringError.
 */
export async function canHaveTable(system: System, variant: Variant, family: Family, table: Table): Promise<boolean> {
  if (tableExists(system, variant, family, table)) return true;
  try {
    await readTable(system, variant, family, table);
    return true;
  } catch (error) {
    if (isUnsupported(error)) return false;
    throw error;
  }
}

/**
 * Other programs change the tables too, so a table may have changed between reading and writing.
 */
const ATTEMPTS = 3;

/**
 * Writes the tables of a family so that podfence has exactly the chains `wanted`: one commit per
 * table, in the order of the chains, and none for a table that needs no change. Throws
 * SteeringError.
 */
export async function writeTables(
  system: System,
  variant: Variant,
  family: Family,
  wanted: readonly Chain[],
): Promise<void> {
  const others = TABLES.filter((table) => tableExists(system, variant, family, table));
  const tables = new Set<Table>([...wanted.map((chain) => chain.table), ...others]);
  for (let attempt = 1; ; attempt++) {
    let input = '';
    for (const table of tables) {
      const saved = await readTable(system, variant, family, table);
      input += restoreInput(
        table,
        saved,
        wanted.filter((chain) => chain.table === table),
      );
    }
    if (input === '') return;
    try {
      return await restoreTables(system, variant, family, input);
    } catch (error) {
      if (
        attempt === ATTEMPTS ||
        !(error instanceof SteeringError && (error.code === 'FAILED' || error.code === 'BUSY'))
      )
        throw error;
    }
  }
}

/** Options of iptables-restore: keep what the input does not name, and wait 5 s for the lock. */
export const RESTORE = ['--noflush', '-w', '5'];

/**
 * Runs iptables-restore with `input`. It waits up to 5 s for the lock of legacy iptables. Throws
 * SteeringError.
 */
export async function restoreTables(system: System, variant: Variant, family: Family, input: string): Promise<void> {
  await system.run(`${commandOf(family, variant)}-restore`, RESTORE, input);
}

/** `iptables`, `ip6tables-legacy`. */
export function commandOf(family: Family, { suffix }: Variant): string {
  return `ip${family === 6 ? '6' : ''}tables${suffix}`;
}

/** Returns the names of all sets, foreign ones included. Throws SteeringError. */
export async function listSets(system: System): Promise<string[]> {
  return (await system.run('ipset', ['list', '-name'])).split('\n').filter((name) => name !== '');
}

/** Reads the set of steered addresses; undefined if it does not exist. Throws SteeringError. */
export async function readSet(system: System, family: Family): Promise<AddressSet | undefined> {
  const name = setName(family);
  try {
    return parseSet(await readSetText(system, name), name);
  } catch (error) {
    if (error instanceof SteeringError && error.message.includes('set with the given name does not exist'))
      return undefined;
    throw error;
  }
}

/** Returns the output of `ipset save` for a set. Throws SteeringError. */
export async function readSetText(system: System, name: string): Promise<string> {
  return await system.run('ipset', ['save', name]);
}

/** Creating what exists or deleting what does not is no error. */
export const RESTORE_SETS = ['-exist', 'restore'];

/**
 * Runs `ipset restore` with `input`, unless it is empty. Throws SteeringError.
 */
export async function restoreSets(system: System, input: string): Promise<void> {
  if (input !== '') await system.run('ipset', RESTORE_SETS, input);
}

/**
 * nf_tables releases the sets of deleted rules shortly after the commit (an RCU grace period): wait
 * up to 50 times 10 ms.
 */
const DESTROY_ATTEMPTS = 50;
const DESTROY_WAIT_MS = 10;

/** Destroys a set that no rule refers to any more. Throws SteeringError. */
export async function destroySet(system: System, name: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await system.run('ipset', ['destroy', name]);
      return;
    } catch (error) {
      const inUse = error instanceof SteeringError && error.message.includes('in use by a kernel component');
      if (!inUse || attempt === DESTROY_ATTEMPTS) throw error;
    }
    await delay(DESTROY_WAIT_MS);
  }
}
