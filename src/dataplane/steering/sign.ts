/**
 * The sign that an agent leaves beside its kernel rules: a set entry with a timeout, renewed every
 * few seconds. The kernel counts the timeout down, so the next agent can tell how long ago it was
 * renewed, whatever the clock says by then. No rule refers to it. It disappears with the rules, or
 * on reboot.
 */
import { SET_PREFIX } from './ipset.ts';
import { TABLE } from './nftables-rules.ts';
import type { SignWord } from './state.ts';

export interface Sign {
  readonly word: SignWord;
  /** Time since it was renewed, in whole seconds, rounded up. */
  readonly secondsAgo: number;
}

/** How often a running agent renews its sign, in ms. */
export const SIGN_PERIOD = 10_000;

/**
 * With iptables the sign is in an ipset of its own; with nftables, in a set of podfence's table.
 */
export const SIGN_IPSET = `${SET_PREFIX}sign`;
export const SIGN_SET = 'sign';

/**
 * The sign is an address entry, because both ipset and nftables always have sets of addresses. The
 * entry's comment is the word.
 */
const ENTRY = '127.0.0.1';
/**
 * Longest timeout that ipset accepts, in seconds (IPSET_MAX_TIMEOUT in the kernel's
 * linux/netfilter/ipset/ip_set.h): 24 days.
 */
const LIFE = 2_147_483;

/** Returns the input of `ipset -exist restore` that renews the sign. */
export function ipsetSign(word: SignWord): string {
  return [
    `create ${SIGN_IPSET} hash:ip family inet hashsize 64 maxelem 1 timeout ${LIFE} comment`,
    `add ${SIGN_IPSET} ${ENTRY} timeout ${LIFE} comment "${word}"`,
    '',
  ].join('\n');
}

/** Returns the input of `nft -f -` that renews the sign. The table must exist. */
export function nftSign(word: SignWord): string {
  return [
    `add set inet ${TABLE} ${SIGN_SET} { type ipv4_addr; flags timeout; }`,
    `flush set inet ${TABLE} ${SIGN_SET}`,
    `add element inet ${TABLE} ${SIGN_SET} { ${ENTRY} timeout ${LIFE}s comment "${word}" }`,
    '',
  ].join('\n');
}

/** Parses the sign from the output of `ipset save`; undefined if there is none. */
export function parseIpsetSign(text: string): Sign | undefined {
  const [, rest, word] = new RegExp(`^add ${SIGN_IPSET} \\S+ timeout (\\d+) comment "(\\w+)"`, 'm').exec(text) ?? [];
  return signOf(word, Number(rest));
}

/** Parses the sign from the output of `nft -j list table`; undefined if there is none. */
export function parseNftSign(json: string): Sign | undefined {
  const { nftables } = JSON.parse(json) as {
    nftables: readonly { set?: { name: string; elem?: readonly unknown[] } }[];
  };
  const [entry] = nftables.find(({ set }) => set?.name === SIGN_SET)?.set?.elem ?? [];
  const { elem } = (entry ?? {}) as { elem?: { expires?: number; comment?: string } };
  return signOf(elem?.comment, elem?.expires ?? Number.NaN);
}

/** @param rest remaining time of the entry, in seconds */
function signOf(word: string | undefined, rest: number): Sign | undefined {
  if ((word !== 'judging' && word !== 'stopped') || !(rest >= 0 && rest <= LIFE)) return undefined;
  return { word, secondsAgo: LIFE - rest };
}
