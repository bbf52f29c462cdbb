/**
 * Finds another enforcer beside podfence, or before podfence is installed: by pods and by rules.
 */
import { ENFORCERS, type Enforcer, type PodFacts, type Presence, whoseVerdict } from './enforcers.ts';
import { type Finding, finding } from './finding.ts';
import type { RuleFacts, RuleKind } from './rule-dumps.ts';

/** Finds enforcers by the pods of one node. Pods that do not run yet count: they will. */
export function enforcersByPods(pods: readonly PodFacts[], presence: Presence): Finding[] {
  return ENFORCERS.flatMap((enforcer) => {
    const found = pods.filter((pod) => enforcer.isPod(pod));
    if (found.length === 0) return [];
    // Pod names of a DaemonSet differ by node; the workload's name is the same everywhere.
    const workloads = new Set(found.map(({ namespace, name }) => `${namespace}/${name.replace(/-[a-z0-9]{5}$/, '')}`));
    return [
      described(
        enforcer,
        'other-enforcer',
        `${enforcer.name} runs here (pods ${[...workloads].join(', ')}).`,
        presence,
      ),
    ];
  });
}

/** k3s enforces without a pod of its own; its kubelet's version shows it: `v1.34.1+k3s1`. */
export function embeddedEnforcer(kubeletVersion: string, presence: Presence): Finding[] {
  if (!/\+k3s\d/.test(kubeletVersion)) return [];
  const router = ENFORCERS.find(({ name }) => name === 'kube-router');
  if (router === undefined) return [];
  return [
    {
      ...described(
        router,
        'other-enforcer',
        `k3s (${kubeletVersion}) enforces policies with its built-in kube-router, unless that is turned off.`,
        presence,
      ),
      certainty: 'likely',
    },
  ];
}

/**
 * Finds enforcers by their rules, which may be leftovers of removed software.
 * @param unread kinds whose rules could not be read: there may be more enforcers
 */
export function enforcersByRules(
  rules: RuleFacts,
  presence: Presence,
  unread: ReadonlySet<RuleKind> = new Set(),
): Finding[] {
  const found = ENFORCERS.flatMap((enforcer) => {
    const tables = [...rules.tables].filter((table) => enforcer.tables?.test(table));
    const chains = [...rules.chains].filter((chain) => enforcer.chains?.test(chain));
    if (tables.length + chains.length === 0) return [];
    const seen = [
      ...tables.map((table) => `table ${table}`),
      ...(chains.length > 0
        ? [`${chains.length === 1 ? 'chain' : `${chains.length} chains such as`} ${chains.toSorted()[0]}`]
        : []),
    ];
    return [described(enforcer, 'other-rules', `${enforcer.name} has rules here (${seen.join(', ')}).`, presence)];
  });
  if (found.length > 0 || unread.size > 0) return found;
  return [finding('other-rules', 'ok', 'likely', 'No table or chain here has a name that another enforcer uses.')];
}

function described(
  enforcer: Enforcer,
  check: 'other-enforcer' | 'other-rules',
  what: string,
  presence: Presence,
): Finding {
  const { note, off } = enforcer;
  const advice =
    presence === 'absent' ? `Choose one of the two before podfence enforces. ${off}` : `Keep one of the two. ${off}`;
  const rest = check === 'other-rules' ? ' Rules alone may be leftovers of removed software.' : '';
  return finding(
    check,
    presence === 'enforce' ? 'warning' : 'info',
    check === 'other-rules' ? 'likely' : 'certain',
    [what, whoseVerdict(enforcer, presence), note].filter(Boolean).join(' ') + rest,
    advice,
  );
}
