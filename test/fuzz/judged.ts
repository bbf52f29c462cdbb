/**
 * Checks records, whichever reader made them: they are valid, the compiler accepts them, and the
 * table judges as the naive evaluator does.
 */
import { canonicalAddress } from '../../src/cluster/addresses.ts';
import type { Problem } from '../../src/cluster/field.ts';
import type { PodRecord, PolicyRecord } from '../../src/cluster/records.ts';
import { type ClusterSnapshot, ClusterStore } from '../../src/cluster/store.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';
import { judgeSides } from '../policy/judge-sides.ts';
import { evaluate, type Flow } from '../reference/evaluator.ts';
import { check, checkSame } from './target.ts';

const NODE = { name: 'here', addresses: ['10.9.0.1', 'fd09::1'] };
const OUTSIDE = ['192.0.2.77', '10.1.2.200', '2001:db8::1', 'fd00::77'];
const MOST_ADDRESSES = 5;
const PACKETS = [
  [6, 80],
  [6, 65_535],
  [17, 53],
  [132, 443],
  [6, -1],
  [1, -1],
] as const;

export function checkPod({ addresses, ports }: PodRecord): void {
  for (const address of addresses) check(canonicalAddress(address) === address, `${address} is not canonical`);
  for (const { port } of ports) check(Number.isInteger(port) && port >= 1 && port <= 65_535, `container port ${port}`);
}

/** @param problems the problems found in it; warnings are no reason for it to fail closed */
export function checkPolicy(record: PolicyRecord, problems: readonly Problem[]): void {
  const isWrong = problems.some(({ isWarning }) => isWarning !== true);
  check(record.isolates.length > 0, 'a policy isolates no direction');
  check(!isWrong || record.error !== undefined, 'a policy with a problem counts as sound');
  const rules = record.ingress.length + record.egress.length;
  check(record.error === undefined || rules === 0, 'a policy that fails closed has rules');
}

/** Compares the compiled table to the evaluator, for a few flows of the pods. */
export function checkJudged(snapshot: ClusterSnapshot): void {
  const store = new ClusterStore();
  const changes = store.apply(
    [...snapshot.policies, ...snapshot.pods, ...snapshot.namespaces].map((record) => ({ type: 'set', record })),
  );
  const compiler = new PolicyCompiler(NODE.name);
  compiler.apply(changes);
  const { table } = compiler.compile();
  const known = store.snapshot();
  const isAudited = [...known.policies, ...known.namespaces].some(({ mode }) => mode === 'audit');
  for (const flow of flowsOf(known)) {
    const judged = judgeSides(table, flow);
    // The evaluator does not support audited policies.
    if (!isAudited) checkSame(judged, evaluate(known, flow, NODE.name), `judged differently: ${JSON.stringify(flow)}`);
  }
}

function* flowsOf({ pods }: ClusterSnapshot): Generator<Flow> {
  const inside = addressesOfOne(pods).slice(0, MOST_ADDRESSES);
  for (const source of [...inside, ...OUTSIDE]) {
    for (const destination of [...inside, ...OUTSIDE]) {
      if (source.includes(':') !== destination.includes(':') || source === destination) continue;
      for (const [protocol, port] of PACKETS) yield { source, destination, protocol, port };
    }
  }
}

/**
 * Returns the addresses that only one pod has: the owner of a shared one is another test's subject.
 */
function addressesOfOne(pods: readonly PodRecord[]): string[] {
  const all = pods.filter(({ hostNetwork }) => !hostNetwork).flatMap(({ addresses }) => addresses);
  const taken = new Set([...NODE.addresses, ...OUTSIDE]);
  return all.filter((address) => !taken.has(address) && all.indexOf(address) === all.lastIndexOf(address));
}
