import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { FlowTable } from '../../src/conntrack/flow-table.ts';
import { OPENER, TCP_ESTABLISHED, TCP_SYN_SENT, TCP_TIME_WAIT } from '../../src/conntrack/states.ts';
import { decode } from '../../src/packet/decode.ts';
import { Packet } from '../../src/packet/packet.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { keyOf } from '../conntrack/key-of.ts';
import { ip, tcp, viewOf } from '../packet/build.ts';
import { parseExposition, type Series } from '../telemetry/exposition.ts';
import { TestAgent } from '../telemetry/test-agent.ts';
import { DAEMONSET } from './folders.ts';
import { hasKustomize, kustomized, NEEDS_KUSTOMIZE } from './kustomize.ts';
import { byIdentity, identity, type KubeObject } from './objects.ts';
import { evaluationProblems, hasPromtool, type InputSeries, NEEDS_PROMTOOL, ruleProblems } from './promtool.ts';

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly description?: string;
  readonly type: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

const alerts = parse(readFileSync(join(DAEMONSET, 'monitoring', 'alerts.yaml'), 'utf8'));
const rules: readonly Rule[] = alerts.groups.flatMap((group: { rules: Rule[] }) => group.rules);
const dashboard = JSON.parse(readFileSync(join(DAEMONSET, 'monitoring', 'dashboard.json'), 'utf8'));
const panels: readonly Panel[] = dashboard.panels;
const expressions = [
  ...rules.map(({ alert, expr }) => [alert, expr] as const),
  ...panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const)),
];

/** Metrics of Prometheus itself (one per target) and of kube-state-metrics. */
const OF_OTHERS = ['up', 'kube_daemonset_status_number_unavailable'];
/** Labels that Prometheus or the PodMonitor adds to each series. */
const TARGET_LABELS = ['instance', 'job', 'node', 'pod'];

interface Selector {
  /** The selector as written, without its range. */
  readonly text: string;
  readonly metric: string;
  readonly matchers: readonly { readonly label: string; readonly value: string }[];
  readonly hasRange: boolean;
}

const GROUPING = /\b(?:by|without|on|ignoring)\s*\(([^)]*)\)/g;
/** A name, its matchers, its range; and the parenthesis of a function call. */
const SELECTOR = /([a-zA-Z_:][\w:]*)(\{[^}]*\})?(\[[^\]]*\])?(\s*\()?/g;
const MATCHER = /(\w+)\s*[!=]?[=~]+\s*"([^"]*)"/g;
const OPERATORS = ['and', 'or', 'unless', 'bool'];

/** Returns the metrics that a valid expression selects: every word that is nothing else. */
function selectorsOf(expression: string): readonly Selector[] {
  return [...expression.replaceAll(GROUPING, ' ').matchAll(SELECTOR)]
    .filter(([, name = '', , , call]) => call === undefined && !OPERATORS.includes(name))
    .map(([, metric = '', matchers = '', range]) => ({
      text: metric + matchers,
      metric,
      matchers: [...matchers.matchAll(MATCHER)].map(([, label = '', value = '']) => ({ label, value })),
      hasRange: range !== undefined,
    }));
}

/** Returns the labels that an expression groups by, leaves out, or matches on. */
function groupingLabels(expression: string): readonly string[] {
  return [...expression.matchAll(GROUPING)].flatMap(([, labels = '']) =>
    labels.split(',').map((label) => label.trim()),
  );
}

function ruleOf(alert: string): Rule {
  const rule = rules.find((each) => each.alert === alert);
  if (rule === undefined) throw new Error(`there is no alert ${alert}`);
  return rule;
}

/** The SYN of the nth connection. */
function opening(n: number): Packet {
  const bytes = ip('10.0.0.1', '10.0.0.2', tcp(1000 + n, 80, 'S'));
  const packet = new Packet();
  decode(packet, viewOf(bytes), 0, bytes.length);
  return packet;
}

/** Returns every series that an agent serves, by its name. */
async function served(): Promise<ReadonlyMap<string, readonly Series[]>> {
  const agent = new TestAgent();
  agent.watch = { ...agent.watch, synced: true, age: 0 };
  agent.policyFlows = () => [{ namespace: 'shop', name: 'backend', allowed: 1, denied: 1, wouldBeDenied: 1 }];
  agent.copies = { taken: 1, lost: 1, restarts: 0 };
  const metrics = new Metrics(agent);
  metrics.observeChange({ changes: 1, compile: 0.001, total: 0.002 });
  const families = parseExposition(await metrics.render());
  return Map.groupBy(
    [...families.values()].flatMap(({ series }) => series),
    ({ name }) => name,
  );
}

