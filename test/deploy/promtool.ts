/**
 * Checks rules and expressions with Prometheus's own promtool, if it is installed. Debian's package
 * `prometheus` has it, but starts a server as well. To get it without that:
 *
 *     apt-get download prometheus
 *     dpkg-deb --extract prometheus_*.deb FOLDER      # FOLDER/usr/bin/promtool
 *
 * https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';

/** Whether promtool is installed. */
export const hasPromtool = spawnSync('promtool', ['--version']).status === 0;

/** Appended to the names of tests that are skipped without it. */
export const NEEDS_PROMTOOL = hasPromtool ? '' : ' (needs promtool)';

export interface InputSeries {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** One a minute. */
  readonly values: readonly number[];
}

export interface Evaluation {
  readonly expression: string;
  /** Minutes after the first value. */
  readonly minute: number;
  /** Undefined if the expression returns nothing. The result must have no labels. */
  readonly value: number | undefined;
}

/** Returns what promtool finds wrong with a file of rules; '' for nothing. */
export function ruleProblems(rules: object): string {
  return promtool(rules, 'check', 'rules');
}

/**
 * Returns how the values of expressions over these series differ from the expected ones; '' if they
 * do not.
 */
export function evaluationProblems(series: readonly InputSeries[], evaluations: readonly Evaluation[]): string {
  const test = {
    interval: '1m',
    input_series: series.map(({ name, labels, values }) => ({
      series: `${name}{${Object.entries(labels)
        .map(([label, value]) => `${label}=${JSON.stringify(value)}`)
        .join(',')}}`,
      values: values.join(' '),
    })),
    promql_expr_test: evaluations.map(({ expression, minute, value }) => ({
      expr: expression,
      eval_time: `${minute}m`,
      exp_samples: value === undefined ? [] : [{ labels: '{}', value }],
    })),
  };
  return promtool({ tests: [test] }, 'test', 'rules');
}

/** Runs a command of promtool on a file with this content. Returns its complaints. */
function promtool(content: object, ...command: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'podfence-promtool-'));
  try {
    const file = join(folder, 'rules.yaml');
    writeFileSync(file, stringify(content));
    const { status, stdout, stderr } = spawnSync('promtool', [...command, file], { encoding: 'utf8' });
    return status === 0 ? '' : `${stdout}${stderr}`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
