/**
 * The query of `/flows`: which flows to show. Its parameters are also flags of `podfence flows`.
 */
import { VERDICTS, type Verdict } from '../filter/verdict.ts';
import type { Flow } from './flow.ts';

export interface FlowFilter {
  readonly verdict?: Verdict;
  /** `namespace/name` of either end. */
  readonly pod?: string;
  /** Destination port. */
  readonly port?: number;
  /** As in `Flow`. */
  readonly protocol?: string;
  /** `namespace/name` of a policy that decided. */
  readonly policy?: string;
}

export interface FlowQuery extends FlowFilter {
  /** How many earlier lines to show. @default DEFAULT_LAST */
  readonly last?: number;
  /** Whether to go on with new lines. @default true */
  readonly follow?: boolean;
}

export const DEFAULT_LAST = 200;
const MAX_PORT = 65_535;
const VERDICTS_TEXT = 'allow, deny or would_deny';
const NAMES = /^[^/\s]+\/[^/\s]+$/;

/** Reads the value of a parameter. Returns a string if it is invalid: what it must be. */
const WORDS: Readonly<Record<string, (text: string) => FlowQuery | string>> = {
  verdict: (text) => {
    const verdict = VERDICTS.find((each) => each === text);
    return verdict === undefined ? VERDICTS_TEXT : { verdict };
  },
  pod: (text) => (NAMES.test(text) ? { pod: text } : 'NAMESPACE/NAME of a pod'),
  port: portFilter,
  policy: (text) => (NAMES.test(text) ? { policy: text } : 'NAMESPACE/NAME of a NetworkPolicy'),
  last: (text) => (/^\d{1,6}$/.test(text) ? { last: Number(text) } : 'a whole number'),
  follow: (text) => (text === 'yes' || text === 'no' ? { follow: text === 'yes' } : 'yes or no'),
};

/** Returns the query, and a line for each parameter that it cannot read. */
export function readFlowQuery(words: URLSearchParams): {
  readonly query: FlowQuery;
  readonly mistakes: readonly string[];
} {
  const mistakes: string[] = [];
  let query: FlowQuery = {};
  for (const [word, text] of words) {
    const value = Object.hasOwn(WORDS, word) ? WORDS[word]?.(text) : undefined;
    if (value === undefined) mistakes.push(`${word} is unknown; there are ${Object.keys(WORDS).join(', ')}`);
    else if (typeof value === 'string') mistakes.push(`${word} must be ${value}, not ${JSON.stringify(text)}`);
    else query = { ...query, ...value };
  }
  return { query, mistakes };
}

function portFilter(text: string): FlowQuery | string {
  const [, digits, protocol] = /^(\d{1,5})(?:\/(tcp|udp|sctp))?$/i.exec(text) ?? [];
  const port = Number(digits);
  if (!(port <= MAX_PORT)) return `a port such as 5432 or 53/udp`;
  return { port, ...(protocol !== undefined && { protocol: protocol.toUpperCase() }) };
}

export function matchesFlow({ verdict, pod, port, protocol, policy }: FlowFilter, flow: Flow): boolean {
  return (
    (verdict === undefined || flow.verdict === verdict) &&
    (port === undefined || flow.port === port) &&
    (protocol === undefined || flow.protocol === protocol) &&
    (pod === undefined || isPod(flow.from, pod) || isPod(flow.to, pod)) &&
    (policy === undefined || flow.policies.some(({ namespace, name }) => `${namespace}/${name}` === policy))
  );
}

function isPod(end: Flow['from'], name: string): boolean {
  return end.kind === 'pod' && `${end.namespace}/${end.name}` === name;
}
