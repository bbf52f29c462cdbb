/**
 * Tries whether this kernel and the installed tools accept the exact rules that steering would
 * write. A trial hooks nothing, so no packet meets its rules, and it leaves nothing behind.
 */
import { pid } from 'node:process';
import { isUnsupported, SteeringError } from './error.ts';
import { restoreSet, SET_PREFIX, setOf } from './ipset.ts';
import { chosenVariant, destroySet, restoreSets, restoreTables, type Variant } from './iptables-commands.ts';
import { CHAIN_PREFIX, type Family, renderChains, setName, type Table } from './iptables-rules.ts';
import { chainLines, renderNftChains, SETS } from './nftables-rules.ts';
import type { System } from './run.ts';
import { DEFAULT_MARK, type SteeringState } from './state.ts';

/** The parts of a state that decide which kernel features it needs. */
export type Needs = Pick<SteeringState, 'deny' | 'offload' | 'copiesTo'>;

function demanding(needs: Needs): SteeringState {
  return {
    ...needs,
    queues: { first: 0, count: 2 },
    steeredIPv4: [],
    steeredIPv6: [],
    mark: DEFAULT_MARK,
    fail: 'open',
  };
}

/**
 * Tries the nftables rules with `nft -c`: the kernel checks the whole transaction and then aborts
 * it (nft(8), option --check). Throws SteeringError; any failure other than a missing tool or
 * permission counts as KERNEL_LACKS.
 * @param beforeRouting whether to judge first packets of translated UDP flows in prerouting
 */
export async function tryNftables(system: System, needs: Needs, beforeRouting = false): Promise<void> {
  const table = `podfence-probe-${pid}`;
  const lines = [`add table inet ${table}`];
  for (const [name, type] of Object.entries(SETS)) lines.push(`add set inet ${table} ${name} { type ${type}; }`);
  // As regular chains: removing a base chain drops the packets in all queues of the namespace
  // (nf_queue_nf_hook_drop).
  for (const chain of renderNftChains(demanding(needs), beforeRouting))
    lines.push(...chainLines(table, { ...chain, hook: undefined }));
  await checkTransaction(system, 'nftables cannot steer packets here', lines);
}

/**
 * Tries one nftables rule of the family inet, such as `queue to 0`, in a chain that no packet
 * reaches. Throws SteeringError as tryNftables does.
 */
export async function tryNftRule(system: System, rule: string): Promise<void> {
  const table = `podfence-probe-${pid}`;
  const lines = [`add table inet ${table}`, `add chain inet ${table} probe`, `add rule inet ${table} probe ${rule}`];
  await checkTransaction(system, `nft does not take "${rule}"`, lines);
}

/**
 * Tries the lines of a transaction, which hook nothing. Throws SteeringError as tryNftables does.
 * @param refused the beginning of the error's message
 */
export async function checkTransaction(system: System, refused: string, lines: readonly string[]): Promise<void> {
  await attempt(refused, async () => {
    await system.run('nft', ['-j', 'list', 'tables', 'inet']);
    await system.run('nft', ['-c', '-f', '-'], `${lines.join('\n')}\n`);
  });
}

/**
 * Tries the iptables rules in chains and sets with names of their own, and removes those again.
 * IPv6 may be missing: IptablesSteering finds that out, and whether it matters. Throws
 * SteeringError; any failure other than a missing tool or permission counts as KERNEL_LACKS.
 */
export async function tryIptables(system: System, needs: Needs): Promise<void> {
  const variant = await chosenVariant(system);
  await attempt('iptables cannot steer packets here', () => tryFamily(system, variant, 4, needs));
  try {
    await attempt('ip6tables cannot steer packets here', () => tryFamily(system, variant, 6, needs));
  } catch (error) {
    if (!isUnsupported(error)) throw error;
  }
}

async function tryFamily(system: System, variant: Variant, family: Family, needs: Needs): Promise<void> {
  const chain = `${CHAIN_PREFIX}PROBE-${pid}`;
  const set = `${SET_PREFIX}probe-${pid}-${family}`;
  const rules = new Map<Table, string[]>();
  for (const { table, rules: more } of renderChains(family, demanding(needs), 'mangle')) {
    rules.set(table, [...(rules.get(table) ?? []), ...more.map((rule) => rule.replaceAll(setName(family), set))]);
  }
  const removal = (table: Table) => `*${table}\n-F ${chain}\n-X ${chain}\nCOMMIT\n`;
  // One run of the tool creates and removes the chain.
  const input = [...rules].map(([table, lines]) => {
    const added = lines.map((rule) => `-A ${chain} ${rule}\n`);
    return `*${table}\n:${chain} - [0:0]\n${added.join('')}COMMIT\n${removal(table)}`;
  });
  try {
    await restoreSets(system, restoreSet(family, undefined, setOf(new Set())).replaceAll(setName(family), set));
    await restoreTables(system, variant, family, input.join(''));
  } catch (error) {
    for (const table of rules.keys()) await restoreTables(system, variant, family, removal(table)).catch(notMade);
    throw error;
  } finally {
    await destroySet(system, set).catch(notMade);
  }
}

/**
 * Tries one iptables rule for IPv4 in the table mangle, such as `-j NFQUEUE --queue-num 0`, in a
 * chain that no packet reaches. Creates the table if it does not exist. Throws SteeringError as
 * tryIptables does.
 */
export async function tryIptablesRule(system: System, rule: string): Promise<void> {
  const variant = await chosenVariant(system);
  const chain = `${CHAIN_PREFIX}PROBE-${pid}`;
  try {
    await attempt(`iptables does not take "${rule}"`, () =>
      restoreTables(system, variant, 4, `*mangle\n:${chain} - [0:0]\n-A ${chain} ${rule}\nCOMMIT\n`),
    );
  } finally {
    await restoreTables(system, variant, 4, `*mangle\n-F ${chain}\n-X ${chain}\nCOMMIT\n`).catch(notMade);
  }
}

/** Tries whether ipset can create sets of addresses. Throws SteeringError as tryIptables does. */
export async function tryIpset(system: System): Promise<void> {
  const set = `${SET_PREFIX}probe-${pid}`;
  try {
    await attempt('ipset has no sets of addresses here', () =>
      restoreSets(system, restoreSet(4, undefined, setOf(new Set())).replaceAll(setName(4), set)),
    );
  } finally {
    await destroySet(system, set).catch(notMade);
  }
}

/** A failed trial may not have created what its cleanup removes. */
function notMade(): void {}

async function attempt(refused: string, trial: () => Promise<void>): Promise<void> {
  try {
    await trial();
  } catch (error) {
    if (!(error instanceof SteeringError)) throw error;
    const code = error.code === 'FAILED' ? 'KERNEL_LACKS' : error.code;
    throw new SteeringError(code, `${refused}: ${error.message}`, error.hint);
  }
}
