/** `npm run bench filter`: what a verdict costs, without the kernel. */
import { ALLOCATION_FLAGS } from '../harness/allocation.ts';
import type { Bench, BenchContext } from '../harness/bench.ts';
import { inChild } from '../harness/child.ts';
import { bars } from '../harness/panels.ts';
import { type BenchResult, type MeasuredRow, row, single } from '../harness/result.ts';
import { median, rangeOf } from '../harness/statistics.ts';
import type { Scenario } from './scenario.ts';
import type { VariationAnswer, VariationInput } from './variation-process.ts';
import type { Kind } from './variations.ts';

const PROCESS = new URL('./variation-process.ts', import.meta.url);
const BASE: Scenario = { policies: 100, pods: 100, flows: 1000 };

const PACKETS: readonly Kind[] = [
  'established TCP',
  'established UDP',
  'ICMP error',
  'new flow allowed',
  'new flow denied',
];
const FINDING: readonly Kind[] = [
  'flow lookup, our table',
  'flow lookup, lru-cache by text',
  'flow lookup, lru-cache by number',
];
const ENTERING: readonly Kind[] = [
  'flow entered, our table',
  'flow entered, lru-cache by text',
  'flow entered, lru-cache by number',
];
const SINGLY: Kind = 'established TCP, nothing read ahead';
/** The default capacity of a queue's flow table. */
const DEFAULT_FLOWS = 65_536;
const SCAN: Kind = 'new flow allowed, naive scan of policies';

const FLOWS = [1000, 1_000_000];
const POLICIES = [1, 100, 10_000];
const PODS = [100, 100_000];

/** A row and what it measures. Rows with the same kind and scenario share one measurement. */
interface Line {
  readonly name: string;
  readonly kind: Kind;
  readonly scenario: Scenario;
}

/** The measurements whose allocations are measured, too. */
const ALLOCATING: readonly Line[] = sweep('flows', FLOWS, PACKETS);

const LINES: readonly Line[] = [
  ...(['harness alone', 'decode, TCP', 'decode, UDP'] as const).map((kind) => ({ name: kind, kind, scenario: BASE })),
  ...sweep('flows', FLOWS, [...PACKETS, ...FINDING, ...ENTERING]),
  ...sweep('flows', [DEFAULT_FLOWS], ['established TCP']),
  ...sweep('flows', [1_000_000], [SINGLY]),
  ...sweep('policies', POLICIES, [...PACKETS, SCAN]),
  ...sweep('pods', PODS, [...PACKETS, SCAN]),
];

function sweep(of: keyof Scenario, values: readonly number[], kinds: readonly Kind[]): Line[] {
  return kinds.flatMap((kind) =>
    values.map((value) => ({
      name: `${kind}, ${value.toLocaleString('en')} ${value === 1 && of === 'policies' ? 'policy' : of}`,
      kind,
      scenario: { ...BASE, [of]: value },
    })),
  );
}

/** By measurement: what each of its processes answered. */
type Answers = ReadonlyMap<string, readonly VariationAnswer[]>;

