/** Steering with iptables and ipset, for IPv4 and, if the machine supports it, IPv6. */
import { chainDamage, ipsetDamage, sightOf } from './damage.ts';
import { isUnsupported, notApplied, SteeringError } from './error.ts';
import { type AddressSet, restoreSet, setOf } from './ipset.ts';
import {
  canHaveTable,
  chosenVariant,
  commandOf,
  destroySet,
  listSets,
  otherVariant,
  RESTORE,
  readSet,
  readTable,
  restoreSets,
  type Variant,
  writeTables,
} from './iptables-commands.ts';
import {
  type Chain,
  type Family,
  maySteerInSecurity,
  type QueueTable,
  renderChains,
  setName,
} from './iptables-rules.ts';
import { restoreToldInput } from './iptables-tables.ts';
import {
  isQueueing,
  nftablesInstalled,
  removeChains,
  removeEverything,
  removeNftables,
  removeOtherSets,
} from './leftovers.ts';
import { type ChainSight, RuleWatch } from './rule-watch.ts';
import type { System } from './run.ts';
import { ipsetSign, SIGN_IPSET } from './sign.ts';
import { StandbyTools } from './standby-tools.ts';
import {
  type ApplyProgress,
  canonicalAddresses,
  type Damage,
  isRetractable,
  type SignWord,
  type Steering,
  type SteeringState,
  type ToldChanges,
  validateState,
} from './state.ts';

const FAMILIES: readonly Family[] = [4, 6];
/** Log lines name the command without its variant. */
const NAMELESS = { suffix: '', legacy: false } as const;

export class IptablesSteering implements Steering {
  readonly kind = 'iptables';
  /** No table of iptables lies between nat and routing in PREROUTING. */
  readonly beforeRouting = false;
  readonly #system: System;
  /** The state applied last. */
  #state: SteeringState | undefined;
  /**
   * The variant when that state was applied. It is kept because finding it out costs a run of
   * iptables.
   */
  #variant: Variant | undefined;
  /** The sets as last written. A family that the machine cannot filter is missing. */
  #sets: ReadonlyMap<Family, AddressSet> = new Map();
  /** Whether a later attempt to write failed, so that the kernel's state is unknown. */
  #isUnknown = false;
  #progress: ApplyProgress = 'nothing';
  #watch: RuleWatch | undefined;
  /** Where each family's packets are queued; a family is missing until that is decided. */
  readonly #queueTables = new Map<Family, QueueTable>();
  readonly #standby: StandbyTools;

  constructor(system: System) {
    this.#system = system;
    this.#standby = new StandbyTools(system);
  }

  get told(): ToldChanges {
    return this.#variant?.legacy ? 'nothing' : 'rules';
  }

  get caveats(): readonly string[] {
    const without = [...this.#queueTables]
      .filter(([, table]) => table === 'mangle')
      .map(([family]) => commandOf(family, NAMELESS));
    if (without.length === 0) return [];
    return [
      `the kernel has no table security for ${without.join(' and ')} (CONFIG_IP_NF_SECURITY, CONFIG_IP6_NF_SECURITY): ` +
        'rules of other software behind podfence in FORWARD of the table mangle do not see the packets that it judges',
    ];
  }

  watch(onForeign: () => void): void {
    this.#watch ??= new RuleWatch(onForeign);
  }

  unwatch(): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
    this.#standby.end();
  }

