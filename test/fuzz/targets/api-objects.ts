/**
 * Objects of the API, field by field: whatever they contain, they become usable records. A policy
 * with a problem fails closed. One without says what a naive reader reads, and the compiled
 * policies judge as the naive evaluator does.
 */
import { projectNamespace, projectPod, projectPolicy } from '../../../src/cluster/projection.ts';
import type { NamespaceRecord, PodRecord, PolicyRecord } from '../../../src/cluster/records.ts';
import { checkJudged, checkPod, checkPolicy } from '../judged.ts';
import { objects } from '../kube-objects.ts';
import { naivePolicy } from '../naive-policy.ts';
import { check, checkSame, type Target } from '../target.ts';

export const target: Target = {
  generate: (random) => Buffer.from(JSON.stringify(objects(random))),
  run: (input) => {
    const values = parsed(input);
    const namespaces: NamespaceRecord[] = [];
    const pods: PodRecord[] = [];
    const policies: PolicyRecord[] = [];
    for (const value of values) {
      const kind = typeof value === 'object' && value !== null && 'kind' in value ? value.kind : undefined;
      // An object without a kind is tried as each kind.
      if (kind !== 'Pod' && kind !== 'NetworkPolicy') namespaces.push(...named(projectNamespace(value)));
      if (kind !== 'Namespace' && kind !== 'NetworkPolicy') pods.push(...named(projectPod(value)));
      if (kind !== 'Namespace' && kind !== 'Pod') policies.push(policyOf(value));
    }
    pods.forEach(checkPod);
    for (const { name, labels } of namespaces) {
      check(labels['kubernetes.io/metadata.name'] === name, 'a namespace lacks the label of its name');
    }
    checkJudged({ namespaces, pods, policies });
  },
};

function parsed(input: Uint8Array): unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(input).toString());
    return Array.isArray(value) ? value : [value];
  } catch {
    return [];
  }
}

function named<T extends { readonly name: string }>({ record }: { readonly record: T | undefined }): T[] {
  if (record === undefined) return [];
  check(record.name !== '', 'a record has no name');
  return [record];
}

function policyOf(value: unknown): PolicyRecord {
  const { record, problems } = projectPolicy(value);
  checkPolicy(record, problems);
  checkSame(projectPolicy(value).record, record, 'the same object is a different policy');
  if (problems.length > 0) return record;
  const { podSelector, isolates, ingress, egress } = record;
  checkSame({ podSelector, isolates, ingress, egress }, naivePolicy(value), 'the policy differs from the object');
  return record;
}
