/**
 * The model that the page makes of its data. The page contains this function as text: it may use
 * nothing but its arguments and what every browser has.
 */
import type { Explanation } from '../../explain/explanation.ts';
import type { PageData } from './data.ts';

export type PageModel = ReturnType<typeof readModel>;

/** The number of cells in each state. */
export interface Tally {
  allow: number;
  deny: number;
  mixed: number;
  opened: number;
  closed: number;
}

/** How a cell looks. */
export type Look = 'none' | 'allow' | 'deny' | 'part' | 'opened' | 'closed' | 'changed';

export function readModel(data: PageData) {
  const cells = data.rows.map((row) => row.split(','));
  const verdicts: Record<string, 'allow' | 'deny' | 'mixed'> = {
    ...{ a: 'allow', o: 'allow', d: 'deny', c: 'deny', m: 'mixed', p: 'mixed', q: 'mixed' },
  };
  const changes: Record<string, 'opened' | 'closed'> = { o: 'opened', p: 'opened', c: 'closed', q: 'closed' };

  /** See interned.ts. */
  function valueAt(index: number): unknown {
    const value = data.values[index];
    if (Array.isArray(value)) return value.map(valueAt);
    if (typeof value !== 'object' || value === null) return value;
    const fields = Object.entries(value as Record<string, number | number[]>);
    const [[key, lines] = []] = fields;
    if (key === '\n' && Array.isArray(lines)) return lines.map(valueAt).join('\n');
    return Object.fromEntries(fields.map(([name, each]) => [name, valueAt(each as number)]));
  }

  function state(from: number, to: number, port: number) {
    const letter = cells[from]?.[to]?.[port] ?? '';
    const verdict = verdicts[letter];
    return verdict === undefined ? undefined : { verdict, change: changes[letter] };
  }

  /** @param title of the port to count; empty for all ports */
  function tally(from: readonly number[], to: readonly number[], title: string): Tally {
    const found = { allow: 0, deny: 0, mixed: 0, opened: 0, closed: 0 };
    for (const i of from) {
      for (const j of to) {
        for (const [k, port] of (data.ends[j]?.ports ?? []).entries()) {
          const each = title === '' || port.title === title ? state(i, j, k) : undefined;
          if (each === undefined) continue;
          found[each.verdict]++;
          if (each.change !== undefined) found[each.change]++;
        }
      }
    }
    return found;
  }

  function look({ allow, deny, mixed, opened, closed }: Tally): Look {
    if (opened + closed > 0) return closed === 0 ? 'opened' : opened === 0 ? 'closed' : 'changed';
    if (allow + deny + mixed === 0) return 'none';
    if (deny + mixed === 0) return 'allow';
    return allow + mixed === 0 ? 'deny' : 'part';
  }

  /** Returns the explanation, and after a change the one before; none if the page leaves it out. */
  function explanations(from: number, to: number, port: number): readonly Explanation[] {
    return (data.explanations[`${from} ${to} ${port}`] ?? []).map((index) => valueAt(index) as Explanation);
  }

  /** The number of ends that have each port, by the port's title. */
  const ports = new Map<string, number>();
  for (const { title } of data.ends.flatMap((end) => end.ports)) ports.set(title, (ports.get(title) ?? 0) + 1);
  const byNumber = (a: string, b: string) => Number(/\d+/.exec(a) ?? 1e6) - Number(/\d+/.exec(b) ?? 1e6);

  return {
    data,
    state,
    tally,
    look,
    explanations,
    ports: [...ports].sort(([a], [b]) => byNumber(a, b)),
    characters: { none: '', allow: '●', deny: '·', part: '◐', opened: '+', closed: '−', changed: '±' } as Record<
      Look,
      string
    >,
  };
}
