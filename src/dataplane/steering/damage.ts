/**
 * Compares the steering in the kernel with the wanted one, and describes what other software has
 * changed. rule-watch.ts hears of changes; `findDamage` of each kind of steering reads the rules.
 */
import type { AddressSet } from './ipset.ts';
import type { Chain } from './iptables-rules.ts';
import { hasJump, type SavedTable, sameRules } from './iptables-tables.ts';
import {
  hasSameHook,
  hasSameRules,
  type NftChain,
  type PresentTable,
  SETS,
  type SetName,
  TABLE,
} from './nftables-rules.ts';
import type { ChainSight, TableSight } from './rule-watch.ts';
import { type Damage, difference } from './state.ts';

/** Returns the damage of a set of steered addresses. */
function setDamage(
  name: string,
  present: ReadonlySet<string> | undefined,
  wanted: ReadonlySet<string>,
): readonly Damage[] {
  if (present === undefined)
    return [{ what: `set ${name} is gone, with ${count(wanted.size, 'address')}`, opens: true }];
  const { add: missing, remove: foreign } = difference(present, wanted);
  const damage: Damage[] = [];
  if (missing.length > 0)
    damage.push({ what: `set ${name} lacks ${missing.length} of ${count(wanted.size, 'address')}`, opens: true });
  if (foreign.length > 0)
    damage.push({ what: `set ${name} has ${count(foreign.length, 'address')} too many`, opens: false });
  return damage;
}

/** Returns the damage of an ipset. */
export function ipsetDamage(name: string, present: AddressSet | undefined, wanted: AddressSet): readonly Damage[] {
  return setDamage(name, present?.addresses, wanted.addresses);
}

/** Returns the state of an iptables chain from the saved table. */
export function sightOf(saved: SavedTable, chain: Chain): ChainSight {
  const rules = saved.get(chain.name);
  return { rules: rules?.length, same: sameRules(rules, chain.rules), jump: hasJump(saved, chain) };
}

/**
 * Returns the damage of an iptables chain and its jump.
 * @param command iptables or ip6tables
 */
export function chainDamage(
  command: string,
  { rules, same, jump }: ChainSight,
  chain: Chain,
  chains: readonly Chain[],
): readonly Damage[] {
  const where = `${command}, table ${chain.table}`;
  const opens = isOpenWithout(chain, chains);
  const damage: Damage[] = [];
  if (!same) damage.push({ what: `${where}: ${changed(chain.name, rules)}`, opens });
  if (!jump) damage.push({ what: `${where}: the jump from ${chain.hook} to ${chain.name} is gone`, opens });
  return damage;
}

/** Returns the damage of the nftables table that the kernel has reported. */
export function toldNftablesDamage(told: TableSight, chains: readonly NftChain[]): readonly Damage[] {
  if (told.isGone) return [{ what: `nftables, table inet ${TABLE} is gone`, opens: true }];
  const where = `nftables, table inet ${TABLE}`;
  const damage: Damage[] = [...told.sets].map((name) => ({ what: `${where}: set ${name} was changed`, opens: true }));
  for (const chain of chains) {
    const { rules, same } = told.chain(chain.name, chain.rules.length);
    if (!same) damage.push({ what: `${where}: ${changed(chain.name, rules)}`, opens: isNftOpenWithout(chain, chains) });
  }
  return damage;
}

/** Returns the damage of the nftables table. */
export function nftablesDamage(
  present: PresentTable | undefined,
  chains: readonly NftChain[],
  sets: Readonly<Record<SetName, ReadonlySet<string>>>,
): readonly Damage[] {
  if (present === undefined) return [{ what: `nftables, table inet ${TABLE} is gone`, opens: true }];
  const where = `nftables, table inet ${TABLE}`;
  const damage: Damage[] = [];
  for (const name of Object.keys(SETS) as SetName[])
    damage.push(...setDamage(name, present.sets.get(name), sets[name]));
  for (const chain of chains) {
    const there = present.chains.get(chain.name);
    if (there !== undefined && hasSameRules(chain, there) && hasSameHook(chain, there)) continue;
    const opens = isNftOpenWithout(chain, chains);
    damage.push({ what: `${where}: ${changed(chain.name, there?.comments.length)}`, opens });
  }
  for (const name of present.chains.keys()) {
    if (!chains.some((chain) => chain.name === name))
      damage.push({ what: `${where}: chain ${name} is not podfence's`, opens: false });
  }
  return damage;
}

/**
 * Whether packets may pass without this chain. With `deny: reject` a worker accepts a denied
 * packet, and only the other chains stop it, so every chain counts.
 */
function isOpenWithout({ hook }: Chain, chains: readonly Chain[]): boolean {
  const rejects = chains.some((each) => each.table === 'filter');
  return rejects || hook === 'FORWARD';
}

function isNftOpenWithout({ name }: NftChain, chains: readonly NftChain[]): boolean {
  return name === 'forward' || chains.some((each) => each.name === 'answer');
}

/** @param rules number of its rules; undefined if the chain is gone */
function changed(chain: string, rules: number | undefined): string {
  if (rules === undefined) return `chain ${chain} is gone`;
  return rules === 0 ? `chain ${chain} is empty` : `chain ${chain} has other rules`;
}

function count(number: number, noun: 'address'): string {
  return `${number} ${number === 1 ? noun : `${noun}es`}`;
}
