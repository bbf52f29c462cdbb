/** `npm run bench filter`: what a verdict costs, without the kernel. */
import type { Bench, BenchContext } from '../harness/bench.ts';
import { inChild } from '../harness/child.ts';
import { bars } from '../harness/panels.ts';
import { type BenchResult, type MeasuredRow, row, single } from '../harness/result.ts';
import { median } from '../harness/statistics.ts';
import type { Scenario } from './scenario.ts';
import type { VariationAnswer, VariationInput } from './variation-process.ts';
import type { Kind } from './variations.ts';

const PROCESS = new URL('./variation-process.ts', import.meta.url);
const BASE: Scenario = { policies: 100, pods: 100, flows: 1000 };

const OF_FLOWS: readonly Kind[] = ['established TCP', 'established UDP', 'ICMP error', 'new flow allowed'];
const LOOKUPS: readonly Kind[] = [
  'flow lookup, our table',
  'flow lookup, lru-cache by text',
  'flow lookup, lru-cache by number',
];
const BY_POLICY: readonly Kind[] = ['new flow allowed', 'new flow denied', 'established TCP'];
const SCAN: Kind = 'new flow allowed, naive scan of policies';
/** Of these, what they allocate. */
const PACKETS: readonly Kind[] = [...OF_FLOWS, 'new flow denied'];

/** A row, and what it measures. Rows of one kind and scenario share one measurement. */
interface Line {
  readonly name: string;
  readonly kind: Kind;
  readonly scenario: Scenario;
}

const LINES: readonly Line[] = [
  ...(['harness alone', 'decode, TCP', 'decode, UDP'] as const).map((kind) => ({ name: kind, kind, scenario: BASE })),
  ...sweep('flows', [1000, 1_000_000], [...OF_FLOWS, ...LOOKUPS]),
  ...sweep('policies', [1, 100, 10_000], [...BY_POLICY, SCAN]),
  ...sweep('pods', [100, 100_000], BY_POLICY),
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

/** By measurement, what each of its processes answered. */
type Answers = ReadonlyMap<string, readonly VariationAnswer[]>;

export const bench: Bench = {
  async run(context) {
    const parameters = context.quick
      ? { processes: 1, rounds: 3, roundMs: 40 }
      : { processes: 3, rounds: 5, roundMs: 250 };
    const answers = await measure(context, parameters);
    const rows = [
      ...LINES.map(({ name, kind, scenario }) => row(name, 'ns', roundsOf(answers, kind, scenario))),
      ...ratios(answers),
      ...PACKETS.map((kind) => allocated(kind, answers)),
    ];
    const notes = [
      'Time of the thread\'s own CPU. It holds what writing the packet costs, "harness alone".',
      `Where a row does not say otherwise: ${BASE.policies} policies, ${BASE.pods} pods, ${BASE.flows.toLocaleString('en')} flows in a full table.`,
    ];
    return { parameters: { ...parameters, base: { ...BASE } }, rows, notes };
  },
  panels: (result) => [
    panel(result, 'By kind of packet, 1,000 and 1,000,000 flows', 'flows', [...OF_FLOWS]),
    panel(result, 'By policies: a verdict costs the same', 'policies', [...BY_POLICY]),
    panel(result, 'The same, beside a scan of all policies', 'policies', ['new flow allowed', SCAN], 'log'),
    panel(result, 'By pods', 'pods', [...BY_POLICY]),
    panel(result, 'Finding a flow', 'flows', [...LOOKUPS]),
  ],
};

/** Every measurement once in each turn, so that what changes on the machine meanwhile concerns all of them. */
async function measure(
  { signal, progress }: BenchContext,
  { processes, rounds, roundMs }: { processes: number; rounds: number; roundMs: number },
): Promise<Answers> {
  const distinct = new Map(LINES.map((line) => [keyOf(line.kind, line.scenario), line]));
  const answers = new Map<string, VariationAnswer[]>([...distinct.keys()].map((key) => [key, []]));
  let done = 0;
  for (let turn = 0; turn < processes; turn++) {
    for (const [key, { name, kind, scenario }] of distinct) {
      progress(name, ++done, distinct.size * processes);
      const allocation = PACKETS.includes(kind) && keyOf(kind, scenario) === keyOf(kind, BASE);
      const input: VariationInput = { kind, scenario, rounds, roundMs, allocation };
      answers.get(key)?.push(await inChild<VariationAnswer>(PROCESS, input, { signal, flags: ['--expose-gc'] }));
    }
  }
  return answers;
}

/** The least of all rounds: the compiler, which allocates too, works now and then. */
function allocated(kind: Kind, answers: Answers): MeasuredRow {
  const rounds = answersOf(answers, kind, BASE).flatMap((answer) => answer.allocated);
  const least = Math.min(...rounds);
  return single(`allocated, ${kind}`, 'bytes/million packets', least, [least, Math.max(...rounds)]);
}

/** Each process of the one against its neighbour of the other. */
function ratios(answers: Answers): MeasuredRow[] {
  return (['new flow allowed', 'new flow denied', SCAN] as const).map((kind) => {
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

/** The rows of a sweep: categories by kind, groups by value. */
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
