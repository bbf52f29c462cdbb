/**
 * A strict reader of Prometheus's text format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/), and the rules for names and units
 * (https://prometheus.io/docs/practices/naming/), as far as a program can check them.
 */

export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly series: readonly Series[];
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*';
const LABEL = '([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\\\\n]|\\\\[\\\\"n])*)"';
const SERIES = new RegExp(`^(${NAME})(?:\\{((?:${LABEL.replaceAll(/\((?!\?)/g, '(?:')},?)*)\\})? (\\S+)$`);

/** Throws for an invalid line, a duplicate family, and a series without HELP and TYPE before it. */
export function parseExposition(text: string): ReadonlyMap<string, Family> {
  const families = new Map<string, { name: string; help: string; type: string; series: Series[] }>();
  let current: { name: string; help: string; type: string; series: Series[] } | undefined;
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, keyword, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (keyword === 'HELP') {
      if (families.has(name)) throw new Error(`${name} comes twice`);
      current = { name, help: rest, type: '', series: [] };
      families.set(name, current);
    } else if (keyword === 'TYPE') {
      if (current?.name !== name) throw new Error(`TYPE of ${name} without its HELP`);
      current.type = rest;
    } else {
      current?.series.push(parseSeries(line, current));
      if (current === undefined) throw new Error(`no HELP before ${line}`);
    }
  }
  return families;
}

function parseSeries(line: string, family: { name: string; type: string }): Series {
  const [, name, labels = '', value = ''] = SERIES.exec(line) ?? [];
  if (name === undefined) throw new Error(`not a series: ${line}`);
  const ends = family.type === 'histogram' ? ['_bucket', '_sum', '_count'] : [''];
  if (family.type === '' || !ends.some((end) => name === family.name + end)) {
    throw new Error(`${line} does not belong to ${family.name}, a ${family.type}`);
  }
  return {
    name,
    labels: Object.fromEntries(Array.from(labels.matchAll(new RegExp(LABEL, 'g')), ([, key, text]) => [key, text])),
    value: parseValue(value),
  };
}

function parseValue(text: string): number {
  const value = text === '+Inf' ? Number.POSITIVE_INFINITY : Number(text);
  if (Number.isNaN(value)) throw new Error(`not a value: ${text}`);
  return value;
}

/** Returns a sentence for each violation of the rules. */
export function lint(families: Iterable<Family>): string[] {
  return Array.from(families).flatMap((family) => [...lintNames(family), ...lintSeries(family)]);
}

/** Units that are not base units, and words for them. */
const OTHER_UNITS =
  /_(ms|us|ns|milliseconds|microseconds|nanoseconds|minutes|hours|kb|mb|kib|mib|kilobytes|megabytes|percent|bits)(_|$)/;

function lintNames({ name, help, type }: Family): string[] {
  const problems: string[] = [];
  const check = (holds: boolean, problem: string) => {
    if (!holds) problems.push(`${name} ${problem}`);
  };
  check(help.length > 10, 'has no help');
  check(['counter', 'gauge', 'histogram'].includes(type), `is a ${type}`);
  check((type === 'counter') === name.endsWith('_total'), `is a ${type}`);
  check(!OTHER_UNITS.test(name), 'has a unit that is no base unit');
  check(!/_(duration|latency|age|time|enforcement)$/.test(name), 'has no unit');
  check(!/[A-Z:]|__/.test(name), 'is not in snake case');
  check(!/_(bucket|count|sum|info_total|counter|gauge|histogram)$/.test(name), 'ends with a reserved word');
  return problems;
}

function lintSeries({ name, type, series }: Family): string[] {
  const problems: string[] = [];
  const seen = new Set<string>();
  for (const each of series) {
    const key = `${each.name}${JSON.stringify(Object.entries(each.labels).sort())}`;
    if (seen.has(key)) problems.push(`${key} comes twice`);
    seen.add(key);
    if (type === 'counter' && !(each.value >= 0)) problems.push(`${key} is below 0`);
  }
  if (type === 'histogram') problems.push(...lintHistogram(name, series));
  return problems;
}

function lintHistogram(name: string, series: readonly Series[]): string[] {
  const problems: string[] = [];
  const others = ({ labels: { le, ...rest } }: Series) => JSON.stringify(rest);
  for (const [labels, group] of Map.groupBy(series, others)) {
    const buckets = group
      .filter((each) => each.name === `${name}_bucket`)
      .map(({ labels: { le = '' }, value }) => ({ bound: parseValue(le), value }));
    const count = group.find((each) => each.name === `${name}_count`)?.value;
    if (!group.some((each) => each.name === `${name}_sum`)) problems.push(`${name}${labels} has no sum`);
    buckets.forEach(({ bound, value }, i) => {
      const before = buckets[i - 1];
      if (before !== undefined && !(bound > before.bound)) problems.push(`${name}${labels} is not sorted`);
      if (before !== undefined && !(value >= before.value)) problems.push(`${name}${labels} is not cumulative`);
    });
    const last = buckets.at(-1);
    if (last?.bound !== Number.POSITIVE_INFINITY) problems.push(`${name}${labels} has no bucket +Inf`);
    if (last?.value !== count) problems.push(`${name}${labels} has another count than its last bucket`);
  }
  return problems;
}
