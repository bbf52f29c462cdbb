/** Finds the labels closest to a selector that matches nothing: what was probably meant. */
import { editDistance } from '../cluster/nearest.ts';
import type { LabelSelector, Labels, NamespaceRecord, PodRecord } from '../cluster/records.ts';
import { recordKey } from '../cluster/records.ts';

/** Something with labels. */
type Labelled = PodRecord | NamespaceRecord;

export interface Closest {
  /** A slip explains the difference: some letters, or a wrong key. Then this was surely meant. */
  readonly isSlip: boolean;
  /** One or more sentences. */
  readonly hint: string;
}

/** A label that a selector asks for, with the values that satisfy it. */
interface Wanted {
  readonly key: string;
  readonly values: readonly string[];
}

/** A replacement for a wanted label that is missing. */
interface Replacement {
  readonly cost: number;
  readonly text: string | undefined;
}

const NO_LIKENESS = 4;
/** Limit on comparisons for all mistakes together: about a second. */
const MOST_COMPARED = 200_000;
const MOST_LISTED = 5;
/** The API's limit for the names and values of labels, in characters. */
const LONGEST_NAME = 63;

export class ClosestLabels {
  #compared = 0;
  /** Values by list of candidates, mostly the same list, and by label key. */
  readonly #values = new WeakMap<readonly Labelled[], Map<string, ReadonlySet<string>>>();

  /** Returns the closest labels of the candidates; undefined if none of them has such keys. */
  find(selector: LabelSelector, candidates: readonly Labelled[]): Closest | undefined {
    const wanted = wantedBy(selector);
    let best: { readonly cost: number; readonly candidate: Labelled; readonly texts: readonly string[] } | undefined;
    for (const candidate of candidates) {
      if (this.#compared > MOST_COMPARED) break;
      const replacements = wanted.map((each) => this.#replacement(each, candidate.labels));
      const cost = replacements.reduce((sum, each) => sum + each.cost, 0);
      if (cost >= (best?.cost ?? Number.POSITIVE_INFINITY)) continue;
      if (replacements.some((each) => each.cost >= NO_LIKENESS)) continue;
      best = { cost, candidate, texts: replacements.flatMap(({ text }) => text ?? []) };
    }
    if (best !== undefined && best.texts.length > 0) {
      return { isSlip: true, hint: `Did you mean ${best.texts.join(', ')}? ${recordKey(best.candidate)} has it.` };
    }
    return this.#listed(wanted, candidates);
  }

  /** Lists the existing values of a wanted key if none of them is a wanted value. */
  #listed(wanted: readonly Wanted[], candidates: readonly Labelled[]): Closest | undefined {
    for (const { key, values } of wanted) {
      const known = this.#valuesOf(key, candidates);
      if (known.size === 0 || values.some((value) => known.has(value))) continue;
      const some = [...known].slice(0, MOST_LISTED).sort();
      const more = known.size > some.length ? ', …' : '';
      return { isSlip: false, hint: `Values of ${key} there: ${some.join(', ')}${more}.` };
    }
    return undefined;
  }

  #valuesOf(key: string, candidates: readonly Labelled[]): ReadonlySet<string> {
    const byKey = this.#values.get(candidates) ?? new Map<string, ReadonlySet<string>>();
    this.#values.set(candidates, byKey);
    let values = byKey.get(key);
    if (values === undefined) {
      const having = candidates.filter(({ labels }) => Object.hasOwn(labels, key));
      values = new Set(having.map(({ labels }) => labels[key] as string));
      byKey.set(key, values);
    }
    return values;
  }

  #replacement({ key, values }: Wanted, labels: Labels): Replacement {
    const own = Object.hasOwn(labels, key) ? labels[key] : undefined;
    if (own !== undefined && values.includes(own)) return { cost: 0, text: undefined };
    const entries = Object.entries(labels);
    this.#compared += 1 + entries.length;
    if (own !== undefined && values.some((value) => isLike(value, own))) return { cost: 1, text: `${key}: ${own}` };
    // The value under another key: `name` for `kubernetes.io/metadata.name`, `app` for
    // `app.kubernetes.io/name`.
    for (const [other, value] of entries) {
      if (!values.includes(value)) continue;
      if (isLike(key, other)) return { cost: 1, text: `${other}: ${value}` };
      if (isTelling(value)) return { cost: 2, text: `${other}: ${value}` };
    }
    return { cost: NO_LIKENESS, text: undefined };
  }
}

function wantedBy({ matchLabels, matchExpressions }: LabelSelector): readonly Wanted[] {
  const equal = Object.entries(matchLabels).map(([key, value]) => ({ key, values: [value] }));
  return [...equal, ...matchExpressions.filter(({ operator }) => operator === 'In')];
}

/**
 * Whether two texts differ by a slip only. Stricter than a hint: `api` and `app` are different
 * names, and so are `web-1` and `web-2`, `team-a` and `team-b`.
 */
export function isLike(a: string, b: string): boolean {
  const length = Math.max(a.length, b.length);
  if (length > LONGEST_NAME || Math.abs(a.length - b.length) > length / 4 || withoutNumbers(a) === withoutNumbers(b))
    return false;
  return editDistance(a.toLowerCase(), b.toLowerCase()) <= Math.floor(length / 4);
}

function withoutNumbers(text: string): string {
  return text.replaceAll(/[-_.]*(?:\d+|(?<![A-Za-z])[A-Za-z](?![A-Za-z]))/g, '');
}

/** Whether a value says something without its key, unlike `true`, `1` and `v2`. */
function isTelling(value: string): boolean {
  return value.length > 2 && !/^(?:true|false|yes|no|none|enabled|disabled|default|v?\d[\d.]*)$/i.test(value);
}
