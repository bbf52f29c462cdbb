import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { familyOf } from '../../src/cluster/addresses.ts';
import { type PodRecord, type PolicyRecord, recordKey } from '../../src/cluster/records.ts';
import type { ClusterSnapshot } from '../../src/cluster/store.ts';
import { ClusterJudge } from '../../src/explain/cluster-judge.ts';
import type { Verdict } from '../../src/explain/judgement.ts';
import { flowEnds } from '../../src/matrix/ends.ts';
import { portTitle } from '../../src/matrix/ports.ts';
import { type Cell, changeOf, type MatrixOptions, Reachability } from '../../src/matrix/reachability.ts';
import { ClusterModel } from '../policy/cluster-model.ts';
import { grownHistory } from '../policy/random-cluster.ts';
import { allow, ingressPolicy, matching, namespace, pod, tcp } from '../policy/records.ts';
import { ingressOf, port, replicas, SERVICES, SHOP } from './cluster.ts';

/** Returns the cells by `FROM -> TO TCP 80`. */
function cellsOf(snapshot: ClusterSnapshot, options: MatrixOptions = {}): Record<string, Cell> {
  const cells = [...new Reachability(snapshot, options).cells()];
  return Object.fromEntries(
    cells.map(({ from, to, port, cell }) => [`${from.name} -> ${to.name} ${portTitle(port)}`, cell]),
  );
}

const verdictsOf = (snapshot: ClusterSnapshot, options?: MatrixOptions) =>
  Object.fromEntries(Object.entries(cellsOf(snapshot, options)).map(([way, { verdict }]) => [way, verdict]));

describe('a matrix', () => {
  test('checks every port of every destination from every source', () => {
    const verdicts = verdictsOf(SHOP);
    expect(verdicts).toMatchObject({
      'shop/web -> shop/db-1 TCP 5432': 'allow',
      'else/stranger -> shop/db-1 TCP 5432': 'deny',
      'shop/web -> shop/web TCP 8080': 'deny',
      'outside -> shop/web TCP 8080': 'deny',
      '10.9.0.0/16 -> shop/web TCP 8080': 'allow',
      'shop/db-1 -> outside TCP other': 'allow',
    });
    expect(verdicts).not.toHaveProperty(['shop/db-1 -> shop/db-1 TCP 5432']);
    expect(verdicts).not.toHaveProperty(['outside -> 10.9.0.0/16 TCP other']);
  });

  test('has the verdict of each direction, and the reason', () => {
    expect(cellsOf(SHOP)['else/stranger -> shop/db-1 TCP 5432']).toEqual({
      verdict: 'deny',
      egress: 'allow',
      ingress: 'deny',
      reason: 'ingress-denied',
    });
  });

  test('includes the ports to which Services send', () => {
    const { ends } = new Reachability(SHOP, { services: SERVICES });
    expect(ends.find(({ name }) => name === 'shop/web')?.ports).toEqual([
      { port: 8080, protocol: 'TCP', name: 'http', services: ['shop/front:80'] },
    ]);
  });

  test('checks a pod without declared ports on those that policies name, and on one that none names', () => {
    const pods = [...replicas('shop/quiet', '10.0.4', 1), ...SHOP.pods];
    const policies = [...SHOP.policies, ingressOf('quiet', [[], [tcp(7000, 7010)]])];
    expect(verdictsOf({ ...SHOP, pods, policies })).toMatchObject({
      'shop/web -> shop/quiet-1 TCP 7000': 'allow',
      'shop/web -> shop/quiet-1 TCP other': 'deny',
    });
  });

  test('checks outside addresses on the ports of the egress rules for them', () => {
    const egress = [
      allow([{ ipBlock: { cidr: '10.9.0.0/16', except: [] } }], [tcp(443)]),
      allow([{ ipBlock: { cidr: '10.8.0.0/16', except: [] } }], [tcp(22)]),
    ];
    const policies = [ingressPolicy('out', [], { namespace: 'shop', isolates: ['egress'], egress })];
    expect(verdictsOf({ ...SHOP, policies })).toMatchObject({
      'shop/web -> 10.9.0.0/16 TCP 443': 'allow',
      'shop/web -> 10.9.0.0/16 TCP other': 'deny',
      'shop/web -> 10.8.0.0/16 TCP 22': 'allow',
      'shop/web -> outside TCP other': 'deny',
    });
    expect(verdictsOf({ ...SHOP, policies })).not.toHaveProperty(['shop/web -> 10.9.0.0/16 TCP 22']);
  });

  test('includes the outside addresses that the user names', () => {
    const externals = [{ name: 'office', address: '10.9.1.2' }];
    expect(verdictsOf(SHOP, { externals })).toMatchObject({
      'office -> shop/web TCP 8080': 'allow',
      'office -> shop/db-1 TCP 5432': 'deny',
    });
  });

  test('shows that the address families differ', () => {
    const dual = (name: string, number: number) =>
      pod(
        name,
        `10.0.0.${number}`,
        { app: name },
        { addresses: [`10.0.0.${number}`, `fd00::${number}`], ports: [port(80)] },
      );
    const policies = [ingressPolicy('v4', [allow([{ ipBlock: { cidr: '10.0.0.0/8', except: [] } }])])];
    const cells = cellsOf({ namespaces: [namespace('default')], pods: [dual('a', 1), dual('b', 2)], policies });
    expect(cells['default/a -> default/b TCP 80']).toEqual({
      verdict: 'mixed',
      egress: 'allow',
      ingress: 'deny',
      reason: 'ingress-denied',
    });
  });

  test('resolves a port name in a policy for each pod', () => {
    const swapped = { ports: [port(80, 'admin'), port(81, 'http')] };
    const pods = [
      ...replicas('shop/a', '10.0.4', 1, { labels: { app: 'web' }, ports: [port(80, 'http'), port(81, 'admin')] }),
      ...replicas('shop/b', '10.0.5', 1, { labels: { app: 'web' }, ...swapped }),
      ...replicas('shop/c', '10.0.6', 1),
    ];
    expect(verdictsOf({ ...SHOP, pods, policies: [ingressOf('web', [[], [tcp('http')]])] })).toMatchObject({
      'shop/c-1 -> shop/a-1 TCP 80': 'allow',
      'shop/c-1 -> shop/b-1 TCP 80': 'deny',
      'shop/c-1 -> shop/b-1 TCP 81': 'allow',
    });
  });

  test.each<[string, (gone: PodRecord) => readonly PodRecord[]]>([
    ['before', (gone) => [gone, ...SHOP.pods]],
    ['after', (gone) => [...SHOP.pods, gone]],
  ])('gives an address to the live pod that comes %s one that is being deleted', (_, pods) => {
    const { ends, notes } = new Reachability({
      ...SHOP,
      pods: pods(pod('else/gone', '10.0.2.1', {}, { deleting: true })),
    });
    expect(ends.map(({ name }) => name)).not.toContain('else/gone');
    expect(notes).toEqual(['without an address of their own: else/gone']);
  });

  test('has no row for pods that policies cannot select, and says so', () => {
    const onNode = pod('shop/proxy', '172.18.0.2', {}, { hostNetwork: true });
    const pending = pod('shop/pending', '', {}, { addresses: [] });
    const { ends, notes } = new Reachability({ ...SHOP, pods: [...SHOP.pods, onNode, pending] });
    expect(ends.map(({ name }) => name)).toEqual(['else/stranger', 'shop/db-1', 'shop/web', 'outside', '10.9.0.0/16']);
    expect(notes).toEqual([
      "in their node's network, where no policy applies: shop/proxy",
      'without an address of their own: shop/pending',
    ]);
  });
});

