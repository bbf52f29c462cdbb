/** The rules of `podfence lint`: what each looks for, and how much it matters. */

/**
 * error: the API server refuses it, or podfence fails closed on it. warning: it does not do what it says. hint: it probably is not what was
 * meant. info: worth knowing, nothing to mend; shown only when asked for.
 */
export type Severity = 'error' | 'warning' | 'hint' | 'info';
export const SEVERITIES: readonly Severity[] = ['error', 'warning', 'hint', 'info'];

export interface Rule {
  /** Stays the same for ever; numbers of one hundred belong together. */
  readonly code: string;
  /** Of most of its findings; some are less certain than others, and then milder. */
  readonly severity: Severity;
  /** A sentence. */
  readonly summary: string;
  /** It can say nothing where there are no pods. */
  readonly needsPods?: true;
}

export const RULES = {
  // What cannot be read.
  unreadable: { code: 'PF100', severity: 'error', summary: 'A file or document cannot be read.' },
  'unknown-field': { code: 'PF101', severity: 'error', summary: 'The API knows no field of this name.' },
  'misplaced-field': { code: 'PF102', severity: 'error', summary: 'The API knows this field, but not in this place.' },
  'invalid-value': { code: 'PF103', severity: 'error', summary: 'A field has a value that it cannot have.' },
  'replaced-object': {
    code: 'PF104',
    severity: 'warning',
    summary: 'Another object of the same kind and name replaces this one.',
  },
  'no-object': { code: 'PF105', severity: 'info', summary: 'A file or document holds no Kubernetes object.' },
  'refused-policy': {
    code: 'PF106',
    severity: 'error',
    summary: 'The policy asks for more of the rule table than one policy may have.',
  },
  // Who is meant.
  'selects-no-pod': {
    code: 'PF201',
    severity: 'warning',
    summary: 'The policy selects no pod.',
    needsPods: true,
  },
  'peer-matches-nothing': {
    code: 'PF202',
    severity: 'warning',
    summary: 'A peer matches no pod or no namespace.',
    needsPods: true,
  },
  'or-instead-of-and': {
    code: 'PF203',
    severity: 'warning',
    summary: 'Two peers, either of which is allowed, were meant as one that has to match both selectors.',
  },
  'ip-block-over-pods': {
    code: 'PF204',
    severity: 'warning',
    summary: 'An ipBlock holds addresses of pods, which change whenever a pod is replaced.',
  },
  'except-without-effect': {
    code: 'PF205',
    severity: 'warning',
    summary: 'An except takes nothing away.',
  },
  'host-bits-set': {
    code: 'PF206',
    severity: 'hint',
    summary: 'The address of a CIDR block is not its first, and what it says beyond the prefix is ignored.',
  },
  'ambiguous-address': {
    code: 'PF207',
    severity: 'warning',
    summary: 'The API server and other tools read different addresses from a CIDR block.',
  },
  // Which ports are meant.
  'port-not-listened': {
    code: 'PF301',
    severity: 'info',
    summary: 'No container of the pods in question has this port.',
    needsPods: true,
  },
  'unknown-named-port': {
    code: 'PF302',
    severity: 'warning',
    summary: 'No container of the pods in question has a port of this name.',
    needsPods: true,
  },
  'egress-without-dns': {
    code: 'PF303',
    severity: 'warning',
    summary: 'Pods may connect to others, but not ask DNS for their addresses.',
  },
  // What follows.
  'shadowed-rule': {
    code: 'PF401',
    severity: 'warning',
    summary: 'A wider rule allows all that this one allows.',
  },
  'policy-without-effect': {
    code: 'PF402',
    severity: 'warning',
    summary: 'Without the policy nothing would change.',
  },
  'ignored-rules': {
    code: 'PF403',
    severity: 'warning',
    summary: 'The policy has rules for a direction that its policyTypes leave out.',
  },
  'namespace-without-policy': {
    code: 'PF404',
    severity: 'info',
    summary: 'A namespace with pods has no policy: all traffic of its pods is allowed.',
    needsPods: true,
  },
  'audited-policy': {
    code: 'PF405',
    severity: 'info',
    summary: 'The policy is audited: what it denies is told of, and passes.',
  },
  'audited-allowance': {
    code: 'PF406',
    severity: 'warning',
    summary: 'An audited policy allows something to pods that an enforced one isolates: it does not count.',
  },
} as const satisfies Readonly<Record<string, Rule>>;

export type RuleName = keyof typeof RULES;

/** In the order of their codes. */
export const RULE_NAMES = Object.keys(RULES) as readonly RuleName[];

export function ruleOf(name: RuleName): Rule {
  return RULES[name];
}