/** Returns what a selector asks for and no agent serves. */
function unserved({ metric, matchers }: Selector, series: ReadonlyMap<string, readonly Series[]>): string[] {
  if (OF_OTHERS.includes(metric)) return [];
  const candidates = series.get(metric);
  if (candidates === undefined) return [metric];
  return matchers
    .filter(({ label }) => !TARGET_LABELS.includes(label))
    .filter(({ label, value }) => !candidates.some(({ labels }) => labels[label] === value))
    .map(({ label, value }) => `${metric}{${label}="${value}"}`);
}

describe('the alerts and the dashboard', () => {
  /**
   * Runs `problemsOf` on every expression and puts the title of its alert or panel before each
   * problem.
   */
  const inAll = (problemsOf: (expression: string) => readonly string[]) =>
    expressions.flatMap(([title, expression]) => problemsOf(expression).map((problem) => `${title}: ${problem}`));

  it.skipIf(!hasPromtool)(`are valid for Prometheus${NEEDS_PROMTOOL}`, () => {
    // Grafana replaces these before Prometheus sees them.
    const filled = (text: string) => text.replaceAll('$__rate_interval', '5m').replaceAll('$instance', '.*');
    const recorded = expressions.map(([, expr], index) => ({ record: `expression:${index}`, expr: filled(expr) }));
    expect(ruleProblems(alerts)).toBe('');
    expect(ruleProblems({ groups: [{ name: 'expressions', rules: recorded }] })).toBe('');
  });

  it('ask only for what an agent serves', async () => {
    const series = await served();
    const problems = inAll((text) => selectorsOf(text).flatMap((selector) => unserved(selector, series)));
    expect(problems).toEqual([]);
  });

  it('group only by labels that exist', async () => {
    const series = await served();
    const unknown = (text: string) => {
      const there = selectorsOf(text).flatMap(({ metric }) => series.get(metric) ?? []);
      const known = [...there.flatMap((each) => Object.keys(each.labels)), ...TARGET_LABELS];
      return groupingLabels(text).filter((label) => !known.includes(label));
    };
    expect(inAll(unknown)).toEqual([]);
  });

  it('take rates of counters only', () => {
    const rates = (text: string) => selectorsOf(text).filter(({ hasRange }) => hasRange);
    const accumulates = /_total$|_bucket$/;
    const problems = inAll((text) => rates(text).flatMap(({ metric }) => (accumulates.test(metric) ? [] : [metric])));
    expect(problems).toEqual([]);
  });
});

describe('the alerts', () => {
  it('cover an agent that is down, drops of queues, a stale watch, a full flow table, workers that end, and what is not in force', () => {
    expect(rules.map(({ alert }) => alert)).toEqual(
      expect.arrayContaining([
        'PodfenceAgentDown',
        'PodfenceQueueDrops',
        'PodfenceWatchStale',
        'PodfenceFlowTableFull',
        'PodfenceWorkerRestarts',
        'PodfenceChangePending',
        'PodfenceSteeringRepaired',
      ]),
    );
  });

  it('have unique names', () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
  });

  it.each(rules.map((rule) => [rule.alert, rule] as const))('%s has a severity and explains itself', (_, rule) => {
    expect(rule.labels.severity).toMatch(/^(critical|warning)$/);
    expect(rule.annotations.summary).toMatch(/\.$/);
    expect(rule.annotations.description).toMatch(/\.$/);
    expect(rule.for ?? '1m').toMatch(/^\d+m$/);
  });

  it.skipIf(!hasPromtool).each([
    ['of the PodMonitor', { job: 'podfence-system/podfence', instance: '10.0.0.1:9464' }, true],
    ['of a job of its own', { job: 'podfence', instance: 'node-1:9464' }, true],
    ['found by the annotations of the Service', { job: 'kubernetes-service-endpoints', service: 'podfence' }, true],
    ['of something else', { job: 'node-exporter', service: 'node-exporter' }, false],
  ])(`notice a target %s that does not answer, whether or not it ever did${NEEDS_PROMTOOL}`, (_, labels, expected) => {
    const up: InputSeries = { name: 'up', labels, values: [0, 0, 0, 0] };
    const expression = `count(${ruleOf('PodfenceAgentDown').expr})`;
    expect(evaluationProblems([up], [{ expression, minute: 3, value: expected ? 1 : undefined }])).toBe('');
  });

  describe.skipIf(!hasPromtool)(`report a flow table${NEEDS_PROMTOOL}`, () => {
    /**
     * Checks how much the alert's metric rises while these flows are inserted into a table for 64.
     */
    async function expectRise(states: readonly number[], expected: number, revoked = false): Promise<void> {
      const [evicted] = selectorsOf(ruleOf('PodfenceFlowTableFull').expr);
      if (evicted === undefined) throw new Error('the alert asks for nothing');
      const table = new FlowTable(64);
      const agent = new TestAgent();
      const metrics = new Metrics(agent);
      const read = async () => {
        agent.worker.observeFlows(table);
        return parseExposition(await metrics.render()).get(evicted.metric)?.series ?? [];
      };
      const before = await read();
      states.forEach((state, i) => {
        const slot = table.insert(keyOf(table, opening(i)), OPENER, state, 1, 0, 0);
        if (revoked) table.judged(slot, 2, true, 0, 0);
      });
      const after = await read();
      const series = after.map(({ name, labels, value }, i) => ({
        name,
        labels,
        values: [before[i]?.value ?? 0, value],
      }));
      const expression = `sum(${evicted.text}) - sum(${evicted.text} offset 1m)`;
      expect(evaluationProblems(series, [{ expression, minute: 1, value: expected }])).toBe('');
    }

    it('that is full of connections of which only the SYN came, because the kernel carries them', () =>
      expectRise(Array(300).fill(TCP_SYN_SENT), 236));

    it('that is full of revoked ones', () => expectRise(Array(300).fill(TCP_ESTABLISHED), 236, true));

    it('that is full of open ones', () => expectRise(Array(300).fill(TCP_ESTABLISHED), 236));

    it('but not while there is room, or while closing flows make room', async () => {
      await expectRise(Array(64).fill(TCP_SYN_SENT), 0);
      await expectRise([...Array(200).fill(TCP_TIME_WAIT), ...Array(64).fill(TCP_SYN_SENT)], 0);
    });
  });

  it.skipIf(!hasKustomize)(`are the same for the Prometheus operator${NEEDS_KUSTOMIZE}`, () => {
    const objects = kustomized('monitored');
    const rule = objects.find(({ kind }) => kind === 'PrometheusRule');
    expect(rule?.apiVersion).toBe('monitoring.coreos.com/v1');
    expect(rule?.spec).toEqual(alerts);
  });
});

