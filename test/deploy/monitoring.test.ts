import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { parseExposition, type Series } from '../telemetry/exposition.ts';
import { TestAgent } from '../telemetry/test-agent.ts';
import { DAEMONSET } from './folders.ts';
import { identity, type KubeObject, renderKustomization } from './kustomize.ts';
import { parsePromql, type Selector } from './promql.ts';

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

/** Made by Prometheus for each target. */
const OF_PROMETHEUS = ['up'];
/** Put on each series by Prometheus when it scrapes, or by the PodMonitor. */
const TARGET_LABELS = ['instance', 'job', 'node', 'pod'];

/** What an agent serves: every series by its name. */
async function served(): Promise<ReadonlyMap<string, readonly Series[]>> {
  const agent = new TestAgent();
  agent.watch = { ...agent.watch, synced: true, age: 0 };
  agent.policyFlows = () => [{ namespace: 'shop', name: 'backend', allowed: 1, denied: 1 }];
  const metrics = new Metrics(agent);
  metrics.observeChange({ changes: 1, compile: 0.001, total: 0.002 });
  const families = parseExposition(await metrics.render());
  return Map.groupBy(
    [...families.values()].flatMap(({ series }) => series),
    ({ name }) => name,
  );
}

/** What no agent serves, of what a selector asks for. */
function unserved({ metric, matchers }: Selector, series: ReadonlyMap<string, readonly Series[]>): string[] {
  if (OF_PROMETHEUS.includes(metric)) return [];
  const candidates = series.get(metric);
  if (candidates === undefined) return [metric];
  return matchers
    .filter(({ label }) => !TARGET_LABELS.includes(label))
    .filter(({ label, value }) => !candidates.some(({ labels }) => labels[label] === value))
    .map(({ label, value }) => `${metric}{${label}="${value}"}`);
}

describe('the alerts and the dashboard', () => {
  /** What `problemsOf` finds in all of them, each with the title of its alert or panel. */
  const inAll = (problemsOf: (expression: string) => readonly string[]) =>
    expressions.flatMap(([title, expression]) => problemsOf(expression).map((problem) => `${title}: ${problem}`));

  it('ask only for what an agent serves', async () => {
    const series = await served();
    const problems = inAll((text) => parsePromql(text).selectors.flatMap((selector) => unserved(selector, series)));
    expect(problems).toEqual([]);
  });

  it('group only by labels that there are', async () => {
    const series = await served();
    const unknown = (text: string) => {
      const { selectors, labels } = parsePromql(text);
      const there = selectors.flatMap(({ metric }) => series.get(metric) ?? []);
      const known = [...there.flatMap((each) => Object.keys(each.labels)), ...TARGET_LABELS];
      return labels.filter((label) => !known.includes(label));
    };
    expect(inAll(unknown)).toEqual([]);
  });

  it('take rates of counters only', () => {
    const rates = (text: string) => parsePromql(text).selectors.filter(({ range }) => range !== undefined);
    const accumulates = /_total$|_bucket$|^podfence_build_info$/;
    const problems = inAll((text) => rates(text).flatMap(({ metric }) => (accumulates.test(metric) ? [] : [metric])));
    expect(problems).toEqual([]);
  });
});

describe('the alerts', () => {
  it('cover an agent that is down, drops of queues, a stale watch, a full flow table and workers that end', () => {
    expect(rules.map(({ alert }) => alert)).toEqual(
      expect.arrayContaining([
        'PodfenceAgentDown',
        'PodfenceQueueDrops',
        'PodfenceWatchStale',
        'PodfenceFlowTableFull',
        'PodfenceWorkerRestarts',
      ]),
    );
  });

  it('have names of their own', () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
  });

  it.each(rules.map((rule) => [rule.alert, rule] as const))('%s says how bad it is, and what it means', (_, rule) => {
    expect(rule.labels.severity).toMatch(/^(critical|warning)$/);
    expect(rule.annotations.summary).toMatch(/\.$/);
    expect(rule.annotations.description).toMatch(/\.$/);
    expect(rule.for ?? '1m').toMatch(/^\d+m$/);
  });

  it('are the same for the Prometheus operator', () => {
    const objects = renderKustomization(join(DAEMONSET, 'monitored'));
    const rule = objects.find(({ kind }) => kind === 'PrometheusRule');
    expect(rule?.apiVersion).toBe('monitoring.coreos.com/v1');
    expect(rule?.spec).toEqual(alerts);
  });
});

describe('daemonset/monitored', () => {
  const objects = renderKustomization(join(DAEMONSET, 'monitored'));
  const object = (wanted: string) => objects.find((each) => identity(each) === wanted);

  it('is the base with a monitor and the alerts', () => {
    const base = renderKustomization(join(DAEMONSET, 'base'));
    const added = objects.filter((each: KubeObject) => each.apiVersion === 'monitoring.coreos.com/v1');
    expect(added.map(identity)).toEqual([
      'PodMonitor podfence-system/podfence',
      'PrometheusRule podfence-system/podfence',
    ]);
    expect(objects).toEqual([...base, ...added]);
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

  it('asks the data source that the viewer chooses, for the agents that the viewer chooses', () => {
    const sources = JSON.stringify(panels).match(/"uid":"[^"]*"/g);
    expect(new Set(sources)).toEqual(new Set([`"uid":"$${'{datasource}'}"`]));
    for (const [, expression] of expressions.slice(rules.length)) expect(expression).toContain('instance=~"$instance"');
  });
});
