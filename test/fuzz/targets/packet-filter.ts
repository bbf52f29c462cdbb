/**
 * The filter, on sequences of packets. The verdict must not depend on bytes around a packet, nor on
 * whether it was announced. A malformed packet is denied, and every reason is a known one. A packet
 * judged by policy is judged as by the naive evaluator. The flow table stays consistent.
 */
import type { PolicyRecord } from '../../../src/cluster/records.ts';
import { FlowTable } from '../../../src/conntrack/flow-table.ts';
import { Filter } from '../../../src/filter/filter.ts';
import { FIRST_DENY, MALFORMED, REASONS, type ReasonName } from '../../../src/filter/reasons.ts';
import type { RuleTable } from '../../../src/policy/rule-table.ts';
import { problems } from '../../conntrack/inspect.ts';
import { audited, CLUSTER, from, policy, port, rule, Scene } from '../../filter/scene.ts';
import { evaluate } from '../../reference/evaluator.ts';
import { joined, mutate } from '../mutate.ts';
import { type Headers, readPacket } from '../naive-packet.ts';
import { addressOf, captured, opening, packet, uncaptured } from '../packets.ts';
import type { Random } from '../random.ts';
import { alone, type Place, surrounded } from '../surroundings.ts';
import { check, type Target } from '../target.ts';

/** Fewer flows than a sequence may open, so that some are evicted. */
const CAPACITY = 8;
const MOST_PACKETS = 24;

const ENFORCED = [
  policy('web', { ingress: [rule([from('db')], [port(80), port(53, 'UDP')])], egress: [rule([from('db')])] }),
  policy('db', { ingress: [rule([from('web')], [port(443), port(80, 'SCTP')])] }),
];
const ONE = [policy('web', { ingress: [rule([{ ipBlock: { cidr: '198.51.100.0/24', except: [] } }])] })];
/** `web` is open, closed to all but some, closed, and audited. */
const POLICIES: readonly PolicyRecord[][] = [
  [],
  ENFORCED,
  ONE,
  [policy('web', { ingress: [], egress: [] })],
  ENFORCED.map(audited),
];
const TABLES: readonly RuleTable[] = POLICIES.map((policies) => new Scene(policies).filter.table);
/** The input of the naive evaluator, which does not support audited policies. */
const SNAPSHOTS = POLICIES.map((policies) => ({
  namespaces: CLUSTER.filter((record) => record.kind === 'Namespace'),
  pods: CLUSTER.filter((record) => record.kind === 'Pod'),
  policies: policies.some(({ mode }) => mode === 'audit') ? undefined : policies,
}));

/**
 * A step of a sequence: the table to judge by from then on, how much time passes (ms, in 3 bytes),
 * the length of the packet, and the packet.
 */
const STEP = 6;

interface Step {
  readonly table: RuleTable;
  readonly wait: number;
  readonly bytes: Uint8Array;
  readonly total: number;
}

export const target: Target = {
  generate: (random) => {
    const count = random.between(1, MOST_PACKETS);
    let table = random.below(256);
    const known: Uint8Array[] = [];
    const steps = Array.from({ length: count }, () => {
      if (random.oneIn(8)) table = random.below(256);
      const bytes =
        known.length > 0 && random.oneIn(2)
          ? again(random, random.pick(known))
          : random.oneIn(4)
            ? packet(random)
            : opening(random);
      known.push(bytes);
      const wait = random.oneIn(4) ? random.pick([1, 1000, 31_000, 130_000, 0xffffff]) : 0;
      const damaged = random.oneIn(8) ? captured(random, mutate(random, bytes)) : joined(new Uint8Array(3), bytes);
      const cut = damaged.subarray(0, 0xffff);
      const head = [table, wait >> 16, wait >> 8, wait, cut.length >> 8, cut.length];
      return joined(Uint8Array.from(head), cut);
    });
    return joined(...steps);
  },
  run: (input) => {
    const steps = stepsOf(input);
    const first = judgeAll(steps, alone, 'checked');
    for (let i = 0; i < 3; i++) {
      const other = judgeAll(steps, (bytes) => surrounded(bytes)[i] as Place, i === 0 ? 'judged' : 'announced');
      const at = other.findIndex((verdict, index) => verdict !== first[index]);
      check(at < 0, () => `packet ${at}: ${first[at]}, but ${other[at]} among other bytes`);
    }
  },
};

