/**
 * Watches what other software does to podfence's rules, from the kernel's notices
 * (netlink/nftables-notices.ts). They cover rules of nftables and of iptables' nf_tables variant.
 * The kernel reports nothing about legacy iptables and ipsets; the agent checks those periodically
 * (Steering.findDamage). A notice comes from our own tool if it has the tool's process id.
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

/** A chain's state according to the notices. */
export interface ChainSight {
  /** Number of its rules; undefined if the chain is gone. */
  readonly rules: number | undefined;
  /** Whether other software has left it alone. */
  readonly same: boolean;
  /** Whether the built-in chain still jumps to it. */
  readonly jump: boolean;
}

/** What the notices said about one table. */
export class TableSight {
  /** Whether the table was deleted, and all jumps with it. */
  isGone = false;
  /** Sets that were deleted, or whose elements changed. */
  readonly sets = new Set<string>();
  readonly #chains = new Map<string, { isGone: boolean; isNew: boolean; more: number }>();
  readonly #jumps = new Map<string, boolean>();

  /**
   * Returns the state of a chain.
   * @param rules number of its rules before the notices
   */
  chain(name: string, rules: number): ChainSight {
    const told = this.#chains.get(name);
    const left = told === undefined || told.isNew ? 0 : rules;
    return {
      rules: told?.isGone || (told === undefined && this.isGone) ? undefined : told ? left + told.more : rules,
      same: told === undefined && !this.isGone,
      jump: this.#jumps.get(name) ?? !this.isGone,
    };
  }

  /**
   * Records a notice. Returns whether it concerns podfence. From our own tools, only jumps are
   * recorded.
   */
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
      // iptables' built-in chains disappear with their table, or if they are empty.
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

/** The notices since the last `take`. */
export interface Told {
  /** Whether a notice concerned podfence, or may have: some were lost. */
  readonly any: boolean;
  /** The notices about a table of iptables; undefined if there were none. */
  iptables(family: Family, table: string): TableSight | undefined;
  readonly nftables: TableSight | undefined;
}

export class RuleWatch implements Disposable {
  readonly #notices: NftablesNotices;
  readonly #stopListening: () => void;
  #any = false;
  #sights = new Map<string, TableSight>();

  /**
   * Starts watching at once, in the network namespace of the calling thread. Throws
   * SystemCallError.
   * @param onForeign called when other software has changed something of podfence's, or may have
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
    // Reads the notices while the process id still counts as the tool's.
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
