/** The checks of `podfence doctor`. Codes and names are stable: scripts may rely on them. */

/** From "all is well" to "policies are not enforced". */
export const SEVERITIES = ['ok', 'info', 'warning', 'problem'] as const;
export type Severity = (typeof SEVERITIES)[number];

/**
 * By name: the code, and the question. PD1 kernel, PD2 network, PD3 other software, PD4 runtime,
 * PD5 agents.
 */
export const CHECKS = {
  steering: ['PD101', 'which kernel rules hand packets over, and why'],
  'lost-first-packets': ['PD102', 'does the kernel drop one of two first packets of a flow'],
  'desktop-kernel': ['PD103', 'is it a kernel of WSL2, Docker Desktop or OrbStack'],
  'nft-queue': ['PD111', 'nftables rules with a queue'],
  'iptables-queue': ['PD112', 'iptables rules with a queue'],
  ipset: ['PD113', 'sets of addresses for iptables'],
  'connection-marks': ['PD114', 'marks on connections, with which the kernel carries on judged ones'],
  'packet-copies': ['PD115', 'copies of packets (NFLOG), for audit mode'],
  'connection-events': ['PD116', 'events of the connection table'],
  fib: ['PD117', 'route lookups in rules, against forged senders'],
  'connection-table': ['PD118', 'reading the connection table'],
  'bridge-filter': ['PD201', 'do packets between pods on one bridge pass the packet filter'],
  'kube-proxy': ['PD202', 'where Services are translated, and whether podfence sees it'],
  'flow-table': ['PD203', 'do flow tables carry connections past podfence'],
  'other-enforcer': ['PD301', 'another enforcer of NetworkPolicy, by its pods'],
  'other-rules': ['PD302', 'another enforcer of NetworkPolicy, by its rules'],
  queues: ['PD303', 'which processes read the queues of the kernel'],
  'mark-bits': ['PD304', 'does other software write the mark bits in which podfence notes what it has judged'],
  nri: ['PD401', 'does the container runtime report pods before they start (NRI)'],
  agents: ['PD501', 'is there an agent on every node'],
  'agent-ready': ['PD502', 'do the agents enforce'],
  'agent-version': ['PD503', 'are all agents of one version'],
  'memory-limit': ['PD504', 'does the memory limit suffice for the size of the cluster'],
  'api-rights': ['PD505', 'may the agents read what they need'],
  'not-looked': ['PD901', 'what could not be checked'],
} as const satisfies Readonly<Record<string, readonly [code: string, asks: string]>>;

export type CheckName = keyof typeof CHECKS;
