import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ClusterSnapshot } from '../../src/cluster/store.ts';
import { ClusterJudge } from '../../src/explain/cluster-judge.ts';
import { endName } from '../../src/explain/flow-end.ts';
import { type Assertion, parseAssertion } from '../../src/matrix/assertion.ts';
import { AssertionChecker } from '../../src/matrix/assertion-check.ts';
import { flowEnds } from '../../src/matrix/ends.ts';
import { selectablePods } from '../../src/matrix/pod-classes.ts';
import { ClusterModel } from '../policy/cluster-model.ts';
import { ADDRESSES, grownHistory } from '../policy/random-cluster.ts';
import { pod, tcp } from '../policy/records.ts';
import { ingressOf, SERVICES, SHOP, service } from './cluster.ts';

function parsed(text: string): Assertion {
  const assertion = parseAssertion({ title: 'test', text });
  if ('message' in assertion) throw new Error(assertion.message);
  return assertion;
}

function check(text: string, snapshot: ClusterSnapshot = SHOP, services = SERVICES) {
  return new AssertionChecker(snapshot, services).check(parsed(text));
}

/** Returns each violation as `FROM -> TO:PORT xALIKE`. */
function violations(text: string, snapshot: ClusterSnapshot = SHOP, services = SERVICES): string[] {
  const result = check(text, snapshot, services);
  if ('message' in result) throw new Error(result.message);
  return result.violations.map(
    ({ from, to, port, protocol, alike }) => `${endName(from)} -> ${endName(to)}:${port}/${protocol} x${alike}`,
  );
}

function problem(text: string, snapshot: ClusterSnapshot = SHOP): unknown {
  const result = check(text, snapshot);
  return 'message' in result ? [result.message, result.hint] : result;
}

describe('a deny', () => {
  test('holds if none of its flows is possible', () => {
    expect(check('else/* -> shop/db:5432')).toMatchObject({ flows: 2, violations: [] });
  });

  test('is violated by a possible flow, once for pods that no policy distinguishes', () => {
    expect(violations('shop/* -> shop/db-1:5432')).toEqual(['shop/web-1 -> shop/db-1:5432/TCP x3']);
  });

  test('is not violated by a pod and itself, which always reach each other', () => {
    expect(violations('shop/web -> shop/web:8080')).toEqual([]);
    expect(check('shop/web -> shop/web:8080')).toMatchObject({ flows: 6 });
  });

  test('is violated by a flow that only audited policies deny, and an allow holds for it', () => {
    const audited = { ...SHOP, policies: SHOP.policies.map((policy) => ({ ...policy, mode: 'audit' }) as const) };
    expect(check('else/* -> shop/db:5432')).toMatchObject({ violations: [] });
    expect(violations('else/* -> shop/db:5432', audited)).not.toEqual([]);
    expect(violations('allow else/* -> shop/db:5432', audited)).toEqual([]);
  });

  test('without a port is about every port of every protocol', () => {
    expect(violations('shop/web-2 -> shop/db')).toEqual(['shop/web-2 -> shop/db-1:5432/TCP x1']);
    expect(violations('10.9.0.0/16 -> shop/web-2')).toEqual(['10.9.0.1 -> shop/web-2:8080/TCP x1']);
  });

  test('for a range finds a port inside it', () => {
    expect(violations('shop/web-2 -> shop/db:5000-6000')).toEqual(['shop/web-2 -> shop/db-1:5432/TCP x1']);
    expect(violations('shop/web-2 -> shop/db:5433-6000')).toEqual([]);
    const ranges = { ...SHOP, policies: [ingressOf('db', [[], [tcp(100, 200)]])] };
    expect(violations('else/stranger-1 -> shop/db:150-160', ranges)).toEqual([
      'else/stranger-1 -> shop/db-1:150/TCP x1',
    ]);
    expect(violations('else/stranger-1 -> shop/db:201-300', ranges)).toEqual([]);
  });

  test('for a named port is about each pod’s number for it', () => {
    expect(violations('10.9.0.1 -> shop/web-2:http')).toEqual(['10.9.0.1 -> shop/web-2:8080/TCP x1']);
  });

  test('for outside tries every part of it that policies distinguish', () => {
    expect(violations('outside -> shop/web:8080')).toEqual(['10.9.0.1 -> shop/web-1:8080/TCP x3']);
    expect(violations('10.8.0.0/16 -> shop/web:8080')).toEqual([]);
    expect(violations('10.0.0.0/8 -> shop/web:8080')).toEqual(['10.9.0.1 -> shop/web-1:8080/TCP x3']);
  });

  test('for a block leaves out the pods in it', () => {
    expect(violations('10.0.1.0/24 -> shop/db:5432')).toEqual([]);
  });

  test('can be about traffic that leaves the cluster', () => {
    expect(violations('shop/db -> 203.0.113.0/24:443')).toEqual(['shop/db-1 -> 203.0.113.1:443/TCP x1']);
  });
});