/** Returns the same packet, or a possible answer to it: with addresses and ports swapped. */
function again(random: Random, bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  if (random.oneIn(3)) return copy;
  const isIpv6 = (copy[0] as number) >> 4 === 6;
  const [source, length, transport] = isIpv6 ? [8, 16, 40] : [12, 4, 20];
  copy.set(bytes.subarray(source + length, source + 2 * length), source);
  copy.set(bytes.subarray(source, source + length), source + length);
  if (copy.length < transport + 14) return copy;
  copy.set(bytes.subarray(transport + 2, transport + 4), transport);
  copy.set(bytes.subarray(transport, transport + 2), transport + 2);
  if (copy[isIpv6 ? 6 : 9] === 6) copy[transport + 13] = random.pick([0x12, 0x10, 0x11, 0x04, 0x02]);
  return copy;
}

function stepsOf(input: Uint8Array): Step[] {
  const steps: Step[] = [];
  for (let at = 0; at + STEP <= input.length && steps.length < MOST_PACKETS; ) {
    const [table = 0, high = 0, middle = 0, low = 0, long = 0, short = 0] = input.subarray(at, at + STEP);
    at += STEP;
    const end = Math.min(input.length, at + ((long << 8) | short));
    const wait = (high << 16) | (middle << 8) | low;
    steps.push({ table: TABLES[table % TABLES.length] as RuleTable, wait, ...uncaptured(input.subarray(at, end)) });
    at = end;
  }
  return steps;
}

function judgeAll(
  steps: readonly Step[],
  place: (bytes: Uint8Array) => Place,
  how: 'checked' | 'judged' | 'announced',
): string[] {
  const filter = new Filter(new FlowTable(CAPACITY, {}, [1, 2]), TABLES[0] as RuleTable);
  // The clock wraps on the way.
  let now = 0x7fffffff - 1000;
  return steps.map(({ table, wait, bytes, total }) => {
    now = (now + wait) | 0;
    if (table !== filter.table) filter.useTable(table);
    const { view, offset } = place(bytes);
    if (how === 'announced') filter.announce(view, offset, bytes.length, total);
    const reason = filter.judge(view, offset, bytes.length, total, now);
    const name = REASONS[reason];
    const verdict = `${name} ${filter.direction} ${filter.isAudited}`;
    if (how !== 'checked') return verdict;
    check(name !== undefined, `reason ${reason} does not exist`);
    check(filter.direction === 0 || filter.direction === 1, `direction ${filter.direction} does not exist`);
    const headers = readPacket([...bytes], total);
    check(
      (headers === undefined) === (reason === MALFORMED),
      `a ${headers === undefined ? 'malformed' : 'sound'} packet is ${name}`,
    );
    check(!filter.isAudited || (reason >= FIRST_DENY && reason !== MALFORMED), `${name}, and audited`);
    if (headers !== undefined) checkAgainstPolicies(headers, name, TABLES.indexOf(table));
    const [problem] = problems(filter.flows);
    check(problem === undefined, () => `after ${name} the flow table is broken: ${problem}`);
    return verdict;
  });
}

/** Checks that the policies agree with a packet that was judged by policy. */
function checkAgainstPolicies(headers: Headers, reason: ReasonName, table: number): void {
  const { policies, ...cluster } = SNAPSHOTS[table] as (typeof SNAPSHOTS)[number];
  const [source, destination] = [addressOf(headers.source), addressOf(headers.destination)];
  if (policies === undefined || source === undefined || destination === undefined) return;
  const { protocol } = headers;
  const port = [6, 17, 132].includes(protocol) ? headers.destinationPort : -1;
  const { egress, ingress } = evaluate({ ...cluster, policies }, { source, destination, protocol, port }, 'here');
  const isAllowed = egress.allowed && ingress.allowed;
  const flow = `${protocol} ${source} > ${destination}:${port}`;
  if (reason === 'allowed-by-policy' || reason === 'not-isolated') check(isAllowed, `${flow} is denied, not ${reason}`);
  if (reason === 'egress-denied') check(!egress.allowed, `${flow} is allowed for egress`);
  if (reason === 'ingress-denied') check(!ingress.allowed, `${flow} is allowed for ingress`);
  if (reason === 'fragment') check(!isAllowed, `the fragment ${flow} is allowed`);
}
