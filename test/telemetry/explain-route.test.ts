import { describe, expect, test } from 'vitest';
import type { Answer } from '../../src/explain/explanation.ts';
import { type Explained, type ExplainQuery, explainRoute } from '../../src/telemetry/explain-route.ts';
import { get } from './http-client.ts';
import { serve } from './served.ts';

const ANSWER: Answer = { from: 'a/b', to: 'c/d', protocol: 'TCP', port: 1, verdict: 'deny', ways: [] };
const QUESTION = '/explain?from=a/b&to=c/d&port=1%2Ftcp';

async function port(explained: (question: ExplainQuery) => Explained): Promise<number> {
  return (await serve([explainRoute(explained)])).port;
}

describe('/explain', () => {
  test('returns the answer as JSON', async () => {
    const asked: ExplainQuery[] = [];
    const at = await port((question) => {
      asked.push(question);
      return { outcome: 'answer', answer: ANSWER };
    });
    const { status, headers, body } = await get(at, QUESTION);
    expect({ status, answer: JSON.parse(body) }).toEqual({ status: 200, answer: ANSWER });
    expect(headers['content-type']).toContain('application/json');
    expect(asked).toEqual([{ from: 'a/b', to: 'c/d', port: '1/tcp' }]);
  });

  test('says what is wrong with a question, or that the agent is not ready yet', async () => {
    const wrong = await port(() => ({ outcome: 'mistake', message: 'no such pod' }));
    expect(await get(wrong, QUESTION)).toMatchObject({ status: 400, body: 'no such pod\n' });
    expect(await get(wrong, '/explain?from=a')).toMatchObject({ status: 400, body: 'give from, to and port\n' });
    const early = await port(() => ({ outcome: 'not-ready', message: 'not yet' }));
    expect(await get(early, QUESTION)).toMatchObject({ status: 503, body: 'not yet\n' });
  });

  test('answers simultaneous questions one after the other', async () => {
    let count = 0;
    const route = explainRoute(() => {
      count++;
      return { outcome: 'answer', answer: ANSWER };
    });
    const query = new URLSearchParams({ from: 'a/b', to: 'c/d', port: '1' });
    const gone = AbortSignal.abort();
    const asked = Array.from({ length: 4 }, (_, i) =>
      route.handle({ query, signal: i === 2 ? gone : new AbortController().signal }),
    );
    // Let everything run that can.
    await new Promise((resolve) => setImmediate(resolve));
    expect(count).toBe(1);
    const statuses = (await Promise.all(asked)).map(({ status }) => status);
    expect({ statuses, count }).toEqual({ statuses: [200, 200, 503, 200], count: 3 });
  });
});