describe('replicas', () => {
  const namesOf = (snapshot: ClusterSnapshot, before?: ClusterSnapshot) =>
    new Reachability(snapshot, before === undefined ? {} : { before }).ends
      .filter(({ kind }) => kind === 'pods')
      .map(({ name }) => name);
  const numbered = ['1', '2', '3'].map((index) =>
    pod(`shop/set-${index}`, `10.0.5.${index}`, { app: 'set', index }, { ports: [port(80)] }),
  );
  const set = { ...SHOP, pods: numbered };

  test('share a row though their labels differ, as long as no policy selects by those', () => {
    expect(namesOf(set)).toEqual(['shop/set']);
  });

  test('are divided if a policy selects one of them', () => {
    const only = ingressPolicy('only', [], { namespace: 'shop', podSelector: matching({ index: '2' }) });
    expect(namesOf({ ...set, policies: [only] })).toEqual(['shop/set-1 +1', 'shop/set-2']);
  });

  test('are divided if a block contains the address of one of them', () => {
    const only = ingressOf('db', [[{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.0.5.3/32'] } }]]);
    expect(namesOf({ ...set, policies: [only] })).toEqual(['shop/set-1 +1', 'shop/set-3']);
  });

  test('are divided if the earlier policies divide them', () => {
    const only = ingressPolicy('only', [], { namespace: 'shop', podSelector: matching({ index: '2' }) });
    expect(namesOf(set, { ...set, policies: [only] })).toEqual(['shop/set-1 +1', 'shop/set-2']);
  });

  test('of another workload have a row of their own, though they can reach the same', () => {
    expect(namesOf({ ...SHOP, policies: [] })).toEqual(['else/stranger', 'shop/db-1', 'shop/web']);
  });
});

describe('a change', () => {
  /** Changes on declared ports. */
  const changesOf = (before: ClusterSnapshot) =>
    Object.entries(cellsOf(SHOP, { before })).flatMap(([way, cell]) => {
      const change = changeOf(cell);
      return change === undefined || way.endsWith('other') ? [] : `${change} ${way}`;
    });

  test('of nothing has no effect', () => {
    expect(changesOf(SHOP)).toEqual([]);
  });

  test('of policies opens and closes', () => {
    const before = ingressOf('db', [[{ namespaceSelector: matching({ 'kubernetes.io/metadata.name': 'else' }) }]]);
    expect(changesOf({ ...SHOP, policies: [before, ...SHOP.policies.slice(1)] })).toEqual([
      'closed else/stranger -> shop/db-1 TCP 5432',
      'opened shop/web -> shop/db-1 TCP 5432',
    ]);
  });

  test('of labels counts, and a new pod is judged as if it had existed before', () => {
    const [first, ...others] = SHOP.pods.filter(({ name }) => name.startsWith('web')) as [PodRecord, ...PodRecord[]];
    const relabelled = [{ ...first, labels: { app: 'other' } }, ...others.slice(1)];
    expect(new Set(changesOf({ ...SHOP, pods: relabelled }))).toEqual(
      new Set([
        'opened shop/web-1 -> shop/db-1 TCP 5432',
        'closed shop/web-2 +1 -> shop/web-1 TCP 8080',
        'closed else/stranger -> shop/web-1 TCP 8080',
        'closed shop/db-1 -> shop/web-1 TCP 8080',
        'closed outside -> shop/web-1 TCP 8080',
      ]),
    );
  });

  test('of namespaces counts if they were defined', () => {
    const policies = [ingressOf('db', [[{ namespaceSelector: matching({ team: 'x' }) }]])];
    const now = { ...SHOP, policies, namespaces: [namespace('shop'), namespace('else', { team: 'x' })] };
    const opened = (before: ClusterSnapshot) =>
      [...new Reachability(now, { before }).cells()].filter(({ cell, port }) => !port.other && changeOf(cell));
    expect(opened({ ...now, namespaces: [namespace('else')] })).toHaveLength(1);
    expect(opened({ ...now, namespaces: [] })).toHaveLength(0);
  });
});

describe('a change on ports that pods do not declare', () => {
  const changed = (now: readonly PolicyRecord[], before: readonly PolicyRecord[], pods = SHOP.pods) =>
    Object.entries(cellsOf({ ...SHOP, pods, policies: now }, { before: { ...SHOP, pods, policies: before } }))
      .filter(([way, cell]) => way.startsWith('else/stranger ->') && changeOf(cell) !== undefined)
      .map(([way, cell]) => `${changeOf(cell)} ${way.slice('else/stranger -> '.length)}`);
  const closed = ingressOf('db');

  test('is seen if every port is opened', () => {
    expect(changed([ingressOf('db', [[]])], [closed])).toEqual([
      'opened shop/db-1 TCP 5432',
      'opened shop/db-1 SCTP other',
      'opened shop/db-1 TCP other',
      'opened shop/db-1 UDP other',
    ]);
  });

  test('is seen if a port is opened that no container has', () => {
    expect(changed([ingressOf('db', [[], [tcp(22)]])], [closed])).toEqual(['opened shop/db-1 TCP 22']);
    expect(changed([closed], [ingressOf('db', [[], [tcp(22)]])])).toEqual(['closed shop/db-1 TCP 22']);
  });

  test('is seen inside a range', () => {
    const wide = ingressOf('db', [[], [tcp(100, 200)]]);
    expect(changed([wide], [ingressOf('db', [[], [tcp(100, 150)]])])).toEqual(['opened shop/db-1 TCP 151']);
    expect(changed([wide], [ingressOf('db', [[], [tcp(100, 149), tcp(151, 200)]])])).toEqual([
      'opened shop/db-1 TCP 150',
    ]);
    const named = replicas('shop/db', '10.0.2', 1, { ports: [port(100, 'sql')] });
    const pods = [...SHOP.pods.filter(({ name }) => name !== 'db-1'), ...named];
    const byName = [[], [tcp('sql')]] as [never[], ReturnType<typeof tcp>[]];
    expect(changed([ingressOf('db', byName, [[], [tcp(100, 200)]])], [ingressOf('db', byName)], pods)).toEqual([
      'opened shop/db-1 TCP 101',
    ]);
  });

  test('is seen in what may leave the cluster, for every protocol', () => {
    const leaves = (...rules: Parameters<typeof allow>[]) =>
      ingressPolicy('out', [], {
        namespace: 'else',
        isolates: ['egress'],
        egress: rules.map((rule) => allow(...rule)),
      });
    const anywhere = { ipBlock: { cidr: '0.0.0.0/0', except: [] } };
    expect(changed([leaves([[anywhere], [{ protocol: 'UDP' }]])], [leaves()])).toContain('opened outside UDP other');
    const many = Array.from({ length: 12 }, (_, i) => tcp(1000 + 10 * i));
    expect(changed([leaves([[anywhere], many])], [leaves([[anywhere], many.slice(0, 11)])])).toContain(
      'opened outside TCP 1110',
    );
  });

  test('is seen even if another policy names every port', () => {
    const elsewhere = ingressOf('web', [[], [tcp(1, 65_535)]]);
    expect(changed([ingressOf('db', [[]]), elsewhere], [closed, elsewhere])).toContain('opened shop/db-1 TCP other');
  });

  test('adds no port on which nothing changed', () => {
    const before = { ...SHOP, policies: [ingressOf('db', [[], [tcp(22), tcp(23)]])] };
    const now = { ...SHOP, policies: [ingressOf('db', [[], [tcp(22)]])] };
    const { ends } = new Reachability(now, { before });
    expect(ends.find(({ name }) => name === 'shop/db-1')?.ports.map(portTitle)).toEqual(['TCP 23', 'TCP 5432']);
  });
});

test('a pod that is open on every port has another row for the other ports', () => {
  const policies = [ingressOf('db', [[], [tcp(5432)]]), ingressOf('web', [[]])];
  const { ends } = new Reachability({ ...SHOP, policies });
  const portsOf = (wanted: string) => ends.find(({ name }) => name === wanted)?.ports.map(portTitle);
  expect(portsOf('shop/db-1')).toEqual(['TCP 5432']);
  expect(portsOf('shop/web')).toEqual(['TCP 8080', 'TCP other']);
});

test('a cell is true for every pair of pods of its row and column', () => {
  let compared = 0;
  fc.assert(
    fc.property(grownHistory, (batches) => {
      const model = new ClusterModel();
      for (const batch of batches) model.apply(batch);
      const snapshot = model.snapshotOfOwners();
      const judge = new ClusterJudge(snapshot);
      const pods = new Map(snapshot.pods.map((each) => [recordKey(each), each]));
      for (const { from, to, port, cell } of new Reachability(snapshot).cells()) {
        if (from.kind !== 'pods' || to.kind !== 'pods') continue;
        for (const source of from.pods) {
          for (const destination of to.pods) {
            if (source === destination) continue;
            compared++;
            const ends = [source, destination].map((key) => flowEnds(pods.get(key) as PodRecord));
            const verdicts = (ends[0] ?? []).flatMap((one) => {
              const other = ends[1]?.find(({ address }) => familyOf(address) === familyOf(one.address));
              return other === undefined ? [] : judge.judge(one, other, port.protocol, port.port).verdict;
            });
            expect({ source, destination, ...port, verdict: cell.verdict }).toEqual({
              source,
              destination,
              ...port,
              verdict: summary(verdicts),
            });
          }
        }
      }
    }),
    { numRuns: 60 },
  );
  expect(compared).toBeGreaterThan(1000);
});

test('whatever a change opens or closes on any port is in the matrix', () => {
  let changed = 0;
  fc.assert(
    fc.property(grownHistory, (batches) => {
      const model = new ClusterModel();
      for (const batch of batches) model.apply(batch);
      const now = model.snapshotOfOwners();
      const middle = new ClusterModel();
      for (const batch of batches.slice(0, -1)) middle.apply(batch);
      const matrix = new Reachability(now, { before: { ...now, policies: middle.snapshotOfOwners().policies } });
      if (matrix.before === undefined) throw new Error('nothing to compare with');
      const judges = [new ClusterJudge(now), new ClusterJudge(matrix.before)] as const;
      const found = new Set(
        [...matrix.cells()].flatMap(({ cell, at: [from, to] }) => {
          const change = changeOf(cell);
          return change === undefined ? [] : `${change} ${from} ${to}`;
        }),
      );
      for (const from of matrix.ends.keys()) {
        for (const [to, { ports }] of matrix.ends.entries()) {
          const flow = ports.length > 0 ? matrix.flow(from, to, 0) : undefined;
          for (const protocol of ['TCP', 'UDP', 'SCTP'] as const) {
            for (const port of [1, 52, 53, 54, 79, 80, 81, 90, 443, 1000, 8079, 8080, 8081, 30_000]) {
              if (flow === undefined) continue;
              const [after, before] = judges.map((judge) => judge.judge(...flow, protocol, port).verdict);
              if (after === before) continue;
              changed++;
              const change = after === 'allow' ? 'opened' : 'closed';
              expect([...found], `${protocol} ${port}`).toContain(`${change} ${from} ${to}`);
            }
          }
        }
      }
    }),
    { numRuns: 40 },
  );
  expect(changed).toBeGreaterThan(100);
});

function summary(verdicts: readonly Verdict[]): string {
  const [first = 'none'] = verdicts;
  return verdicts.every((verdict) => verdict === first) ? first : 'mixed';
}
