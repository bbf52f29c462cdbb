/** Audited policies, alone and beside enforced ones: the verdicts of the table. */
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { modeOf } from '../../src/cluster/mode.ts';
import type { PolicyMode, PolicyRecord } from '../../src/cluster/records.ts';
import type { ClusterSnapshot } from '../../src/cluster/store.ts';
import { AUDITED, isDenied, reasonOf, rule } from '../../src/filter/decide.ts';
import { ALLOWED_BY_POLICY, NOT_ISOLATED, REASONS } from '../../src/filter/reasons.ts';
import { OK, Packet } from '../../src/packet/packet.ts';
import { addressWords } from '../../src/policy/address-words.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';
import { EGRESS, INGRESS, type RuleTable } from '../../src/policy/rule-table.ts';
import { evaluateCases, type Flow } from '../reference/evaluator.ts';
import { ClusterModel, changesOf } from './cluster-model.ts';
import { slotOf } from './judge-sides.ts';
import * as random from './random-cluster.ts';
import { allow, ingressPolicy, matching, NODE, namespace, pod, remove, set } from './records.ts';

const WEB = '10.0.0.1';
const OTHER = '10.0.0.2';
const CLUSTER = [namespace('default'), pod('web', WEB, { app: 'web' }), pod('other', OTHER, { app: 'other' })];
const ofWeb = (name: string, more: Partial<PolicyRecord> = {}) =>
  ingressPolicy(name, [], { podSelector: matching({ app: 'web' }), ...more });
const audited = (name: string, more: Partial<PolicyRecord> = {}) => ofWeb(name, { mode: 'audit', ...more });
const opened = { ingress: [allow([])] };

type Verdict = 'allow' | 'deny' | 'would_deny';

function verdictOn(table: RuleTable, flow: Flow): { verdict: Verdict; reason: number } {
  const [src0 = 0, src1 = 0, src2 = 0, src3 = 0] = addressWords(flow.source) ?? [];
  const [dst0 = 0, dst1 = 0, dst2 = 0, dst3 = 0] = addressWords(flow.destination) ?? [];
  const packet = Object.assign(new Packet(), { status: OK, src0, src1, src2, src3, dst0, dst1, dst2, dst3 });
  packet.family = flow.source.includes(':') ? 6 : 4;
  packet.protocol = flow.protocol;
  packet.dstPort = flow.port;
  const ruling = rule(table, packet);
  const verdict = isDenied(ruling) ? 'deny' : (ruling & AUDITED) !== 0 ? 'would_deny' : 'allow';
  return { verdict, reason: reasonOf(ruling) };
}

const toWeb: Flow = { source: OTHER, destination: WEB, protocol: 6, port: 80 };
const fromWeb: Flow = { source: WEB, destination: OTHER, protocol: 6, port: 80 };

function compilerOf(...policies: readonly PolicyRecord[]): PolicyCompiler {
  const compiler = new PolicyCompiler(NODE.name);
  compiler.apply(set(...CLUSTER, ...policies));
  return compiler;
}

const verdict = (compiler: PolicyCompiler, flow = toWeb) => verdictOn(compiler.compile().table, flow).verdict;

