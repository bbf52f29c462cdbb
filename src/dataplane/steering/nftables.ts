/** Steering with nftables: one table of family inet, each change one transaction. */
import { nftablesDamage, toldNftablesDamage } from './damage.ts';
import { notApplied } from './error.ts';
import { nftablesInstalled, removeEverything, removeIptables, removeNftables } from './leftovers.ts';
import {
  elementLines,
  type ListedChain,
  type PresentTable,
  presentChains,
  renderNftChains,
  renderRestoration,
  renderTransaction,
  SETS,
  type SetName,
  TABLE,
} from './nftables-rules.ts';
import { RuleWatch } from './rule-watch.ts';
import type { System } from './run.ts';
import { nftSign, SIGN_SET } from './sign.ts';
import { StandbyTools } from './standby-tools.ts';
import {
  type ApplyProgress,
  canonicalAddresses,
  type Damage,
  isRetractable,
  type SignWord,
  type Steering,
  type SteeringState,
  validateState,
} from './state.ts';

/** nft treats its input as one transaction. */
const FROM_INPUT = ['-f', '-'];

type Sets = Readonly<Record<SetName, ReadonlySet<string>>>;

export class NftablesSteering implements Steering {
  readonly kind = 'nftables';
  readonly told = 'rules and sets';
  readonly caveats = [];
  readonly beforeRouting: boolean;
  readonly #system: System;
  /** The state applied last. */
  #state: SteeringState | undefined;
  /** The sets as last written; undefined if the kernel's are unknown. */
  #sets: Sets | undefined;
  #progress: ApplyProgress = 'nothing';
  #watch: RuleWatch | undefined;
  readonly #standby: StandbyTools;

  /**
   * @param beforeRouting whether to judge first packets of translated UDP flows in prerouting; see
   * state.ts
   */
  constructor(system: System, beforeRouting = false) {
    this.#system = system;
    this.beforeRouting = beforeRouting;
    this.#standby = new StandbyTools(system);
  }

  watch(onForeign: () => void): void {
    this.#watch ??= new RuleWatch(onForeign);
  }

  unwatch(): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
    this.#standby.end();
  }

  #prepare(): void {
    if (this.#watch !== undefined) this.#standby.prepare('nft', FROM_INPUT);
  }

  async restoreTold(): Promise<readonly Damage[] | undefined> {
    const told = this.#watch?.take();
    if (!told?.any || !this.#state) return undefined;
    if (!told.nftables) return [];
    const chains = renderNftChains(this.#state, this.beforeRouting);
    const { steeredIPv4, steeredIPv6 } = this.#state;
    const damage = toldNftablesDamage(told.nftables, chains);
    const sets = setsOf(steeredIPv4, steeredIPv6);
    if (damage.length > 0) await this.#standby.run('nft', FROM_INPUT, `${renderRestoration(chains, sets)}\n`);
    return damage;
  }

  async sign(word: SignWord): Promise<void> {
    if (this.#state) await this.#commit(nftSign(word));
  }

  async retract(queueing: readonly string[]): Promise<void> {
    if (isRetractable(this.#progress, queueing) && !queueing.includes('nft')) await removeNftables(this.#system);
  }

  async remove(): Promise<void> {
    this.#state = undefined;
    this.#sets = undefined;
    await removeEverything(this.#system);
  }

  async apply(state: SteeringState, signal?: AbortSignal): Promise<void> {
    validateState(state);
    const sets = setsOf(state.steeredIPv4, state.steeredIPv6);
    this.#sets = undefined;
    const present = (await nftablesInstalled(this.#system)) ? await this.#read() : undefined;
    signal?.throwIfAborted();
    if (this.#progress === 'nothing') this.#progress = 'written';
    await this.#commit(renderTransaction(present, renderNftChains(state, this.beforeRouting), sets));
    this.#sets = sets;
    this.#state = state;
    signal?.throwIfAborted();
    this.#progress = 'replacing';
    // Our rules are in force now. Until here the rules of an earlier process stopped denied
    // packets.
    await removeIptables(this.#system);
    this.#prepare();
  }

  async setSteered(ipv4: readonly string[], ipv6: readonly string[]): Promise<readonly Damage[]> {
    if (!this.#state) throw notApplied();
    const state = { ...this.#state, steeredIPv4: ipv4, steeredIPv6: ipv6 };
    const present = this.#sets;
    if (!present) {
      await this.apply(state);
      return [];
    }
    const wanted = setsOf(ipv4, ipv6);
    const names = Object.keys(SETS) as SetName[];
    try {
      const changes = names.flatMap((name) => elementLines(name, present[name], wanted[name])).join('\n');
      // A pod that starts waits for this.
      if (changes !== '') await this.#standby.run('nft', FROM_INPUT, `${changes}\n`);
      this.#prepare();
    } catch {
      // Other software has changed our table: read what is there and restore everything.
      const damage = await this.findDamage();
      await this.apply(state);
      return damage;
    }
    this.#sets = wanted;
    this.#state = state;
    return [];
  }

  async findDamage(): Promise<readonly Damage[]> {
    if (!this.#state) throw notApplied();
    this.#prepare();
    const { steeredIPv4, steeredIPv6 } = this.#state;
    const present = (await nftablesInstalled(this.#system)) ? await this.#read() : undefined;
    return nftablesDamage(present, renderNftChains(this.#state, this.beforeRouting), setsOf(steeredIPv4, steeredIPv6));
  }

  async #commit(transaction: string): Promise<void> {
    if (transaction !== '') await this.#system.run('nft', FROM_INPUT, `${transaction}\n`);
  }

  async #read(): Promise<PresentTable> {
    return parseTable(await this.#system.run('nft', ['-j', 'list', 'table', 'inet', TABLE]));
  }
}

function setsOf(ipv4: readonly string[], ipv6: readonly string[]): Sets {
  return { steered4: canonicalAddresses(4, ipv4), steered6: canonicalAddresses(6, ipv6) };
}

/** The parts of libnftables-json(5) that are read here. */
interface Listed extends ListedChain {
  readonly set?: { name: string; type: string; elem?: unknown[] };
}

/** Parses the output of `nft -j list table`. */
export function parseTable(json: string): PresentTable {
  const { nftables } = JSON.parse(json) as { nftables: Listed[] };
  const sets = new Map<string, Set<string> | undefined>();
  for (const { set } of nftables) if (set && set.name !== SIGN_SET) sets.set(set.name, elementsOf(set));
  return { chains: presentChains(nftables), sets };
}

/** Returns a set's elements; undefined if podfence would not create such a set. */
function elementsOf({ name, type, elem = [] }: NonNullable<Listed['set']>): Set<string> | undefined {
  const plain = elem.filter((element) => typeof element === 'string');
  return type === SETS[name as SetName] && plain.length === elem.length ? new Set(plain) : undefined;
}
