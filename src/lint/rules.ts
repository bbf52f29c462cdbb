/** The rules of `podfence lint`: what each one looks for, and how severe it is. */

/**
 * - `error` the API server refuses it, or podfence fails closed on it
 * - `warning` it does not do what it says
 * - `hint` it is probably not what was meant
 * - `info` worth knowing, nothing to fix; shown only on request
 */
export type Severity = 'error' | 'warning' | 'hint' | 'info';
export const SEVERITIES: readonly Severity[] = ['error', 'warning', 'hint', 'info'];

export interface Rule {
  /** Never changes. Codes with the same hundred belong together. */
  readonly code: string;
  /** The default. A less certain finding is milder. */
  readonly severity: Severity;
  /** A sentence. */
  readonly summary: string;
  /** The rule finds nothing unless there are pods. */
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
  'no-object': { code: 'PF105', severity: 'info', summary: 'A file or document contains no Kubernetes object.' },
  'refused-policy': {
    code: 'PF106',
    severity: 'error',
    summary: 'The policy needs more of the rule table than one policy may use.',
  },
  // Which pods and addresses are meant.
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
    summary: 'Two separate peers were meant as one that must match both selectors.',
  },
  'ip-block-over-pods': {
    code: 'PF204',
    severity: 'warning',
    summary: 'An ipBlock contains addresses of pods, which change whenever a pod is replaced.',
  },
  'except-without-effect': {
    code: 'PF205',
    severity: 'warning',
    summary: 'An except has no effect.',
  },
  'host-bits-set': {
    code: 'PF206',
    severity: 'hint',
    summary: 'The address of a CIDR block has bits set beyond its prefix, which are ignored.',
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
  // What has an effect, and which.
  'shadowed-rule': {
    code: 'PF401',
    severity: 'warning',
    summary: 'A wider rule allows everything that this one allows.',
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
    summary: 'The policy is audited: what it denies is reported, and passes.',
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
