import pino from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { KindStatus } from '../../src/agent-state/watch-status.ts';
import { EGRESS_DENIED, MID_STREAM, NOT_ISOLATED } from '../../src/filter/reasons.ts';
import { agentRoutes } from '../../src/telemetry/agent-routes.ts';
import { HttpServer } from '../../src/telemetry/http-server.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import type { Status } from '../../src/telemetry/status.ts';
import { lint, parseExposition } from './exposition.ts';
import { get } from './http-client.ts';
import { kindStatus, TestAgent } from './test-agent.ts';

let agent: TestAgent;
let metrics: Metrics;
let server: HttpServer;
let port: number;

beforeEach(async () => {
  agent = new TestAgent();
  metrics = new Metrics(agent);
  server = new HttpServer({
    address: '127.0.0.1:0',
    routes: agentRoutes(agent, metrics),
    log: pino({ level: 'silent' }),
  });
  ({ port } = await server.start());
});
afterEach(() => server.stop());

describe('/metrics', () => {
  it('returns a text that Prometheus can read', async () => {
    const { status, headers, body } = await get(port, '/metrics');
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(lint(parseExposition(body).values())).toEqual([]);
  });

  it('asks the agent once for simultaneous scrapes, and answers each completely', async () => {
    const bodies = (await Promise.all(Array.from({ length: 30 }, () => get(port, '/metrics')))).map(({ body }) => body);
    for (const body of bodies) expect(parseExposition(body).has('podfence_ready')).toBe(true);
    expect(agent.asked).toBeLessThan(30);
  });

  it('shows what happened just before the scrape', async () => {
    const capacity = async () =>
      parseExposition((await get(port, '/metrics')).body).get('podfence_flow_table_capacity')?.series[0]?.value;
    for (const flows of [10, 20, 30]) {
      agent.rest.flowCapacity = flows;
      expect(await capacity()).toBe(flows);
    }
  });

  it('answers 500 while the agent’s counters fail', async () => {
    const counters = agent.counters.bind(agent);
    agent.counters = () => {
      throw new Error('no such file');
    };
    expect((await get(port, '/metrics')).status).toBe(500);
    agent.counters = counters;
    expect((await get(port, '/metrics')).status).toBe(200);
  });
});

describe('/healthz', () => {
  it.each([
    [2, 2, 200, '2 of 2 queue workers alive\n'],
    [2, 1, 503, '1 of 2 queue workers alive\n'],
    // Before the agent has begun to enforce.
    [0, 0, 200, '0 of 0 queue workers alive\n'],
  ])('with %i workers wanted and %i alive answers %i', async (wanted, alive, status, body) => {
    agent.working = { wanted, alive };
    expect(await get(port, '/healthz')).toMatchObject({ status, body });
  });

  it('does not ask whether the agent is ready', async () => {
    agent.state = { ready: false, reason: 'the API server does not answer' };
    expect((await get(port, '/healthz')).status).toBe(200);
  });
});

describe('/readyz', () => {
  const readyz = () => get(port, '/readyz');

  it('says why the agent is not ready, then since when it is and how old its knowledge is', async () => {
    expect(await readyz()).toMatchObject({
      status: 503,
      body: 'not ready: waiting for the first lists; nothing known yet from the API server https://10.0.0.1\n',
    });
    const [namespaces, pods, policies] = agent.watch.kinds.map((kind) => ({ ...kind, synced: true, watching: true }));
    agent.watch = {
      ...agent.watch,
      synced: true,
      age: 30_000,
      kinds: [
        { ...(namespaces as KindStatus), lastEventAge: 12_000 },
        { ...(pods as KindStatus), lastEventAge: 250 },
        { ...(policies as KindStatus), lastEventAge: 30_000, watching: false },
      ],
    };
    agent.state = { ready: true, since: new Date('2026-01-02T03:04:05.678Z') };
    expect(await readyz()).toMatchObject({
      status: 200,
      body: 'policies in force since 2026-01-02T03:04:05.678Z; the API server https://10.0.0.1 last heard 0.3 seconds ago (Namespace 12.0; Pod 0.3; NetworkPolicy 30.0, no watch open)\n',
    });
    agent.state = { ready: false, reason: 'stopping' };
    expect((await readyz()).status).toBe(503);
  });

  it('says that nothing is enforced in audit mode', async () => {
    agent.state = { ready: true, since: new Date(0) };
    agent.enforcementMode = () => ({ mode: 'audit', steering: 'nftables', offload: true });
    expect((await readyz()).body).toMatch(/^audit mode: policies are judged and nothing is enforced, since 1970/);
  });

  it('stays ready while the API server is gone, and says for how long', async () => {
    agent.state = { ready: true, since: new Date(0) };
    const kinds = agent.watch.kinds.map((kind) => ({ ...kind, lastEventAge: 3_600_000 }));
    agent.watch = { ...agent.watch, synced: true, age: 3_600_000, kinds };
    const { status, body } = await readyz();
    expect(status).toBe(200);
    expect(body).toContain('last heard 3600.0 seconds ago');
  });

  it('names the manifests if they are the source', async () => {
    agent.source = () => ({ type: 'manifests', location: 'examples', age: 1000, kinds: [] }) as never;
    expect((await readyz()).body).toContain('the manifests examples last read 1.0 seconds ago');
  });
});