  #prepare(variant: Variant): void {
    if (this.#watch === undefined || variant.legacy) return;
    for (const family of this.#sets.keys()) this.#standby.prepare(`${commandOf(family, variant)}-restore`, RESTORE);
  }

  async restoreTold(): Promise<readonly Damage[] | undefined> {
    const told = this.#watch?.take();
    const state = this.#state;
    const variant = this.#variant;
    if (!told?.any || !state || !variant) return undefined;
    const damage: Damage[] = [];
    const runs: Promise<string>[] = [];
    for (const family of variant.legacy ? [] : this.#sets.keys()) {
      const chains = this.#render(family, state);
      const sights = new Map<Chain, ChainSight>();
      for (const chain of chains) {
        const sight = told.iptables(family, chain.table)?.chain(chain.name, chain.rules.length);
        if (!sight) continue;
        sights.set(chain, sight);
        damage.push(...chainDamage(commandOf(family, NAMELESS), sight, chain, chains));
      }
      const input = restoreToldInput(chains, (chain) => sights.get(chain));
      if (input !== '') runs.push(this.#standby.run(`${commandOf(family, variant)}-restore`, RESTORE, input));
    }
    for (const run of await Promise.allSettled(runs)) if (run.status === 'rejected') throw run.reason;
    return damage;
  }

  async sign(word: SignWord): Promise<void> {
    if (this.#state) await restoreSets(this.#system, ipsetSign(word));
  }

  async retract(queueing: readonly string[]): Promise<void> {
    const variant = this.#variant;
    if (variant === undefined || !isRetractable(this.#progress, queueing)) return;
    // The predecessor's chains had these names. They are now what they were, or what they were to
    // become.
    if (FAMILIES.some((family) => queueing.includes(commandOf(family, variant)))) return;
    await removeChains(this.#system, variant);
    // The other variant's chains refer to the sets.
    if (queueing.every((command) => command === 'nft')) await removeOtherSets(this.#system, []);
  }

  async remove(): Promise<void> {
    this.#state = undefined;
    this.#sets = new Map();
    await removeEverything(this.#system);
  }

  async apply(state: SteeringState, signal?: AbortSignal): Promise<void> {
    validateState(state);
    const variant = await chosenVariant(this.#system);
    const ipv4 = canonicalAddresses(4, state.steeredIPv4);
    const ipv6 = canonicalAddresses(6, state.steeredIPv6);
    this.#isUnknown = true;
    const sets = new Map<Family, AddressSet>();
    // Deleting a chain drops the packets in all queues (nf_queue_nf_hook_drop). A chain that only
    // copies protects nothing, so delete it now, before there is a queue.
    const hasNftables = await nftablesInstalled(this.#system);
    signal?.throwIfAborted();
    if (hasNftables && !(await isQueueing(this.#system))) await removeNftables(this.#system);
    signal?.throwIfAborted();
    this.#variant = variant;
    if (this.#progress === 'nothing') this.#progress = 'written';
    sets.set(4, await this.#applyFamily(4, variant, state, ipv4));
    signal?.throwIfAborted();
    try {
      sets.set(6, await this.#applyFamily(6, variant, state, ipv6));
    } catch (error) {
      if (!isUnsupported(error)) throw error;
      if (ipv6.size > 0) throw ipv6Missing(error.message);
    }
    signal?.throwIfAborted();
    this.#state = state;
    this.#sets = sets;
    this.#isUnknown = false;
    this.#progress = 'replacing';
    // Our rules are in force now. Until here the rules of an earlier process stopped denied
    // packets.
    await removeChains(this.#system, otherVariant(variant));
    if (hasNftables) await removeNftables(this.#system);
    await removeOtherSets(this.#system, [setName(4), setName(6), SIGN_IPSET]);
    this.#prepare(variant);
  }

  async findDamage(): Promise<readonly Damage[]> {
    if (!this.#state) throw notApplied();
    const variant = this.#variant ?? (await chosenVariant(this.#system));
    this.#prepare(variant);
    const damage: Damage[] = [];
    for (const [family, wanted] of this.#sets) {
      damage.push(...ipsetDamage(setName(family), await readSet(this.#system, family), wanted));
      const chains = this.#render(family, this.#state);
      for (const [table, ofTable] of Map.groupBy(chains, (chain) => chain.table)) {
        const saved = await readTable(this.#system, variant, family, table);
        for (const chain of ofTable)
          damage.push(...chainDamage(commandOf(family, NAMELESS), sightOf(saved, chain), chain, chains));
      }
    }
    return damage;
  }

  #render(family: Family, state: SteeringState): Chain[] {
    return renderChains(family, state, this.#queueTables.get(family) ?? 'mangle');
  }

  /** Writes the set before the rules that refer to it. Returns the set. */
  async #applyFamily(
    family: Family,
    variant: Variant,
    state: SteeringState,
    steered: ReadonlySet<string>,
  ): Promise<AddressSet> {
    const unfinished = `${setName(family)}-new`;
    const names = await listSets(this.#system);
    if (names.includes(unfinished)) await destroySet(this.#system, unfinished);
    const present = names.includes(setName(family)) ? await readSet(this.#system, family) : undefined;
    const wanted = setOf(steered, present);
    await restoreSets(this.#system, restoreSet(family, present, wanted));
    if (maySteerInSecurity(state) && !this.#queueTables.has(family)) {
      const hasSecurity = await canHaveTable(this.#system, variant, family, 'security');
      this.#queueTables.set(family, hasSecurity ? 'security' : 'mangle');
    }
    await writeTables(this.#system, variant, family, this.#render(family, state));
    return wanted;
  }

  async setSteered(ipv4: readonly string[], ipv6: readonly string[]): Promise<readonly Damage[]> {
    if (!this.#state) throw notApplied();
    const state = { ...this.#state, steeredIPv4: ipv4, steeredIPv6: ipv6 };
    if (this.#isUnknown) {
      await this.apply(state);
      return [];
    }
    const wanted = new Map<Family, AddressSet>();
    let input = '';
    for (const family of [4, 6] as const) {
      const addresses = canonicalAddresses(family, family === 4 ? ipv4 : ipv6);
      const present = this.#sets.get(family);
      if (!present) {
        // The machine may not support this family: apply finds out, and throws if that matters.
        if (addresses.size > 0) {
          await this.apply(state);
          return [];
        }
        continue;
      }
      const set = setOf(addresses, present);
      input += restoreSet(family, present, set);
      wanted.set(family, set);
    }
    try {
      await restoreSets(this.#system, input);
    } catch {
      // Other software has changed our sets: read what is there and restore everything.
      const damage = await this.findDamage();
      await this.apply(state);
      return damage;
    }
    this.#sets = new Map([...this.#sets, ...wanted]);
    this.#state = state;
    return [];
  }
}

function ipv6Missing(why: string): SteeringError {
  return new SteeringError(
    'IPV6_MISSING',
    `isolated IPv6 addresses, but IPv6 packets cannot be filtered here: ${why}`,
    'install ip6tables and its kernel modules, or run the cluster without IPv6',
  );
}
