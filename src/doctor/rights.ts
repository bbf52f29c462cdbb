/** Whether an agent has the rights that it needs at the API server. */
import { type Finding, finding } from './finding.ts';

export interface Right {
  readonly verb: string;
  /** '' for the core group. */
  readonly group: string;
  readonly resource: string;
}

/** What an agent reads, as in daemonset/base/rbac.yaml; it requests nothing else. */
export const AGENT_RIGHTS: readonly Right[] = [
  { group: '', resource: 'namespaces' },
  { group: '', resource: 'nodes' },
  { group: '', resource: 'pods' },
  { group: 'networking.k8s.io', resource: 'networkpolicies' },
].flatMap((what) => ['list', 'watch'].map((verb) => ({ verb, ...what })));

export interface RightsFacts {
  /**
   * The checked account, as the subject of a sentence: `The ServiceAccount
   * podfence-system/podfence`.
   */
  readonly subject: string;
  /** The API server's answers. */
  readonly answers: readonly { readonly right: Right; readonly allowed: boolean }[];
}

export function apiRights({ subject, answers }: RightsFacts): Finding {
  const missing = answers.filter(({ allowed }) => !allowed).map(({ right }) => right);
  const needed = missing.filter(({ resource }) => resource !== 'nodes');
  if (missing.length === 0) {
    return finding(
      'api-rights',
      'ok',
      'certain',
      `${subject} may list and watch Namespaces, Pods, Nodes and NetworkPolicies, which is all that an agent needs.`,
    );
  }
  const consequence =
    needed.length === 0
      ? 'agents enforce, but do not know which addresses are forged.'
      : 'an agent waits for its first lists, and enforces nothing until then.';
  return finding(
    'api-rights',
    needed.length === 0 ? 'warning' : 'problem',
    'certain',
    `${subject} may not ${missing.map(rightText).join(', ')}: ${consequence}`,
    'Bind the ClusterRole of daemonset/base/rbac.yaml: kubectl apply -k daemonset/base.',
  );
}

function rightText({ verb, group, resource }: Right): string {
  return `${verb} ${resource}${group === '' ? '' : `.${group}`}`;
}
