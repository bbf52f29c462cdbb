/** What the page reads from its data, without a browser. */
import { describe, expect, test } from 'vitest';
import type { PolicyRecord } from '../../src/cluster/records.ts';
import type { ClusterSnapshot } from '../../src/cluster/store.ts';
import { Explainer } from '../../src/explain/explain.ts';
import { readModel } from '../../src/matrix/page/client-model.ts';
import { type PageOptions, pageData } from '../../src/matrix/page/data.ts';
import { changeOf, Reachability } from '../../src/matrix/reachability.ts';
import { allow, ingressPolicy, namespace, pod } from '../policy/records.ts';
import { port, SHOP } from './cluster.ts';

function modelOf(matrix: Reachability, snapshot: ClusterSnapshot, more: Partial<PageOptions> = {}) {
  const explainer = new Explainer({ snapshot });
  const data = pageData(matrix, { title: 'test', explain: (...flow) => explainer.explain(...flow), ...more });
  return readModel(JSON.parse(JSON.stringify(data)));
}

function expectSameStates(matrix: Reachability, snapshot: ClusterSnapshot): void {
  const model = modelOf(matrix, snapshot);
  for (const { at, cell } of matrix.cells()) {
    expect(model.state(...at)).toEqual({ verdict: cell.verdict, change: changeOf(cell) });
  }
}

test('the page has the state of every cell', () => {
  expectSameStates(new Reachability(SHOP), SHOP);
});

describe('the page of a change', () => {
  const dual = (name: string, number: number) =>
    pod(name, '', {}, { addresses: [`10.0.0.${number}`, `fd00::${number}`], ports: [port(80)] });
  const cluster = { namespaces: [namespace('default')], pods: [dual('a', 1), dual('b', 2)] };
  const open = (...cidrs: readonly string[]): PolicyRecord =>
    ingressPolicy(
      'open',
      cidrs.map((cidr) => allow([{ ipBlock: { cidr, except: [] } }])),
    );
  const worlds = [[], [open()], [open('10.0.0.0/8')], [open('10.0.0.0/8', 'fd00::/8')]];

  test.each(worlds.flatMap((now) => worlds.map((before) => [now, before] as const)))(
    'has the state and change of every cell, between allowed, mixed and denied',
    (now, before) => {
      const snapshot = { ...cluster, policies: now };
      expectSameStates(new Reachability(snapshot, { before: { ...cluster, policies: before } }), snapshot);
    },
  );

  test('explains changed cells as they are now and as they were', () => {
    const before = { ...cluster, policies: [] };
    const explainerBefore = new Explainer({ snapshot: before });
    const snapshot = { ...cluster, policies: [open()] };
    const model = modelOf(new Reachability(snapshot, { before }), snapshot, {
      explainBefore: (...flow) => explainerBefore.explain(...flow),
    });
    expect(model.explanations(0, 1, 0).map(({ verdict }) => verdict)).toEqual(['deny', 'allow']);
  });
});

describe('the explanations', () => {
  const explainer = new Explainer({ snapshot: SHOP });
  const matrix = new Reachability(SHOP);

  test('are those of the flow that represents a cell', () => {
    const model = modelOf(matrix, SHOP);
    for (const { at, port, cell } of matrix.cells()) {
      const flow = matrix.flow(...at);
      if (flow === undefined) throw new Error('a cell without a flow');
      expect(model.explanations(...at)).toEqual([explainer.explain(...flow, port.protocol, port.port)]);
      expect(model.explanations(...at)[0]?.verdict).toBe(cell.verdict);
    }
  });

  test('are given first for exceptional cells if there is no room for all', () => {
    const cells = [...matrix.cells()];
    const exceptions = cells.filter(({ cell }) => cell.verdict === 'deny');
    expect(2 * exceptions.length).toBeLessThan(cells.length);
    const model = modelOf(matrix, SHOP, { mostExplanations: exceptions.length });
    expect(cells.filter(({ at }) => model.explanations(...at).length > 0)).toEqual(exceptions);
  });
});
