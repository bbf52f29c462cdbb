import { describe, expect, it } from 'vitest';
import { LISTS, REVOKED_LISTS } from '../../src/conntrack/slots.ts';
import { STATES, TCP_ESTABLISHED, UDP_UNREPLIED } from '../../src/conntrack/states.ts';
import { ALLOWED_BY_POLICY, EGRESS_DENIED } from '../../src/filter/reasons.ts';
import { Metrics, type MetricsOptions } from '../../src/telemetry/metrics.ts';
import { lint, parseExposition, type Series } from './exposition.ts';
import { kindStatus, REASON_WORDS, TestAgent } from './test-agent.ts';

const EGRESS = 0;
const INGRESS = 1;

/** podfence's own metrics and their labels. Alerts and dashboards name them. */
const OWN_METRICS: Readonly<Record<string, readonly string[]>> = {
  podfence_build_info: ['version', 'node_version'],
  podfence_ready: [],
  podfence_isolated_endpoints: [],
  podfence_isolated_addresses: [],
  podfence_policies: [],
  podfence_identities: [],
  podfence_rule_table_bytes: [],
  podfence_rule_table_generation: [],
  podfence_shared_addresses: [],
  podfence_refused_policies: [],
  podfence_pod_start_state: ['state'],
  podfence_pod_starts_total: ['outcome'],
  podfence_pod_start_wait_seconds: ['le'],
  podfence_spoofed_packets_total: ['interface'],
  podfence_packets_total: ['direction', 'verdict', 'reason'],
  podfence_verdict_latency_seconds: ['le'],
  podfence_log_lines_lost_total: [],
  podfence_offloaded_packets_total: [],
  podfence_unanswered_batches_total: [],
  podfence_flows: ['protocol', 'state', 'revoked'],
  podfence_flow_table_capacity: [],
  podfence_flows_inserted_total: [],
  podfence_flows_expired_total: [],
  podfence_flows_evicted_total: ['worth'],
  podfence_flows_rejudged_total: [],
  podfence_flows_revoked_total: [],
  podfence_queue_waiting_packets: ['queue'],
  podfence_queue_dropped_packets_total: ['queue', 'cause'],
  podfence_copies_total: ['outcome'],
  podfence_capture_restarts_total: [],
  podfence_worker_restarts_total: [],
  podfence_steering_repairs_total: [],
  podfence_pending_change_age_seconds: [],
  podfence_mode: ['mode'],
  podfence_workers: ['state'],
  podfence_knowledge_age_seconds: [],
  podfence_watch_last_event_age_seconds: ['kind'],
  podfence_watch_restarts_total: ['kind', 'reason'],
  podfence_watch_lists_total: ['kind'],
  podfence_watch_open: ['kind'],
  podfence_watch_records: ['kind'],
  podfence_watch_unreadable_objects_total: ['kind'],
  podfence_compile_duration_seconds: ['le'],
  podfence_event_to_enforcement_seconds: ['le'],
  podfence_changed_records_total: [],
  podfence_policy_flows_total: ['policy_namespace', 'policy_name', 'verdict'],
};

/** Returns an agent with a value for every metric. */
function busyAgent(): TestAgent {
  const agent = new TestAgent();
  agent.worker.countPacket(EGRESS, EGRESS_DENIED);
  agent.worker.observeLatency(15e-6, 3);
  agent.worker.observeLatency(2, 1);
  agent.watch = {
    ...agent.watch,
    synced: true,
    age: 2500,
    kinds: [
      { ...kindStatus('Pod'), lastEventAge: 2500 },
      { ...kindStatus('NetworkPolicy'), lastEventAge: 100 },
    ],
  };
  agent.policyFlows = () => [{ namespace: 'shop', name: 'web', allowed: 3, denied: 1, wouldBeDenied: 2 }];
  agent.copies = { taken: 7, lost: 2, restarts: 1 };
  agent.enforcementMode = () => ({ mode: 'audit', steering: 'iptables', offload: true });
  const waits = { bounds: [0.1], counts: [4, 1], sum: 0.5 };
  agent.spoofing = () => ({ state: 'drop', dropped: new Map([['veth1', 7]]) });
  agent.podStarts = () => ({ state: 'runtime', inForce: 4, refused: 1, unjudged: 0, waits });
  return agent;
}

