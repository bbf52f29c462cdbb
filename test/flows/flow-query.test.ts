import { describe, expect, it, test } from 'vitest';
import { matchesFlow, readFlowQuery } from '../../src/flows/flow-query.ts';
import { flow } from './flows.ts';

const read = (text: string) => readFlowQuery(new URLSearchParams(text));

describe('the query of flows', () => {
  it('has a parameter for everything, and may be empty', () => {
    expect(read('')).toEqual({ query: {}, mistakes: [] });
    expect(read('verdict=deny&pod=a/b&port=53/udp&policy=c/d&last=7&follow=no').query).toEqual({
      ...{ verdict: 'deny', pod: 'a/b', port: 53, protocol: 'UDP', policy: 'c/d', last: 7, follow: false },
    });
  });

  test.each([
    ['verdict=denied', 'verdict must be allow, deny or would_deny, not "denied"'],
    ['pod=web', 'pod must be NAMESPACE/NAME of a pod, not "web"'],
    ['policy=a/b/c', 'policy must be NAMESPACE/NAME of a NetworkPolicy, not "a/b/c"'],
    ['port=65536', 'port must be a port such as 5432 or 53/udp, not "65536"'],
    ['port=http', 'port must be a port such as 5432 or 53/udp, not "http"'],
    ['last=-1', 'last must be a whole number, not "-1"'],
    ['follow=maybe', 'follow must be yes or no, not "maybe"'],
    ['podd=a/b', 'podd is unknown; there are verdict, pod, port, policy, last, follow'],
    ['toString=a', 'toString is unknown; there are verdict, pod, port, policy, last, follow'],
  ])('%s is a mistake', (text, mistake) => {
    expect(read(text).mistakes).toEqual([mistake]);
  });

  it('reports all mistakes', () => {
    expect(read('port=x&last=y').mistakes).toHaveLength(2);
  });

  test.each([
    ['', true],
    ['verdict=deny', true],
    ['verdict=allow', false],
    ['pod=shop/web', true],
    ['pod=shop/db', true],
    ['pod=web/shop', false],
    ['port=80', true],
    ['port=80/tcp', true],
    ['port=80/udp', false],
    ['port=81', false],
    ['policy=shop/db', true],
    ['policy=shop/web', false],
    ['pod=shop/web&port=80&verdict=allow', false],
  ])('of a denied flow from shop/web to shop/db:80, by shop/db: %j is %s', (text, matches) => {
    expect(matchesFlow(read(text).query, flow(80))).toBe(matches);
  });
});