describe('an audited policy', () => {
  test('alone would deny what it denies, with the reason of enforcement', () => {
    const { table } = compilerOf(audited('a')).compile();
    expect(verdictOn(table, toWeb)).toEqual({ verdict: 'would_deny', reason: REASONS.indexOf('ingress-denied') });
    expect(verdictOn(table, fromWeb)).toEqual({ verdict: 'allow', reason: NOT_ISOLATED });
  });

  test('allows what it allows', () => {
    const { table } = compilerOf(audited('a', opened)).compile();
    expect(verdictOn(table, toWeb)).toEqual({ verdict: 'allow', reason: ALLOWED_BY_POLICY });
  });

  test('allows nothing beside an enforced one', () => {
    expect(verdict(compilerOf(ofWeb('e'), audited('a', opened)))).toBe('deny');
  });

  test('denies nothing beside an enforced one', () => {
    expect(verdict(compilerOf(ofWeb('e', opened), audited('a')))).toBe('allow');
  });

  test('allows beside another audited one', () => {
    expect(verdict(compilerOf(audited('a'), audited('b', opened)))).toBe('allow');
  });

  test('counts in a direction in which no enforced one selects the pod', () => {
    const compiler = compilerOf(ofWeb('e'), audited('a', { isolates: ['egress', 'ingress'], ...opened }));
    expect(verdict(compiler)).toBe('deny');
    expect(verdict(compiler, fromWeb)).toBe('would_deny');
  });

  test('is outweighed by an enforced policy of the other pod', () => {
    const silent = ofWeb('silent', { podSelector: matching({ app: 'other' }), isolates: ['egress'], ingress: [] });
    expect(verdict(compilerOf(audited('a'), silent))).toBe('deny');
    const silentAudited = { ...silent, mode: 'audit' } as const;
    const both = compilerOf(ofWeb('e'), silentAudited);
    expect(verdictOn(both.compile().table, toWeb)).toEqual({
      verdict: 'deny',
      reason: REASONS.indexOf('ingress-denied'),
    });
  });

  test('has its pods steered, and is named as isolating if no enforced one isolates', () => {
    const compiler = compilerOf(audited('a'));
    const alone = compiler.compile();
    expect(alone.steered).toEqual([WEB]);
    expect(alone.isolatingPolicies(WEB, 'ingress')).toEqual(['default/a']);
    compiler.apply(set(ofWeb('e')));
    expect(compiler.compile().isolatingPolicies(WEB, 'ingress')).toEqual(['default/e']);
  });

  test('that becomes enforced concerns only the pods that it selects', () => {
    const compiler = compilerOf(audited('a'));
    compiler.compile();
    compiler.apply(set(ofWeb('a')));
    const { table, concerned } = compiler.compile();
    expect(verdictOn(table, toWeb).verdict).toBe('deny');
    expect(concerned.addresses(9)).toEqual([addressWords(WEB)]);
  });
});

describe('the annotation of a namespace', () => {
  const inMode = (mode: PolicyMode) => ({ ...namespace('default'), mode });

  test('audits its policies while it exists, except those that say enforce themselves', () => {
    const compiler = compilerOf(ofWeb('a'));
    expect(verdict(compiler)).toBe('deny');
    compiler.apply(set(inMode('audit')));
    expect(verdict(compiler)).toBe('would_deny');
    compiler.apply(set(ofWeb('a', { mode: 'enforce' })));
    expect(verdict(compiler)).toBe('deny');
    compiler.apply(set(ofWeb('a')));
    expect(verdict(compiler)).toBe('would_deny');
    compiler.apply(set(namespace('default')));
    expect(verdict(compiler)).toBe('deny');
  });

  test('ends with the namespace, whenever its policies come', () => {
    const compiler = new PolicyCompiler(NODE.name);
    compiler.apply(set(ofWeb('a'), inMode('audit'), ...CLUSTER.slice(1)));
    expect(verdict(compiler)).toBe('would_deny');
    compiler.apply(remove(inMode('audit')));
    expect(verdict(compiler)).toBe('deny');
  });

  test('concerns the pods of the policies whose mode it changes', () => {
    const compiler = compilerOf(ofWeb('a'), ofWeb('b', { podSelector: matching({ app: 'other' }), mode: 'enforce' }));
    compiler.apply(set(inMode('audit')));
    compiler.compile();
    compiler.apply(set(inMode('enforce')));
    expect(compiler.compile().concerned.addresses(9)).toEqual([addressWords(WEB)]);
    compiler.apply(set(namespace('default')));
    expect(compiler.compile().concerned.isEmpty).toBe(true);
  });
});

// fast-check prints the seed and the path of a failure; FC_SEED runs it again.
const SEED = process.env.FC_SEED === undefined ? {} : { seed: Number(process.env.FC_SEED) };
const counts: Record<Verdict, number> = { allow: 0, deny: 0, would_deny: 0 };

/** First packets between every pod of the node and every address, in both directions. */
function* flowsOf({ pods }: ClusterSnapshot): Generator<Flow> {
  let next = 0;
  const endpoints = pods.filter(({ hostNetwork, nodeName }) => !hostNetwork && nodeName === random.NODE.name);
  for (const endpoint of endpoints.flatMap(({ addresses }) => addresses)) {
    for (const peer of random.ADDRESSES) {
      if (peer.includes(':') !== endpoint.includes(':')) continue;
      const [protocol, port] = random.PACKETS[next++ % random.PACKETS.length] as (typeof random.PACKETS)[number];
      yield { source: endpoint, destination: peer, protocol, port };
      yield { source: peer, destination: endpoint, protocol, port };
    }
  }
}