export const bench: Bench = {
  async run(context) {
    const parameters = context.quick
      ? { processes: 1, rounds: 3, roundMs: 40 }
      : { processes: 3, rounds: 5, roundMs: 200 };
    const answers = await measure(context, parameters);
    const allocated = ALLOCATING.map(({ name, kind, scenario }) => {
      const rounds = answersOf(answers, kind, scenario).flatMap((answer) => answer.allocated);
      return row(`allocated, ${name}`, 'bytes/million packets', rounds);
    });
    const medians = allocated.map(({ value }) => value);
    const rows = [
      ...LINES.map(({ name, kind, scenario }) => row(name, 'ns', roundsOf(answers, kind, scenario))),
      ...ratios(answers),
      single('allocated, all kinds of packet', 'bytes/million packets', Math.max(...medians), rangeOf(medians)),
      ...allocated,
    ];
    const notes = [
      'Time of the thread\'s own CPU. It includes the cost of writing the packet, "harness alone".',
      `Unless a row says otherwise: ${BASE.policies} policies, ${BASE.pods} pods, ${BASE.flows.toLocaleString('en')} flows in a full table.`,
      'Allocated: the median of all rounds of all processes, beside it the least and the most; a round in which the compiler runs includes its bytes. "All kinds" is the largest median, with the range of the medians.',
    ];
    return { parameters: { ...parameters, base: { ...BASE } }, rows, notes };
  },
  panels: (result) => [
    panel(result, 'By kind of packet, 1,000 and 1,000,000 flows', 'flows', PACKETS),
    panel(result, 'By policies: a verdict costs the same', 'policies', PACKETS),
    panel(result, 'The same, beside a scan of all policies', 'policies', ['new flow allowed', SCAN], 'log'),
    panel(result, 'By pods', 'pods', PACKETS),
    panel(result, 'The same, beside a scan of all policies', 'pods', ['new flow allowed', SCAN], 'log'),
    panel(result, 'Finding a flow', 'flows', FINDING),
    panel(result, 'Entering a flow in place of the oldest', 'flows', ENTERING),
  ],
};

/** Takes every measurement once in each turn, so that changes on the machine affect all of them. */
async function measure(
  { signal, progress }: BenchContext,
  { processes, rounds, roundMs }: { processes: number; rounds: number; roundMs: number },
): Promise<Answers> {
  const keysOf = (lines: readonly Line[]) => lines.map((line) => [keyOf(line.kind, line.scenario), line] as const);
  const distinct = new Map(keysOf(LINES));
  const allocating = new Map(keysOf(ALLOCATING));
  const answers = new Map<string, VariationAnswer[]>([...distinct.keys()].map((key) => [key, []]));
  let done = 0;
  for (let turn = 0; turn < processes; turn++) {
    for (const [key, { name, kind, scenario }] of distinct) {
      progress(name, ++done, distinct.size * processes);
      const allocation = allocating.has(key);
      const input: VariationInput = { kind, scenario, rounds, roundMs, allocation };
      const flags = allocation ? ALLOCATION_FLAGS : [];
      answers.get(key)?.push(await inChild<VariationAnswer>(PROCESS, input, { signal, flags }));
    }
  }
  return answers;
}

/** Compares each process with 10,000 policies to its neighbour with 1. */
function ratios(answers: Answers): MeasuredRow[] {
  return [...PACKETS, SCAN].map((kind) => {
    const [many = [], one = []] = [10_000, 1].map((policies) => answersOf(answers, kind, { ...BASE, policies }));
    return row(
      `10,000 policies / 1, ${kind}`,
      'ratio',
      many.map(({ ns }, turn) => median(ns) / median(one[turn]?.ns ?? [])),
    );
  });
}

function roundsOf(answers: Answers, kind: Kind, scenario: Scenario): number[] {
  return answersOf(answers, kind, scenario).flatMap(({ ns }) => ns);
}

function answersOf(answers: Answers, kind: Kind, scenario: Scenario): readonly VariationAnswer[] {
  return answers.get(keyOf(kind, scenario)) ?? [];
}

function keyOf(kind: Kind, { policies, pods, flows }: Scenario): string {
  return `${kind} ${policies} ${pods} ${flows}`;
}

/** Plots the rows of a sweep: categories by kind, groups by value. */
function panel(
  { rows }: BenchResult,
  title: string,
  of: keyof Scenario,
  kinds: readonly Kind[],
  scale: 'linear' | 'log' = 'linear',
) {
  const ending = of === 'policies' ? /, ([\d,]+ polic(?:ies|y))$/ : new RegExp(`, ([\\d,]+ ${of})$`);
  const shown = rows.filter(({ name }) => ending.test(name) && kinds.includes(name.replace(ending, '') as Kind));
  return bars(title, shown, { scale, split: (name) => [name.replace(ending, ''), ending.exec(name)?.[1] ?? ''] });
}
