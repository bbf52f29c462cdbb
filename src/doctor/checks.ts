/** The checks of `podfence doctor`. Codes and names are stable: scripts may rely on them. */

/** From "all is well" to "policies are not enforced". */
export const SEVERITIES = ['ok', 'info', 'warning', 'problem'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** The code of each check. PD1 kernel, PD2 network, PD3 other software, PD4 runtime, PD5 agents. */
export const CHECKS = {
  steering: 'PD101',
  'lost-first-packets': 'PD102',
  'desktop-kernel': 'PD103',
  'nft-queue': 'PD111',
  'iptables-queue': 'PD112',
  ipset: 'PD113',
  'connection-marks': 'PD114',
  'packet-copies': 'PD115',
  'connection-events': 'PD116',
  fib: 'PD117',
  'connection-table': 'PD118',
  'bridge-filter': 'PD201',
  'kube-proxy': 'PD202',
  'flow-table': 'PD203',
  'other-enforcer': 'PD301',
  'other-rules': 'PD302',
  queues: 'PD303',
  'mark-bits': 'PD304',
  nri: 'PD401',
  agents: 'PD501',
  'agent-ready': 'PD502',
  'agent-version': 'PD503',
  'memory-limit': 'PD504',
  'api-rights': 'PD505',
  'not-looked': 'PD901',
} as const satisfies Readonly<Record<string, string>>;

export type CheckName = keyof typeof CHECKS;
