/** Finds mistakes in policies: what cannot be read, and what does not do what it says. */
import { formatPath, isMap, type Path } from '../cluster/field.ts';
import { MODE_ANNOTATION } from '../cluster/mode.ts';
import { type PolicyRecord, recordKey } from '../cluster/records.ts';
import { refusedOf } from '../policy/refused-policies.ts';
import { Allowances } from './allowances.ts';
import { DnsRule } from './dns.ts';
import { EffectRules } from './effects.ts';
import { type Finding, findingOf, type Mistake } from './finding.ts';
import type { LintInput, SourceObject } from './input.ts';
import { IpBlockRules } from './ip-blocks.ts';
import { KnownCluster } from './known-cluster.ts';
import { peerMistakes } from './peers.ts';
import { PortRules } from './ports.ts';
import { readingFinding } from './reading.ts';
import { RULE_NAMES, ruleOf, SEVERITIES } from './rules.ts';
import { selectedPodMistakes } from './selected-pods.ts';

/**
 * Annotation of a NetworkPolicy or Namespace: codes or names of rules to suppress there, separated
 * by commas, or `all`.
 */
const IGNORE_ANNOTATION = 'podfence.io/lint-ignore';

export interface LintResult {
  /** Sorted by file and line; in one place the most severe comes first. */
  readonly findings: readonly Finding[];
  /** What could not be checked, in sentences. */
  readonly notes: readonly string[];
}

export function lint(input: LintInput): LintResult {
  const { snapshot, problems = [] } = input;
  const sources: ReadonlyMap<string, SourceObject> = input.sources ?? new Map();
  const cluster = new KnownCluster(input);
  const findings = problems.map(readingFinding);
  const mistakesOf = policyRules(cluster, input);
  for (const policy of snapshot.policies) {
    // Its meaning is unknown, and the error in it is a finding already.
    if (policy.error !== undefined) continue;
    const object = `NetworkPolicy ${recordKey(policy)}`;
    for (const { rule, path, ...rest } of mistakesOf(policy)) {
      findings.push(
        findingOf(rule, { ...placeOf(sources.get(object), path), object, field: formatPath(path), ...rest }),
      );
    }
  }
  findings.push(...openNamespaces(cluster, sources));
  return {
    findings: findings.filter(({ object, code, rule }) => !isIgnored(sources.get(object), code, rule)).sort(byPlace),
    notes: snapshot.pods.length > 0 || snapshot.policies.length === 0 ? [] : [withoutPods()],
  };
}

/** Returns a function that applies all rules about single policies. */
function policyRules(cluster: KnownCluster, { snapshot, podRanges }: LintInput) {
  const allowances = new Allowances(cluster);
  const blocks = new IpBlockRules(allowances, snapshot.pods, podRanges);
  const effects = new EffectRules(cluster, allowances, snapshot.policies);
  const dns = new DnsRule(cluster);
  const ports = new PortRules(cluster);
  const hasPods = snapshot.pods.length > 0;
  const refused = refusedOf(snapshot);
  return function* (policy: PolicyRecord): Iterable<Mistake> {
    const { reason, refuses } = refused.get(policy) ?? {};
    if (reason !== undefined)
      yield { rule: 'refused-policy', path: [], message: reason, hint: HINTS[refuses ?? 'all'] };
    if (refuses === 'all') return;
    if (hasPods) yield* selectedPodMistakes(cluster, policy);
    if (hasPods) yield* ports.mistakes(policy);
    yield* peerMistakes(cluster, policy);
    yield* blocks.mistakes(policy);
    yield* dns.mistakes(policy);
    yield* effects.mistakes(policy);
    if (cluster.modeOf(policy) === 'audit') yield auditedPolicy(policy);
  };
}

/** By what podfence refuses. */
const HINTS = {
  all: 'Unless it is audited, podfence isolates its pods and allows nothing. Split it, or use fewer blocks, excepts, selectors or ports.',
  blocks: 'Use fewer blocks, excepts or ports in the policies that select these pods, or select fewer pods with them.',
} as const;

function auditedPolicy({ namespace, mode }: PolicyRecord): Mistake {
  return {
    rule: 'audited-policy',
    path: mode === undefined ? [] : ['metadata', 'annotations', MODE_ANNOTATION],
    message: `${mode === undefined ? `namespace ${namespace}` : 'it'} is annotated ${MODE_ANNOTATION}: audit, so the policy isolates no pod: what it denies passes`,
  };
}

function* openNamespaces(cluster: KnownCluster, sources: ReadonlyMap<string, SourceObject>): Iterable<Finding> {
  for (const { name } of cluster.namespaces) {
    const pods = cluster.podsOf(name).all;
    if (pods.length === 0 || cluster.policiesIn(name).length > 0) continue;
    const object = `Namespace ${name}`;
    const message = `namespace ${name} has no policy: everything may connect to its pods, and they to everything`;
    const place = placeOf(sources.get(object), []);
    yield findingOf('namespace-without-policy', { ...place, object, field: '', message });
  }
}

function placeOf(source: SourceObject | undefined, path: Path): Pick<Finding, 'file' | 'line' | 'column'> {
  return source === undefined ? { file: '', line: 0, column: 0 } : { file: source.file, ...source.locate(path) };
}

function isIgnored(source: SourceObject | undefined, code: string, rule: string): boolean {
  const metadata = isMap(source?.value) ? source.value.metadata : undefined;
  const annotations = isMap(metadata) ? metadata.annotations : undefined;
  const ignored = isMap(annotations) ? annotations[IGNORE_ANNOTATION] : undefined;
  if (typeof ignored !== 'string') return false;
  const words = ignored.split(/[\s,]+/);
  return words.includes(code) || words.includes(rule) || words.includes('all');
}

function byPlace(a: Finding, b: Finding): number {
  if (a.file !== b.file) return a.file === '' || (b.file !== '' && a.file > b.file) ? 1 : -1;
  return a.line - b.line || a.column - b.column || SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity);
}

function withoutPods(): string {
  const codes = RULE_NAMES.map(ruleOf).flatMap(({ code, needsPods }) => (needsPods ? [code] : []));
  return `There are no pods or workloads in these manifests, so the rules about them (${codes.join(', ')}) could not be applied.`;
}