/** Whether both ends are one pod, which policies do not apply to. */
function isExempt(table: RuleTable, { source, destination }: Flow): boolean {
  return source === destination || table.samePod(slotOf(table, source), slotOf(table, destination));
}

/**
 * Returns the naive evaluator's verdict: enforced policies first, then the audited ones for a
 * direction in which none isolates.
 */
function expected(snapshot: ClusterSnapshot, flow: Flow): Verdict {
  const namespaces = new Map(snapshot.namespaces.map((each) => [each.name, each]));
  const byMode = (mode: PolicyMode) => ({
    ...snapshot,
    policies: snapshot.policies.filter((each) => modeOf(each, namespaces.get(each.namespace)) === mode),
  });
  const audited = evaluateCases(byMode('audit'), flow, random.NODE.name);
  const verdicts = evaluateCases(byMode('enforce'), flow, random.NODE.name).map((enforced, i) => {
    if (!enforced.egress.allowed || !enforced.ingress.allowed) return 'deny';
    const wouldDeny = (['egress', 'ingress'] as const).some(
      (direction) => !enforced[direction].isolated && !audited[i]?.[direction].allowed,
    );
    return wouldDeny ? 'would_deny' : 'allow';
  });
  return (['deny', 'would_deny'] as const).find((verdict) => verdicts.includes(verdict)) ?? 'allow';
}

describe('on random clusters', () => {
  afterAll(() => console.log(`audited: ${JSON.stringify(counts)}`));

  test('with policies and namespaces in random modes, the naive evaluator agrees after each batch of changes', () => {
    fc.assert(
      fc.property(random.inModes(random.grownHistory), (batches) => {
        const model = new ClusterModel();
        const compiler = new PolicyCompiler(random.NODE.name);
        for (const batch of batches) {
          model.apply(batch);
          compiler.apply(batch);
          const { table } = compiler.compile();
          const snapshot = model.snapshot();
          for (const flow of flowsOf(snapshot)) {
            if (isExempt(table, flow)) continue;
            const { verdict } = verdictOn(table, flow);
            counts[verdict]++;
            if (verdict !== expected(snapshot, flow))
              expect({ flow, verdict }).toEqual({ flow, verdict: expected(snapshot, flow) });
          }
        }
      }),
      { numRuns: 100, ...SEED },
    );
    expect(Math.min(...Object.values(counts))).toBeGreaterThan(100);
  });

  test('a table of audited policies would deny what the same enforced ones deny, for the same reasons, and denies nothing', () => {
    fc.assert(
      fc.property(random.grownHistory, (batches) => {
        const model = new ClusterModel();
        for (const batch of batches) model.apply(batch);
        const snapshot = model.snapshot();
        const [enforcing, auditing] = [
          new PolicyCompiler(random.NODE.name),
          new PolicyCompiler(random.NODE.name, { mode: 'audit' }),
        ];
        const [enforced, judged] = [enforcing, auditing].map((compiler) => {
          compiler.apply(changesOf(snapshot));
          return compiler.compile().table;
        }) as [RuleTable, RuleTable];
        for (const flow of flowsOf(snapshot)) {
          const before = verdictOn(enforced, flow);
          const wanted = { ...before, verdict: before.verdict === 'deny' ? 'would_deny' : 'allow' };
          const found = verdictOn(judged, flow);
          if (found.verdict !== wanted.verdict || found.reason !== wanted.reason)
            expect({ flow, ...found }).toEqual({ flow, ...wanted });
        }
        for (const address of snapshot.pods.flatMap(({ addresses }) => addresses)) {
          for (const direction of [EGRESS, INGRESS] as const) {
            const [a, b] = [enforced, judged].map((table) => table.isIsolated(slotOf(table, address), direction));
            expect(a).toBe(b);
          }
        }
      }),
      { numRuns: 60, ...SEED },
    );
  });
});
