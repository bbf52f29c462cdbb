/** Errors of the kernel's packet filter and its tools, by what the user can do about them. */

/**
 *     TOOL_MISSING   a program (nft, iptables, ipset …) is not installed
 *     NOT_PERMITTED  the process lacks CAP_NET_ADMIN, or may not write the lock file of iptables
 *     KERNEL_LACKS   the kernel lacks a match, target, set type or table, or a table has foreign
 *                    contents that the tool cannot handle
 *     IPV6_MISSING   there are isolated IPv6 addresses, and this node cannot filter IPv6 packets
 *     BUSY           another program holds the lock of iptables
 *     TIMEOUT        a command did not end in time
 *     INVALID_STATE  the wanted state is invalid
 *     NOT_APPLIED    setSteered was called before apply
 *     ANSWERED       another process reads the queues of the rules, so they must stay
 *     FAILED         anything else; the message quotes the command
 */
export type SteeringErrorCode =
  | 'TOOL_MISSING'
  | 'NOT_PERMITTED'
  | 'KERNEL_LACKS'
  | 'IPV6_MISSING'
  | 'BUSY'
  | 'TIMEOUT'
  | 'INVALID_STATE'
  | 'NOT_APPLIED'
  | 'ANSWERED'
  | 'FAILED';

export class SteeringError extends Error {
  readonly code: SteeringErrorCode;
  /** What the user can do about it. */
  readonly hint: string;

  constructor(code: SteeringErrorCode, message: string, hint: string) {
    super(message);
    this.name = 'SteeringError';
    this.code = code;
    this.hint = hint;
  }
}

const HINTS = {
  NOT_PERMITTED: 'run as root or with the capability NET_ADMIN; iptables also writes /run/xtables.lock',
  KERNEL_LACKS:
    'load or enable the kernel modules nfnetlink_queue and, for nftables, nft_queue, nft_ct and nft_reject_inet, for iptables, ' +
    'xt_NFQUEUE, xt_connmark, xt_mark, xt_set, ip_set_hash_ip, ipt_REJECT and ip6t_REJECT (in audit mode nfnetlink_log with nft_log or xt_NFLOG); ' +
    'or choose the other kind of steering',
  BUSY: 'another program holds the lock of iptables; try again',
  FAILED: "see the command's message",
} as const;

const PACKAGES: Readonly<Record<string, string>> = { nft: 'nftables', ipset: 'ipset' };

/** Returns the error for a command that was not found. */
export function toolMissing(command: string): SteeringError {
  return new SteeringError(
    'TOOL_MISSING',
    `${command} is not installed`,
    `install the package ${PACKAGES[command] ?? 'iptables'}`,
  );
}

/**
 * Returns the error for a command that failed, classified by what it wrote to its standard error.
 */
export function commandFailed(commandLine: string, status: number | null, stderr: string): SteeringError {
  const code = classify(status, stderr);
  // nft repeats three lines for every rule that lacks something: message, rule, a line that points
  // into it.
  const words = stderr.trim().split('\n').slice(0, 3).join('\n') || `status ${status}`;
  return new SteeringError(code, `${commandLine}: ${words}`, HINTS[code]);
}

/**
 * Matches the messages of iptables 1.8 and 1.6, nft 1.0 and ipset 7, with the kernel's errors in
 * them.
 */
function classify(status: number | null, stderr: string): keyof typeof HINTS {
  if (/operation not permitted|permission denied|must be root|EPERM/i.test(stderr)) return 'NOT_PERMITTED';
  if (status === 4 && /xtables lock|resource temporarily unavailable/i.test(stderr)) return 'BUSY';
  if (
    /could not process rule: (no such file|operation not supported|protocol not supported)/i.test(stderr) ||
    /no chain\/target\/match by that name|couldn't load (match|target)|missing kernel module|table does not exist/i.test(
      stderr,
    ) ||
    /(table|chain) `[^']*' is incompatible|RULE_(APPEND|INSERT) failed \((no such file|operation not supported|invalid argument)/i.test(
      stderr,
    ) ||
    /cannot open session to kernel|set type not supported|kernel support protocol|protocol not (supported|available)/i.test(
      stderr,
    ) ||
    /unable to initialize netlink socket|address family not supported/i.test(stderr)
  ) {
    return 'KERNEL_LACKS';
  }
  return 'FAILED';
}

/**
 * Whether `error` means that the machine cannot do this at all: a program or kernel support is
 * missing.
 */
export function isUnsupported(error: unknown): error is SteeringError {
  return error instanceof SteeringError && (error.code === 'TOOL_MISSING' || error.code === 'KERNEL_LACKS');
}

export function notApplied(): SteeringError {
  return new SteeringError('NOT_APPLIED', 'setSteered before apply', 'apply a whole state first');
}