describe.skipIf(!hasKustomize)(`daemonset/monitored${NEEDS_KUSTOMIZE}`, () => {
  const objects = kustomized('monitored');
  const object = (wanted: string) => objects.find((each) => identity(each) === wanted);

  it('is the base with a monitor and the alerts', () => {
    const base = kustomized('base');
    const added = objects.filter((each: KubeObject) => each.apiVersion === 'monitoring.coreos.com/v1');
    expect(added.map(identity)).toEqual([
      'PodMonitor podfence-system/podfence',
      'PrometheusRule podfence-system/podfence',
    ]);
    expect(objects).toEqual(byIdentity([...base, ...added]));
  });

  it('monitors the port of the agent', () => {
    const monitor = object('PodMonitor podfence-system/podfence')?.spec;
    const pods = object('DaemonSet podfence-system/podfence')?.spec;
    expect(monitor).toMatchObject({
      selector: { matchLabels: { 'app.kubernetes.io/name': 'podfence' } },
      podMetricsEndpoints: [{ port: 'metrics', path: '/metrics' }],
    });
    expect(pods).toMatchObject({
      template: {
        metadata: { labels: { 'app.kubernetes.io/name': 'podfence' } },
        spec: { containers: [{ ports: [{ name: 'metrics' }] }] },
      },
    });
  });
});

describe('the dashboard', () => {
  it('names the flag without which a panel stays empty', () => {
    const optional = panels.filter(({ targets = [] }) =>
      targets.some(({ expr }) => expr.includes('podfence_policy_flows')),
    );
    expect(optional.length).toBeGreaterThan(0);
    for (const { description } of optional) expect(description).toContain('PODFENCE_POLICY_METRICS=yes');
  });

  it('gives each panel a number and a place of its own', () => {
    const places = panels.map(({ gridPos: { x, y, w } }) => `${y}:${x}-${x + w}`);
    expect(new Set(places).size).toBe(panels.length);
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    expect(panels.filter(({ gridPos: { x, w } }) => x + w > 24)).toEqual([]);
  });

  it('shows something in each panel', () => {
    const empty = panels.filter(({ type, targets = [] }) => (type === 'row') !== (targets.length === 0));
    expect(empty).toEqual([]);
  });

  it('uses the data source and the agents that the viewer chooses', () => {
    const sources = JSON.stringify(panels).match(/"uid":"[^"]*"/g);
    expect(new Set(sources)).toEqual(new Set([`"uid":"$${'{datasource}'}"`]));
    for (const [, expression] of expressions.slice(rules.length)) expect(expression).toContain('instance=~"$instance"');
  });
});