describe('a Service', () => {
  test('stands for its backends on its own port', () => {
    expect(violations('10.9.0.0/16 -> shop/front:80')).toEqual(['10.9.0.1 -> shop/web-1:8080/TCP x3']);
    expect(problem('10.9.0.0/16 -> shop/front:81')).toEqual([expect.stringContaining('there is no flow'), undefined]);
  });

  test('named like a workload means the Service’s port on its backends, and otherwise the pods’ own ports', () => {
    const web = service('shop/web', { app: 'web' }, { protocol: 'TCP', port: 80, targetPort: 8080 });
    expect(violations('allow 10.9.0.0/16 -> shop/web:80', SHOP, [web])).toEqual([]);
    expect(violations('10.9.0.0/16 -> shop/web:8080', SHOP, [web])).toEqual(['10.9.0.1 -> shop/web-1:8080/TCP x3']);
  });

  test('does not hide the same port number of a pod with that name', () => {
    const db = service('shop/db', { app: 'db' }, { protocol: 'TCP', port: 5432, targetPort: 6432 });
    for (const name of ['shop/db', 'shop/db*', '*/*']) {
      expect(violations(`shop/web-2 -> ${name}:5432`, SHOP, [db])).toContain('shop/web-2 -> shop/db-1:5432/TCP x1');
    }
    const front = service('shop/front', { app: 'db' }, { protocol: 'TCP', port: 5432, targetPort: 6432 });
    expect(violations('shop/web-2 -> shop/front:5432', SHOP, [front])).toEqual([]);
  });

  test('can be named by port', () => {
    const named = service('shop/named', { app: 'web' }, { name: 'api', protocol: 'TCP', port: 80, targetPort: 'http' });
    expect(violations('10.9.0.1 -> shop/named:api', SHOP, [named])).toEqual(['10.9.0.1 -> shop/web-1:8080/TCP x3']);
  });

  test('without a port stands for all ports of its backends', () => {
    expect(violations('10.9.0.1 -> shop/front')).toEqual(['10.9.0.1 -> shop/web-1:8080/TCP x3']);
  });
});

describe('an allow', () => {
  test('holds if all its flows are possible', () => {
    expect(violations('allow shop/web -> shop/db:5432')).toEqual([]);
  });

  test('for a range is violated if the allowed range ends inside it', () => {
    const ranges = { ...SHOP, policies: [ingressOf('db', [[], [tcp(100, 200)]])] };
    expect(violations('allow else/stranger-1 -> shop/db:100-200', ranges)).toEqual([]);
    expect(violations('allow else/stranger-1 -> shop/db:150-300', ranges)).toEqual([
      'else/stranger-1 -> shop/db-1:201/TCP x1',
    ]);
  });

  test('is violated by an impossible flow', () => {
    expect(violations('allow */* -> shop/db:5432')).toEqual(['else/stranger-1 -> shop/db-1:5432/TCP x2']);
  });
});

