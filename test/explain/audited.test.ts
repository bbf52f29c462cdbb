/** Explanations of flows that audited policies would deny, and of flows beside audited policies. */
import { describe, expect, test } from 'vitest';
import { renderAnswer } from '../../src/commands/explain/report.ts';
import { Batch } from '../../src/explain/batch.ts';
import { Reachability } from '../../src/matrix/reachability.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';
import { service } from '../lab/cluster.ts';
import { allow, matching, namespace, pod, set, tcp } from '../policy/records.ts';
import { ask, explained, policyFor, sentences, snapshotWith } from './cluster.ts';

const FLOW = ['app1/frontend-1', 'app1/backend-1', '5678'] as const;
const FRONTENDS = { podSelector: matching({ role: 'frontend' }) };
const API = service('app1/api', ['10.96.0.1'], { role: 'backend' }, 'TCP 80 5678');
const AUDITED = { mode: 'audit' } as const;
const deaf = policyFor('backend', 'deaf', { ingress: [] });
const auditedDeaf = policyFor('backend', 'trial', { ingress: [] }, AUDITED);
const auditedOpen = policyFor('backend', 'trial', { ingress: [allow([FRONTENDS])] }, AUDITED);

describe('a flow that audited policies would deny', () => {
  test('is reported with those policies', () => {
    const { verdict, reason, egress, ingress, sides } = explained([auditedDeaf], FLOW);
    expect({ verdict, reason, egress, ingress }).toEqual({
      ...{ verdict: 'would_deny', reason: 'ingress-denied' },
      ...{ egress: 'allow', ingress: 'would_deny' },
    });
    expect(sides.ingress).toMatchObject({ isolated: true, audited: true, isolatedBy: [{ policy: 'app1/trial' }] });
    expect(sides.egress).not.toHaveProperty('audited');
    const text = renderAnswer(ask([auditedDeaf], FLOW), { width: undefined, colour: false });
    expect(text).toContain('WOULD BE DENIED  app1/frontend-1 -> app1/backend-1, port 5678');
    expect(text).toContain(
      'ingress  would be denied on node-2: app1/backend-1 is selected by audited policies only: none of',
    );
    expect(text).toContain('audited by   app1/trial');
  });

  test('is denied if the other side enforces', () => {
    const silent = policyFor('frontend', 'silent', { egress: [] });
    expect(explained([auditedDeaf, silent], FLOW)).toMatchObject({ verdict: 'deny', reason: 'egress-denied' });
    const auditedSilent = { ...silent, ...AUDITED };
    expect(explained([deaf, auditedSilent], FLOW)).toMatchObject({
      ...{ verdict: 'deny', reason: 'ingress-denied', egress: 'would_deny', ingress: 'deny' },
    });
  });

  test('gets a suggestion that is audited too, because an enforced policy would isolate', () => {
    const { suggestion } = explained([auditedDeaf], FLOW);
    expect(suggestion?.yaml).toContain('podfence.io/mode: audit');
    const added = policyFor('backend', 'added', { ingress: [allow([FRONTENDS], [tcp(5678)])] }, AUDITED);
    expect(explained([auditedDeaf, added], FLOW).verdict).toBe('allow');
  });

  test('gets a suggestion without the annotation if its namespace has it, and with enforce there for an enforced policy', () => {
    const snapshot = (policy: typeof deaf) => {
      const cluster = snapshotWith([policy]);
      return { ...cluster, namespaces: [{ ...namespace('app1'), ...AUDITED }, ...cluster.namespaces.slice(1)] };
    };
    const yamlFor = (policy: typeof deaf) => explained([], FLOW, { snapshot: snapshot(policy) }).suggestion?.yaml;
    expect(yamlFor(deaf)).not.toContain('podfence.io/mode');
    expect(yamlFor({ ...deaf, mode: 'enforce' })).toContain('podfence.io/mode: enforce');
  });

  test('is reported in a batch; for a Service a denial counts first', () => {
    const other = pod('app1/backend-2', '10.0.0.4', { role: 'backend', trial: 'no' }, { nodeName: 'node-2' });
    const deafOther = policyFor('backend', 'deaf', { ingress: [] }, { podSelector: matching({ trial: 'no' }) });
    const judged = (...policies: (typeof deaf)[]) =>
      new Batch(snapshotWith(policies, [other]), [API]).judge({ from: FLOW[0], to: 'app1/api', port: 80 });
    const wouldDeny = { egress: 'allow', ingress: 'would_deny', verdict: 'would_deny', reason: 'ingress-denied' };
    expect(judged(auditedDeaf)).toMatchObject(wouldDeny);
    expect(judged(auditedDeaf, deafOther)).toMatchObject({ ...wouldDeny, ingress: 'deny', verdict: 'deny' });
    expect(judged(auditedOpen)).toMatchObject({ egress: 'allow', ingress: 'allow', verdict: 'allow' });
  });

  test('is judged by the table in force if the question is about a node', () => {
    const { namespaces, pods, policies } = snapshotWith([auditedDeaf]);
    const tableOf = (mode: 'audit' | 'enforce', ...others: typeof policies) => {
      const compiler = new PolicyCompiler('node-2', { mode });
      compiler.apply(set(...namespaces, ...pods, ...(others.length > 0 ? others : policies)));
      return compiler.compile().table;
    };
    const inForce = (table: ReturnType<typeof tableOf>) => ({ inForce: { node: 'node-2', table } });
    expect(explained([auditedDeaf], FLOW, inForce(tableOf('enforce'))).ingress).toBe('would_deny');
    expect(explained([auditedDeaf], FLOW, inForce(tableOf('enforce', deaf)))).toMatchObject({ ingress: 'deny' });
    const own = policyFor('frontend', 'silent', { egress: [] }, AUDITED);
    const peer = policyFor('frontend', 'deaf', { ingress: [] }, { namespace: 'app2' });
    const compiler = new PolicyCompiler('node-1');
    compiler.apply(set(...namespaces, ...pods, own));
    const before = compiler.compile().table;
    compiler.apply(set(peer));
    const onNode1 = (table: typeof before) =>
      explained([own, peer], [FLOW[0], 'app2/stranger', '80'], { inForce: { node: 'node-1', table } });
    expect(onNode1(before)).toMatchObject({ egress: 'would_deny', ingress: 'allow', verdict: 'would_deny' });
    expect(onNode1(compiler.compile().table)).toMatchObject({ egress: 'would_deny', ingress: 'deny', verdict: 'deny' });
    // A node that audits all policies.
    const auditsAll = explained([deaf], FLOW, { mode: 'audit', ...inForce(tableOf('audit', deaf)) });
    expect(auditsAll).toMatchObject({ verdict: 'would_deny', sides: { ingress: { audited: true } } });
    expect(auditsAll.suggestion?.yaml).not.toContain('podfence.io/mode');
  });
});