async function scrape(agent: TestAgent, options?: MetricsOptions, metrics = new Metrics(agent, options)) {
  return parseExposition(await metrics.render());
}

async function seriesOf(agent: TestAgent, name: string, metrics = new Metrics(agent)): Promise<readonly Series[]> {
  return (await scrape(agent, {}, metrics)).get(name)?.series ?? [];
}

/** Returns the value of a metric without labels, or of its only series with these labels. */
async function valueIn(agent: TestAgent, name: string, labels: Record<string, string> = {}, metrics?: Metrics) {
  const found = (await seriesOf(agent, name, metrics)).filter((each) =>
    Object.entries(labels).every(([label, value]) => each.labels[label] === value),
  );
  expect(found.length, `series of ${name} with ${JSON.stringify(labels)}`).toBeLessThan(2);
  return found[0]?.value;
}

describe('the metrics', () => {
  it.each([
    ['at the start', new TestAgent()],
    ['of a busy agent', busyAgent()],
  ])('follow the rules of Prometheus for format, names and units %s', async (_, agent) => {
    expect(lint((await scrape(agent)).values())).toEqual([]);
  });

  it('are these, with these labels', async () => {
    const families = [...(await scrape(busyAgent())).values()].filter(({ name }) => name.startsWith('podfence_'));
    const labels = families.map(({ name, series }) => [
      name,
      [...new Set(series.flatMap((each) => Object.keys(each.labels)))],
    ]);
    expect(Object.fromEntries(labels)).toEqual(OWN_METRICS);
  });

  it('include those of the process', async () => {
    const families = await scrape(new TestAgent());
    for (const name of [
      'process_cpu_seconds_total',
      'process_resident_memory_bytes',
      'process_open_fds',
      'nodejs_gc_duration_seconds',
    ]) {
      expect(families.has(name), name).toBe(true);
    }
  });

  it('have every direction and reason of packets from the start', async () => {
    const series = await seriesOf(new TestAgent(), 'podfence_packets_total');
    const expected = ['egress', 'ingress'].flatMap((direction) =>
      REASON_WORDS.map((words) => ({ labels: { direction, ...words }, value: 0 })),
    );
    expect(series.map(({ labels, value }) => ({ labels, value }))).toEqual(expected);
  });

  it('have the same series whatever happens', async () => {
    const agent = busyAgent();
    const metrics = new Metrics(agent);
    const names = async () =>
      [...(await scrape(agent, {}, metrics)).values()]
        .filter(({ name }) => name.startsWith('podfence_'))
        .flatMap(({ series }) => series.map(({ name, labels }) => name + JSON.stringify(labels)));
    const before = await names();
    const { values } = agent.worker;
    values.fill(7);
    // A list without a state never has flows.
    for (const [list] of values.subarray(-LISTS).entries()) {
      if ((list & (REVOKED_LISTS - 1) || STATES.length) >= STATES.length) values[values.length - LISTS + list] = 0;
    }
    metrics.observeChange({ changes: 1, compile: 0.001, total: 100 });
    agent.state = { ready: true, since: new Date(0) };
    expect(await names()).toEqual(before);
  });

  it('copy the counters, however often they are scraped', async () => {
    const agent = new TestAgent();
    const metrics = new Metrics(agent);
    const denied = () =>
      valueIn(
        agent,
        'podfence_packets_total',
        { direction: 'egress', verdict: 'deny', reason: 'egress-denied' },
        metrics,
      );
    agent.worker.countPacket(EGRESS, EGRESS_DENIED);
    expect(await denied()).toBe(1);
    expect(await denied()).toBe(1);
    agent.worker.countPacket(EGRESS, EGRESS_DENIED);
    agent.worker.countPacket(INGRESS, ALLOWED_BY_POLICY);
    expect(await denied()).toBe(2);
  });

  it('are from one moment, even in simultaneous scrapes', async () => {
    const agent = new TestAgent();
    const counters = agent.counters.bind(agent);
    // Each call of `counters` finds one more of everything.
    agent.counters = () => ({
      ...counters(),
      judged: 0,
      offloaded: agent.asked,
      revoked: agent.asked,
      tableBytes: agent.asked,
    });
    const metrics = new Metrics(agent);
    const texts = await Promise.all([metrics.render(), metrics.render()]);
    const read = texts.map((text) => {
      const families = parseExposition(text);
      return ['podfence_offloaded_packets_total', 'podfence_flows_revoked_total', 'podfence_rule_table_bytes'].map(
        (name) => families.get(name)?.series[0]?.value,
      );
    });
    expect(read).toEqual([
      [1, 1, 1],
      [2, 2, 2],
    ]);
  });

  it('count latencies cumulatively, with their sum', async () => {
    const agent = new TestAgent();
    agent.worker.observeLatency(10e-6, 2);
    agent.worker.observeLatency(15e-6, 3);
    agent.worker.observeLatency(2, 1);
    const series = await seriesOf(agent, 'podfence_verdict_latency_seconds');
    const buckets = series
      .filter(({ name }) => name.endsWith('_bucket'))
      .map(({ labels, value }) => [labels.le, value]);
    expect(buckets.slice(0, 3)).toEqual([
      ['0.00001', 2],
      ['0.00002', 5],
      ['0.00005', 5],
    ]);
    expect(buckets.at(-2)).toEqual(['0.1', 5]);
    expect(buckets.at(-1)).toEqual(['+Inf', 6]);
    expect(series.find(({ name }) => name.endsWith('_sum'))?.value).toBeCloseTo(2 * 10e-6 + 3 * 15e-6 + 2, 10);
    expect(series.find(({ name }) => name.endsWith('_count'))?.value).toBe(6);
  });

  it('count flows by protocol, state and whether they are revoked', async () => {
    const agent = new TestAgent();
    // The last counters of a worker are the flow lists.
    const lists = agent.worker.values.subarray(-LISTS);
    lists[TCP_ESTABLISHED] = 5;
    lists[TCP_ESTABLISHED + REVOKED_LISTS] = 2;
    lists[UDP_UNREPLIED] = 1;
    const series = await seriesOf(agent, 'podfence_flows');
    expect(
      series.filter(({ value }) => value > 0).map(({ labels, value }) => [Object.values(labels).join(), value]),
    ).toEqual([
      ['tcp,established,false', 5],
      ['tcp,established,true', 2],
      ['udp,unreplied,false', 1],
    ]);
    expect(series.map(({ labels }) => labels)).toContainEqual({
      protocol: 'tcp',
      state: 'half-closed-by-opener',
      revoked: 'true',
    });
  });

  it('show drops of each queue by their cause', async () => {
    const agent = new TestAgent();
    agent.queues = [{ queue: 7, waiting: 3, droppedByKernel: 4, droppedByUser: 5 }];
    expect(await valueIn(agent, 'podfence_queue_waiting_packets', { queue: '7' })).toBe(3);
    expect(await valueIn(agent, 'podfence_queue_dropped_packets_total', { queue: '7', cause: 'queue-full' })).toBe(4);
    expect(await valueIn(agent, 'podfence_queue_dropped_packets_total', { queue: '7', cause: 'buffer-full' })).toBe(5);
  });

  it('show copies if these are judged instead of packets, and how many did not fit', async () => {
    expect(await seriesOf(new TestAgent(), 'podfence_copies_total')).toEqual([]);
    expect(await valueIn(busyAgent(), 'podfence_copies_total', { outcome: 'taken' })).toBe(7);
    expect(await valueIn(busyAgent(), 'podfence_copies_total', { outcome: 'lost' })).toBe(2);
    expect(await valueIn(busyAgent(), 'podfence_capture_restarts_total')).toBe(1);
  });

  it('have no age of the knowledge before there is any, and then have it in seconds', async () => {
    const agent = new TestAgent();
    const metrics = new Metrics(agent);
    expect(await seriesOf(agent, 'podfence_knowledge_age_seconds', metrics)).toEqual([]);
    expect(await seriesOf(agent, 'podfence_watch_last_event_age_seconds', metrics)).toEqual([]);
    agent.watch = busyAgent().watch;
    expect(await valueIn(agent, 'podfence_knowledge_age_seconds', {}, metrics)).toBe(2.5);
    expect(await valueIn(agent, 'podfence_watch_last_event_age_seconds', { kind: 'NetworkPolicy' }, metrics)).toBe(0.1);
  });

  it('count restarts of a watch by kind and reason', async () => {
    const agent = new TestAgent();
    const pods = kindStatus('Pod');
    agent.watch = { ...agent.watch, kinds: [{ ...pods, restarts: { ...pods.restarts, expired: 3 } }] };
    expect(await valueIn(agent, 'podfence_watch_restarts_total', { kind: 'Pod', reason: 'expired' })).toBe(3);
    expect(await valueIn(agent, 'podfence_watch_restarts_total', { kind: 'Pod', reason: 'ended' })).toBe(0);
  });

  it('add every change to the histograms of compiling and of enforcement', async () => {
    const agent = new TestAgent();
    const metrics = new Metrics(agent);
    expect(metrics.lastChange).toBeUndefined();
    metrics.observeChange({ changes: 2, compile: 0.004, total: 0.03 });
    metrics.observeChange({ changes: 1, compile: 0.0005, total: 0.2 });
    const within = (name: string, le: string) => valueIn(agent, name, { le }, metrics);
    expect(await within('podfence_compile_duration_seconds', '0.001')).toBe(1);
    expect(await within('podfence_compile_duration_seconds', '0.005')).toBe(2);
    expect(await within('podfence_event_to_enforcement_seconds', '0.1')).toBe(1);
    expect(await within('podfence_event_to_enforcement_seconds', '0.25')).toBe(2);
    expect(await valueIn(agent, 'podfence_changed_records_total', {}, metrics)).toBe(3);
    expect(metrics.lastChange).toMatchObject({ changes: 1, total: 0.2 });
  });

  it('add the start to the histogram of compiling only, because it follows no event', async () => {
    const agent = new TestAgent();
    const metrics = new Metrics(agent);
    metrics.observeStart({ changes: 5000, compile: 0.4 });
    expect(await valueIn(agent, 'podfence_compile_duration_seconds', { le: '0.5' }, metrics)).toBe(1);
    expect(await valueIn(agent, 'podfence_event_to_enforcement_seconds', { le: '+Inf' }, metrics)).toBe(0);
    expect(await valueIn(agent, 'podfence_changed_records_total', {}, metrics)).toBe(5000);
    expect(metrics.lastChange).toBeUndefined();
  });

  it('count lost log lines', async () => {
    const agent = new TestAgent();
    expect(await valueIn(agent, 'podfence_log_lines_lost_total')).toBe(0);
    agent.logLinesLost = () => 3;
    expect(await valueIn(agent, 'podfence_log_lines_lost_total')).toBe(3);
  });

  it('say whether policies are in force', async () => {
    const agent = new TestAgent();
    expect(await valueIn(agent, 'podfence_ready')).toBe(0);
    agent.state = { ready: true, since: new Date() };
    expect(await valueIn(agent, 'podfence_ready')).toBe(1);
  });

  it('name policies only if the agent counts by policy, and only up to a limit', async () => {
    const agent = new TestAgent();
    expect((await scrape(agent)).has('podfence_policy_flows_total')).toBe(false);
    agent.policyFlows = () =>
      ['a', 'b', 'c'].map((name) => ({
        ...{ namespace: 'shop', name },
        ...{ allowed: 3, denied: 1, wouldBeDenied: 2 },
      }));
    const series = (await scrape(agent, { policyCap: 2 })).get('podfence_policy_flows_total')?.series ?? [];
    expect(series.map(({ labels, value }) => [Object.values(labels).join(), value])).toEqual([
      ['shop,a,allow', 3],
      ['shop,a,deny', 1],
      ['shop,a,would_deny', 2],
      ['shop,b,allow', 3],
      ['shop,b,deny', 1],
      ['shop,b,would_deny', 2],
      [',other,allow', 3],
      [',other,deny', 1],
      [',other,would_deny', 2],
    ]);
  });

  it('return after a scrape in which the agent’s counters failed', async () => {
    const agent = new TestAgent();
    const metrics = new Metrics(agent);
    const counters = agent.counters.bind(agent);
    agent.counters = () => {
      throw new Error('no such file');
    };
    await expect(metrics.render()).rejects.toThrow('no such file');
    agent.counters = counters;
    expect(await valueIn(agent, 'podfence_flow_table_capacity', {}, metrics)).toBe(65_536);
  });
});
