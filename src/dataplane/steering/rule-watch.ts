/**
 * What other software does to podfence's rules, told by the kernel as it happens (netlink/nftables-notices.ts): rules of nftables and of iptables' nf_tables variant. Of legacy iptables and of
 * ipsets the kernel tells nothing; those are looked at now and then (Steering.findDamage). What our own tools do is known by the tool's process.
 */
import {
  NFPROTO_INET,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  NFT_MSG_DELCHAIN,
  NFT_MSG_DELRULE,
  NFT_MSG_DELTABLE,
  NFT_MSG_NEWCHAIN,
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWTABLE,
} from '../../netlink/constants.ts';
import { NftablesNotices, type TableFilter, type TableNotice } from '../../netlink/nftables-notices.ts';
import { CHAIN_PREFIX, type Family, HOOKS, TABLES } from './iptables-rules.ts';
import { SETS, TABLE } from './nftables-rules.ts';
import { isOwnTool, onToolEnd } from './run.ts';

const WATCHED: readonly TableFilter[] = [
  { table: TABLE },
  ...TABLES.map((table) => ({ table, chains: [CHAIN_PREFIX, ...HOOKS] })),
];

/** A chain as far as notices tell. */
export interface ChainSight {
  /** Rules that it has; undefined where it is gone. */
  readonly rules: number | undefined;
  /** Whether nobody else has touched it. */
  readonly same: boolean;
  /** Whether the built-in chain still jumps to it. */
  readonly jump: boolean;
}

/** What was told of one table. */
export class TableSight {
  /** Whether the table went, which takes all jumps with it. */
  isGone = false;
  /** Sets in which elements changed, or which went. */
  readonly sets = new Set<string>();
  readonly #chains = new Map<string, { isGone: boolean; isNew: boolean; more: number }>();
  readonly #jumps = new Map<string, boolean>();

  /** @param rules that it had */
  chain(name: string, rules: number): ChainSight {
    const told = this.#chains.get(name);
    const left = told === undefined || told.isNew ? 0 : rules;
    return {
      rules: told?.isGone || (told === undefined && this.isGone) ? undefined : told ? left + told.more : rules,
      same: told === undefined && !this.isGone,
      jump: this.#jumps.get(name) ?? !this.isGone,
    };
  }

  /** Gives back whether podfence is concerned. Of what its own tools do only the jumps are noted. */
  see(notice: TableNotice, isOwn: boolean): boolean {
    const { type, table, name } = notice;
    const isRule = type === NFT_MSG_NEWRULE || type === NFT_MSG_DELRULE;
    if (isRule && table !== TABLE && !name.startsWith(CHAIN_PREFIX)) return this.#seeJump(notice) && !isOwn;
    if (isOwn) return false;
    if (type === NFT_MSG_DELTABLE) {
      this.isGone = true;
      this.#chains.clear();
      this.#jumps.clear();
      return true;
    }
    if (type === NFT_MSG_NEWTABLE) return false;
    if (isRule || type === NFT_MSG_NEWCHAIN || type === NFT_MSG_DELCHAIN) {
      // Built-in chains of iptables go with their table, or where they are empty.
      if (table !== TABLE && !name.startsWith(CHAIN_PREFIX)) return false;
      const chain = this.#chains.get(name) ?? { isGone: false, isNew: this.isGone, more: 0 };
      this.#chains.set(name, chain);
      if (isRule) chain.more += type === NFT_MSG_NEWRULE ? 1 : -1;
      else Object.assign(chain, { isGone: type === NFT_MSG_DELCHAIN, isNew: true, more: 0 });
      return true;
    }
    if (table !== TABLE || !(name in SETS)) return false;
    this.sets.add(name);
    return true;
  }

  #seeJump({ type, text }: TableNotice): boolean {
    const [chain] = /PODFENCE-[A-Z]+/.exec(text()) ?? [];
    if (chain === undefined) return false;
    this.#jumps.set(chain, type === NFT_MSG_NEWRULE);
    return true;
  }
}

/** What was told since it was taken last. */
export interface Told {
  /** Whether podfence is concerned, or may be: notices were lost. */
  readonly any: boolean;
  /** A table of iptables, if anything was told of it. */
  iptables(family: Family, table: string): TableSight | undefined;
  readonly nftables: TableSight | undefined;
}

export class RuleWatch implements Disposable {
  readonly #notices: NftablesNotices;
  readonly #stopListening: () => void;
  #any = false;
  #sights = new Map<string, TableSight>();

  /**
   * Begins at once, in the network namespace of the calling thread.
   * @param onForeign is called whenever other software has changed something of podfence's, or may have
   * Throws SystemCallError.
   */
  constructor(onForeign: () => void) {
    const told = () => {
      this.#any = true;
      onForeign();
    };
    this.#notices = new NftablesNotices(
      WATCHED,
      (notice) => {
        const key = keyOf(notice.family, notice.table);
        const sight = this.#sights.get(key) ?? new TableSight();
        this.#sights.set(key, sight);
        if (sight.see(notice, isOwnTool(notice.port))) told();
      },
      told,
    );
    // As long as its number is known to be the tool's.
    this.#stopListening = onToolEnd(() => this.#notices.take());
  }

  take(): Told {
    this.#notices.take();
    const any = this.#any;
    const sights = this.#sights;
    this.#any = false;
    this.#sights = new Map();
    return {
      any,
      iptables: (family, table) => sights.get(keyOf(family === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6, table)),
      nftables: sights.get(keyOf(NFPROTO_INET, TABLE)),
    };
  }

  [Symbol.dispose](): void {
    this.#stopListening();
    this.#notices[Symbol.dispose]();
  }
}

function keyOf(family: number, table: string): string {
  return `${family} ${table}`;
}
