/**
 * The sign that an agent leaves beside its kernel rules: an entry of a set that expires, renewed every few seconds. The kernel counts its remaining time down, so that the next
 * agent can tell how long ago it was renewed, whatever the clock says by then. No rule refers to it. It goes with the rules, and with the kernel.
 */
import { SET_PREFIX } from './ipset.ts';
import { TABLE } from './nftables-rules.ts';
import type { SignWord } from './state.ts';

export interface Sign {
  readonly word: SignWord;
  /** Since it was renewed, in whole seconds, rounded up. */
  readonly secondsAgo: number;
}

/** An agent that runs renews its sign so often, in ms. */
export const SIGN_PERIOD = 10_000;

/** In iptables' world an ipset, and a set of the table in nftables'. */
export const SIGN_IPSET = `${SET_PREFIX}sign`;
export const SIGN_SET = 'sign';

/** An address stands for the sign, since sets of addresses are what both worlds surely have; the word is its comment. */
const ENTRY = '127.0.0.1';
/** The longest that ipset takes, in seconds (IPSET_MAX_TIMEOUT in the kernel's linux/netfilter/ipset/ip_set.h): 24 days. */
const LIFE = 2_147_483;

/** The input of `ipset -exist restore` that renews the sign. */
export function ipsetSign(word: SignWord): string {
  return [
    `create ${SIGN_IPSET} hash:ip family inet hashsize 64 maxelem 1 timeout ${LIFE} comment`,
    `add ${SIGN_IPSET} ${ENTRY} timeout ${LIFE} comment "${word}"`,
    '',
  ].join('\n');
}

/** The input of `nft -f -` that renews the sign in the table, which must be there. */
export function nftSign(word: SignWord): string {
  return [
    `add set inet ${TABLE} ${SIGN_SET} { type ipv4_addr; flags timeout; }`,
    `flush set inet ${TABLE} ${SIGN_SET}`,
    `add element inet ${TABLE} ${SIGN_SET} { ${ENTRY} timeout ${LIFE}s comment "${word}" }`,
    '',
  ].join('\n');
}

/** Reads the sign out of the text of `ipset save`; undefined where there is none. */
export function parseIpsetSign(text: string): Sign | undefined {
  const [, rest, word] = new RegExp(`^add ${SIGN_IPSET} \\S+ timeout (\\d+) comment "(\\w+)"`, 'm').exec(text) ?? [];
  return signOf(word, Number(rest));
}

/** The same of the output of `nft -j list table`. */
export function parseNftSign(json: string): Sign | undefined {
  const { nftables } = JSON.parse(json) as {
    nftables: readonly { set?: { name: string; elem?: readonly unknown[] } }[];
  };
  const [entry] = nftables.find(({ set }) => set?.name === SIGN_SET)?.set?.elem ?? [];
  const { elem } = (entry ?? {}) as { elem?: { expires?: number; comment?: string } };
  return signOf(elem?.comment, elem?.expires ?? Number.NaN);
}

/** @param rest of its life, in seconds */
function signOf(word: string | undefined, rest: number): Sign | undefined {
  if ((word !== 'judging' && word !== 'stopped') || !(rest >= 0 && rest <= LIFE)) return undefined;
  return { word, secondsAgo: LIFE - rest };
}