test('an audited policy beside an enforced one does not allow a flow, but is a near miss', () => {
  const { ingress, sides } = explained([deaf, auditedOpen], FLOW);
  expect(ingress).toBe('deny');
  expect(sides.ingress).toMatchObject({ isolatedBy: [{ policy: 'app1/deaf' }], allowedBy: [] });
  expect(sentences(sides.ingress)[0]).toBe(
    'policy app1/trial rule 1 would allow it, but the policy is audited only: beside enforced policies it does not count',
  );
});

test('an audited policy is named as what allows a flow', () => {
  const { verdict, sides } = explained([auditedOpen], FLOW);
  expect({ verdict, allowedBy: sides.ingress.allowedBy }).toMatchObject({
    verdict: 'allow',
    allowedBy: [{ policy: 'app1/trial', rule: 1 }],
  });
  expect(sides.ingress.summary).toBe('app1/backend-1 is selected by audited policies only, and a rule allows it');
});

test('the matrix shows what is enforced, and names the audited policies', () => {
  const reachability = new Reachability(snapshotWith([auditedDeaf]));
  const verdicts = new Set([...reachability.cells()].map(({ cell }) => cell.verdict));
  expect([...verdicts]).toEqual(['allow']);
  expect(reachability.notes).toContain('audited and not enforced, what they deny counts as allowed: app1/trial');
});
