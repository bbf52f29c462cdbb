/** The kernel by its version string (`uname -r`; `kernelVersion` of a Kubernetes node): what is known of it without trying anything. */
import { type Finding, finding } from './finding.ts';
import type { SteeringInForce } from './kernel-abilities.ts';

/**
 * Linux that delivers both of two first packets of a flow that are in a queue at once: commit 8af79d3edb5f ("netfilter: nfnetlink_queue"), first in 6.12. Before, the second one is translated
 * to the backend of the first after its verdict (nf_conntrack_update), and not routed again: where each had chosen another backend it is lost.
 */
const FIXED = [6, 12] as const;

export interface Release {
  readonly text: string;
  readonly major: number;
  readonly minor: number;
}

/** Undefined for what is no release of Linux. */
export function parseRelease(text: string): Release | undefined {
  const match = /^(\d+)\.(\d+)/.exec(text.trim());
  return match ? { text: text.trim(), major: Number(match[1]), minor: Number(match[2]) } : undefined;
}

/** Kernels of Red Hat's family keep their version and take many patches of newer ones. */
const HEAVILY_PATCHED = /\.(el|fc|amzn)\d|\.(amzn|al)\d|-gke|-azure|-aws|-lts|cloud/;

/** Whether the kernel is older than that; a distribution may have the fix in an older number, which nothing tells. */
export function mayLoseFirstPackets({ major, minor }: Release): boolean {
  return major < FIXED[0] || (major === FIXED[0] && minor < FIXED[1]);
}

/** @param steering where it was looked at: by nftables there is a remedy */
export function firstPackets(release: Release, steering?: SteeringInForce): Finding {
  const { text } = release;
  if (!mayLoseFirstPackets(release)) {
    return finding(
      'lost-first-packets',
      'ok',
      'certain',
      `Linux ${text} lets both pass where two first packets of one flow wait in a queue (fixed in 6.12).`,
    );
  }
  if (steering?.chosen === 'nftables' && steering.beforeRouting === true) {
    return finding(
      'lost-first-packets',
      'ok',
      'certain',
      `Linux before 6.12 loses one of two first packets of a UDP flow through a Service that wait in a queue behind routing; this is ${text}, and podfence judges such packets before routing.`,
    );
  }
  return finding(
    'lost-first-packets',
    'warning',
    HEAVILY_PATCHED.test(text) ? 'possible' : 'likely',
    'Linux before 6.12 loses one of two first packets of a UDP flow that wait in a queue at once, though both are allowed, if a Service gave each another backend; ' +
      `this is ${text}. A resolver that asks for A and AAAA from one socket then waits for its retry, 5 s as a rule, in pods that a policy isolates. ${patched(text)} ${remedy(steering)}`,
    'Boot a kernel from 6.12 on, or let nftables steer where it can. Otherwise let pods ask one after the other: dnsConfig.options with the name single-request (glibc only).',
  );
}

function remedy(steering: SteeringInForce | undefined): string {
  if (steering === undefined) return 'Where nftables steers podfence prevents it; that was not looked at here.';
  return steering.chosen === 'nftables'
    ? 'podfence cannot prevent it here: the kernel does not take the rules that judge before routing (they need nft_fib_inet).'
    : 'podfence prevents it where nftables steers, and here it does not.';
}

function patched(text: string): string {
  return HEAVILY_PATCHED.test(text)
    ? 'The distribution patches its kernels without changing this number, and may have the fix.'
    : 'A distribution may have the fix in an older number.';
}

interface DesktopKernel {
  readonly pattern: RegExp;
  readonly name: string;
  readonly message: string;
  readonly advice: string;
}

/** The strings are those of `uname -r` there. */
const DESKTOP_KERNELS: readonly DesktopKernel[] = [
  {
    pattern: /microsoft-standard-WSL2|-microsoft-/i,
    name: 'WSL2',
    message:
      'Its kernels are built with fewer parts of the packet filter than those of distributions (nft_ct and nft_queue were missing before 5.15.57, nft_fib_inet in 6.6), and modules may not be loaded.',
    advice:
      'Trust the checks of the single parts, which are tried. Where one is missing: wsl --update, or a kernel of your own (kernel= in .wslconfig).',
  },
  {
    pattern: /linuxkit/i,
    name: 'Docker Desktop',
    message:
      'The virtual machine of Docker Desktop builds its own kernel. The Kubernetes that comes with it enforces no policy by itself.',
    advice:
      'Trust the checks of the single parts, which are tried. Where one is missing, a newer Docker Desktop may have it.',
  },
  {
    pattern: /orbstack/i,
    name: 'OrbStack',
    message: 'The virtual machine of OrbStack builds its own kernel.',
    advice: 'Trust the checks of the single parts, which are tried.',
  },
];

/** Nothing for kernels of servers. */
export function desktopKernel({ text }: Release): Finding[] {
  const kernel = DESKTOP_KERNELS.find(({ pattern }) => pattern.test(text));
  if (kernel === undefined) return [];
  const { name, message, advice } = kernel;
  return [finding('desktop-kernel', 'info', 'certain', `This is a kernel of ${name} (${text}). ${message}`, advice)];
}