describe('an assertion about nothing', () => {
  test.each([
    ['shop/wbe -> shop/db:5432', 'no pod is named shop/wbe', 'Did you mean shop/web?'],
    ['shop/web -> shop/frnt:80', 'no pod or Service is named shop/frnt', 'Did you mean shop/front?'],
    ['shop/web -> shop/db:sqll', 'shop/db has no TCP port named sqll', 'Did you mean sql?'],
    ['shop/db -> shop/db:5432', expect.stringContaining('there is no flow from shop/db to shop/db'), undefined],
    ['fd00::/8 -> shop/db:5432', expect.stringContaining('no address family in common'), undefined],
  ])('%s is a problem', (text, message, hint) => {
    expect(problem(text)).toEqual([message, hint]);
  });

  test('says that policies do not apply to the pods that it names', () => {
    const proxy = pod('shop/proxy', '172.18.0.2', {}, { hostNetwork: true });
    expect(problem('shop/proxy -> shop/db:5432', { ...SHOP, pods: [...SHOP.pods, proxy] })).toEqual([
      "shop/proxy is in its node's network, where no policy applies",
      undefined,
    ]);
  });
});

describe('pods in the network of their node', () => {
  const proxy = pod('shop/db-proxy', '172.18.0.2', { app: 'proxy' }, { hostNetwork: true });
  const cluster = { ...SHOP, pods: [...SHOP.pods, proxy] };
  const proxies = [service('shop/proxy', { app: 'proxy' }, { protocol: 'TCP', port: 80, targetPort: 80 })];

  test('are reported as left out of the check', () => {
    expect(check('else/* -> shop/db*:5432', cluster)).toMatchObject({ violations: [], leftOut: ['shop/db-proxy'] });
    expect(check('shop/db* -> else/*', cluster)).toMatchObject({ leftOut: ['shop/db-proxy'] });
    expect(check('else/* -> shop/web', cluster)).toMatchObject({ leftOut: [] });
  });

  test('are named if nothing can be checked because a Service has only such backends', () => {
    expect(check('else/* -> shop/proxy:80', cluster, proxies)).toMatchObject({
      message: "shop/db-proxy is in its node's network, where no policy applies",
    });
  });
});

test('every flow of an assertion agrees with its result', () => {
  let denied = 0;
  let allowed = 0;
  fc.assert(
    fc.property(grownHistory, fc.constantFrom('a', 'b', '*'), fc.constantFrom('a', 'c', '*'), (batches, from, to) => {
      const model = new ClusterModel();
      for (const batch of batches) model.apply(batch);
      const snapshot = model.snapshotOfOwners();
      const pods = selectablePods(snapshot.pods);
      const podAddresses = new Set(snapshot.pods.flatMap(({ addresses }) => addresses));
      const sources = pods.filter(({ namespace }) => from === '*' || namespace === from);
      const destinations = pods.filter(({ namespace }) => to === '*' || namespace === to);
      const outside = ADDRESSES.filter((address) => !podAddresses.has(address));
      const judge = new ClusterJudge(snapshot);
      const isPossible = (source: string, target: (typeof pods)[number]) =>
        flowEnds(target)
          .filter(({ address }) => address !== source && address.includes(':') === source.includes(':'))
          .some((end) =>
            [1, 53, 79, 80, 8080].some((port) => judge.judge(endAt(source), end, 'TCP', port).verdict === 'allow'),
          );
      const checker = new AssertionChecker(snapshot, []);
      for (const [text, possible] of [
        [
          `${from}/* -> ${to}/*`,
          sources.some((pod) =>
            destinations.some((each) => each !== pod && pod.addresses.some((address) => isPossible(address, each))),
          ),
        ],
        [`outside -> ${to}/*`, destinations.some((each) => outside.some((address) => isPossible(address, each)))],
      ] as const) {
        const result = checker.check(parsed(text));
        if ('message' in result) continue;
        // These flows are only some of those that the assertion is about.
        if (possible) expect({ text, held: result.violations.length === 0 }).toEqual({ text, held: false });
        if (possible) allowed++;
        else denied++;
        for (const { from, to, protocol, port, judgement } of result.violations) {
          expect(judge.judge(from, to, protocol, port)).toEqual(judgement);
          expect(judgement.verdict).toBe('allow');
        }
      }
    }),
    { numRuns: 60 },
  );
  expect(Math.min(allowed, denied)).toBeGreaterThan(5);
});

function endAt(address: string) {
  return { kind: 'address', address } as const;
}