describe('/status', () => {
  const status = async () => JSON.parse((await get(port, '/status')).body) as Status;

  it('is JSON with every documented field, before anything has happened', async () => {
    expect((await get(port, '/status')).headers['content-type']).toContain('application/json');
    const { uptimeSeconds, source, ...rest } = await status();
    expect(uptimeSeconds).toBeGreaterThan(0);
    expect(source).toMatchObject({ type: 'kubernetes', location: 'https://10.0.0.1' });
    expect(source.kinds.map(({ kind }) => kind)).toEqual(['Namespace', 'Pod', 'NetworkPolicy']);
    expect(rest).toEqual({
      version: '1.2.3',
      nodeVersion: process.versions.node,
      node: 'node-a',
      ready: false,
      readySince: null,
      notReady: 'waiting for the first lists',
      mode: null,
      enforced: {
        generation: 0,
        tableBytes: 0,
        policies: 0,
        identities: 0,
        isolatedEndpoints: 0,
        isolatedAddresses: 0,
      },
      packets: { judged: 0, allowed: 0, wouldBeDenied: 0, denied: 0, offloaded: 0, deniedBy: {} },
      flows: { tracked: 0, capacity: 65_536, evicted: 0, rejudged: 0, revoked: 0 },
      unknownPortNames: { count: 0, listed: [] },
      sharedAddresses: { count: 0, listed: [] },
      refusedPolicies: { count: 0, listed: [] },
      steeringRepairs: 0,
      workers: { wanted: 2, alive: 2, restarts: 0 },
      queues: [
        { queue: 100, waiting: 0, droppedByKernel: 0, droppedByUser: 0 },
        { queue: 101, waiting: 0, droppedByKernel: 0, droppedByUser: 0 },
      ],
      copies: null,
      podStarts: {
        ...{ state: 'off', runtime: null, lastError: null },
        ...{ inForce: 0, refused: 0, unjudged: 0, lastWaitSeconds: null },
      },
      spoofing: { state: 'allow', podRanges: null, dropped: {}, problem: null },
      startupTaint: null,
      findings: [],
      findingsAgeSeconds: null,
      lag: { knowledgeAgeSeconds: null, pendingChangeSeconds: 0, lastChange: null },
    });
  });

  it('shows what the agent did and knows', async () => {
    const pods = kindStatus('Pod');
    agent.state = { ready: true, since: new Date('2026-01-02T03:04:05.678Z') };
    agent.watch = {
      ...agent.watch,
      age: 1500,
      kinds: [
        {
          ...pods,
          resourceVersion: '77',
          records: 12,
          lastEventAge: 1500,
          lastError: { code: 'connection', message: 'refused', age: 9000 },
        },
      ],
    };
    for (const reason of [NOT_ISOLATED, EGRESS_DENIED, EGRESS_DENIED, MID_STREAM]) agent.worker.countPacket(0, reason);
    agent.worker.countPacket(0, EGRESS_DENIED, true);
    metrics.observeChange({ changes: 3, compile: 0.002, total: 0.02 });
    const mode = { mode: 'enforce', steering: 'nftables', fail: 'open', offload: false, deny: 'reject' } as const;
    agent.enforcementMode = () => mode;
    const taint = { key: 'example.com/starting', state: 'removed', failures: 0 } as const;
    agent.startupTaint = () => ({ ...taint, lastError: undefined });
    const starts = { state: 'runtime', runtime: 'containerd 2.2.9', inForce: 7, refused: 1, unjudged: 0 } as const;
    agent.podStarts = () => ({ ...starts, lastWait: 0.02, waits: { bounds: [], counts: [8], sum: 1 } });
    agent.spoofing = () => ({ state: 'drop', podRanges: 3, dropped: new Map([['veth1', 7]]) });
    const told = await status();
    expect(told).toMatchObject({
      ready: true,
      readySince: '2026-01-02T03:04:05.678Z',
      notReady: null,
      mode,
      packets: {
        judged: 5,
        allowed: 2,
        wouldBeDenied: 1,
        denied: 3,
        deniedBy: { 'egress-denied': 2, 'mid-stream': 1 },
      },
      podStarts: { ...starts, lastError: null, lastWaitSeconds: 0.02 },
      spoofing: { state: 'drop', podRanges: 3, dropped: { veth1: 7 }, problem: null },
      startupTaint: { ...taint, lastError: null },
      lag: { knowledgeAgeSeconds: 1.5, lastChange: { records: 3, compileSeconds: 0.002, totalSeconds: 0.02 } },
    });
    expect(told.source.kinds).toMatchObject([
      {
        kind: 'Pod',
        resourceVersion: '77',
        records: 12,
        lastEventAgeSeconds: 1.5,
        lastError: { code: 'connection', message: 'refused', ageSeconds: 9 },
      },
    ]);
    expect(Date.parse(told.lag.lastChange?.at ?? '')).toBeGreaterThan(0);
  });
});
