/**
 * Everything that an API server can do wrong to the real agent: it goes on enforcing, and resumes
 * where it was.
 */
import { writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Failure } from '../../src/kube/api-error.ts';
import type { Status } from '../../src/telemetry/status.ts';
import type { Fault } from '../kube/faults.ts';
import { describeAsRoot } from '../root.ts';
import { Connections, expectCut } from '../scenarios/connections.ts';
import { AgentWorld } from './agent-world.ts';
import { CLIENT_ALLOWED, FRIEND_ALLOWED } from './policies.ts';
import type { RunningAgent } from './running-agent.ts';

/** The kinds that the agent needs to enforce. Nothing waits for nodes. */
const KINDS = ['Namespace', 'Pod', 'NetworkPolicy'] as const;
const needed = ({ source }: Pick<Status, 'source'>) => source.kinds.filter(({ kind }) => kind !== 'Node');
/** Cut off in the middle of an event's line. */
const HALF_A_LINE = '{"type":"MODIFIED","object":{"kind":"NetworkPolicy","metadata":{"na';

describeAsRoot('An API server that fails', () => {
  let world: AgentWorld;
  beforeAll(async () => {
    world = await AgentWorld.start([FRIEND_ALLOWED]);
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
  });

  const cutWatches = () => world.api.call('cutWatches');
  const writeToken = async (token: string) =>
    writeFileSync(world.kubeConfig, await world.api.call('kubeConfig', { token }));
  /** The next `times` requests for each kind get this answer. */
  async function failEach(times: number, fault: Fault): Promise<void> {
    for (const kind of KINDS) await world.api.call('fail', { ...fault, kind, times });
  }

  describe('while the agent enforces', () => {
    let agent: RunningAgent;
    /** The friend is always allowed, the stranger always denied. */
    let friend: Connections;
    let stranger: Connections;
    beforeEach(async () => {
      await world.become([FRIEND_ALLOWED]);
      // A new agent each time, because it waits the longer the more requests have failed.
      agent = await world.startAgent();
      friend = new Connections(world.lab, 'shop/friend', 'shop/server', 7001);
      stranger = new Connections(world.lab, 'shop/stranger', 'shop/server', 7003);
      await agent.shows('all watches open', (status) => status.source.kinds.every(({ watching }) => watching));
    });

    afterEach(async () => {
      friend[Symbol.dispose]();
      stranger[Symbol.dispose]();
      await world.killAgents();
    });

    /**
     * New and open connections are judged as before, and /readyz reports that policies are in
     * force, and the age of what the agent knows.
     */
    async function expectEnforcing(): Promise<void> {
      await friend.flow();
      await expectCut(stranger);
      await friend.expectNothingLost();
      expect(await agent.get('/readyz')).toEqual({
        status: 200,
        body: expect.stringMatching(
          /^policies in force since \d{4}-\S+; the API server http:\S+ last heard [\d.]+ seconds ago \(Namespace [\d.]+.*\)\n$/,
        ),
      });
    }

    /** Resolves when each watch has failed `times` times more than `before` for this reason. */
    async function failed(reason: Failure, times: number, before: readonly number[]): Promise<void> {
      await agent.shows(`${times} times ${reason}`, (status) =>
        needed(status).every(({ restarts }, i) => (restarts[reason] ?? 0) >= (before[i] ?? 0) + times),
      );
    }

    async function failures(reason: Failure): Promise<readonly number[]> {
      return needed(await agent.status()).map(({ restarts }) => restarts[reason] ?? 0);
    }

    /** A change at the server comes into force without another list, and what it allows flows. */
    async function expectTakenUp(): Promise<void> {
      await world.change(agent, [FRIEND_ALLOWED, CLIENT_ALLOWED]);
      using client = new Connections(world.lab, 'shop/client', 'shop/server', 7005);
      await client.flow();
      expect(needed(await agent.status()).map(({ lists }) => lists)).toEqual([1, 1, 1]);
      await friend.expectNothingLost();
    }

    test('401 after its token was replaced: it reads the new one and goes on', async () => {
      await world.api.call('acceptTokens', ['second']);
      await writeToken('second');
      // Ended in order: after a broken connection the agent would read the credentials again
      // anyway.
      await world.api.call('endWatches', 'NetworkPolicy');
      await agent.shows('that it is refused', ({ source }) =>
        source.kinds.some(({ kind, restarts }) => kind === 'NetworkPolicy' && restarts.unauthorized === 1),
      );
      await expectEnforcing();
      await expectTakenUp();
      const [last] = (await world.api.call('requests', 'watch', 'NetworkPolicy')).slice(-1);
      expect(last?.authorization).toBe('Bearer second');
    });

    test('401 until the new token arrives: what the agent knows stands', async () => {
      await world.api.call('acceptTokens', ['third']);
      const before = await failures('unauthorized');
      await cutWatches();
      await failed('unauthorized', 2, before);
      expect(needed(await agent.status()).map(({ watching, lastError }) => [watching, lastError?.code])).toEqual(
        KINDS.map(() => [false, 'unauthorized']),
      );
      await expectEnforcing();
      await writeToken('third');
      await expectTakenUp();
    });

    test.each([
      ['429 with a time to wait', 'overloaded', { status: 429, reason: 'TooManyRequests', retryAfter: 1 }],
      ['500', 'server-error', { status: 500, reason: 'InternalError' }],
    ] as const)('a burst of %s: it comes back', async (_, reason, answer) => {
      const before = await failures(reason);
      await failEach(2, { type: 'watch', answer });
      await cutWatches();
      await failed(reason, 1, before);
      await expectEnforcing();
      await failed(reason, 2, before);
      await expectTakenUp();
    });

    test.each([
      ['no JSON', 'malformed', 'Bad Gateway\n'],
      ['an event without its object', 'malformed', '{"type":"ADDED"}\n'],
    ] as const)('a stream that contains %s: it is resumed where it was', async (_, reason, bytes) => {
      const before = await failures(reason);
      await world.api.call('sendToWatches', bytes);
      await failed(reason, 1, before);
      await expectEnforcing();
      await expectTakenUp();
    });

    test('a stream that breaks within an event: nothing of that event is applied', async () => {
      const before = await failures('connection');
      await world.api.call('sendToWatches', HALF_A_LINE);
      await expectEnforcing();
      await cutWatches();
      await failed('connection', 1, before);
      await expectEnforcing();
      await expectTakenUp();
    });

    test('a stream that arrives a few bytes at a time: a change is in force once it is complete', async () => {
      await world.api.call('trickleWatches', 7);
      await expectTakenUp();
      await expectEnforcing();
    });
  });

  describe('while the agent starts', () => {
    afterEach(async () => {
      await world.api.call('heal');
      await world.killAgents();
    });

    test.each([
      ['429', 'overloaded', { status: 429, retryAfter: 1 }],
      ['500', 'server-error', { status: 500 }],
      ['401', 'unauthorized', { status: 401 }],
    ] as const)(
      'with a burst of %s: it says what it waits for, and enforces once it has everything',
      async (_, reason, answer) => {
        await failEach(2, { answer });
        const agent = world.spawnAgent();
        await agent.serves();
        await agent.shows('a failure', (status) => needed(status).every(({ restarts }) => (restarts[reason] ?? 0) > 0));
        const { status, body } = await agent.get('/readyz');
        // It may have received all lists by now.
        if (status !== 200) expect(body).toMatch(/^not ready: (waiting for the first list of|bringing the policies)/);
        await agent.ready();
        using stranger = new Connections(world.lab, 'shop/stranger', 'shop/server', 7007);
        await expectCut(stranger);
        expect(needed(await agent.status()).map(({ lists }) => lists)).toEqual([1, 1, 1]);
      },
    );

    test.each(['half', 'cut'] as const)(
      'with lists that break (%s): each is complete before it enforces',
      async (answer) => {
        const agent = world.spawnAgent();
        await world.api.call('fail', { type: 'streaming-list', times: 4, answer: { status: 422, reason: 'Invalid' } });
        await failEach(1, { type: 'list', answer });
        await agent.ready();
        const status = await agent.status();
        expect(needed(status).map(({ kind, lists, restarts }) => [kind, lists, restarts.connection])).toEqual(
          KINDS.map((kind) => [kind, 1, 1]),
        );
        expect(status.enforced.policies).toBe(2);
      },
    );
  });
});
