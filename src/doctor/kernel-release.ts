/**
 * What the kernel's version string implies (`uname -r`; `kernelVersion` of a Kubernetes node),
 * without trying anything.
 */
import { type Finding, finding } from './finding.ts';
import type { SteeringInForce } from './kernel-abilities.ts';

/**
 * The first Linux that delivers both of two first packets of one flow that wait in a queue at once:
 * commit 8af79d3edb5f ("netfilter: nfnetlink_queue"), first in 6.12. An older kernel translates the
 * second packet, after its verdict, to the backend of the first one (nf_conntrack_update) but does
 * not route it again: if each packet had a different backend, the second one is lost.
 */
const FIXED = [6, 12] as const;

export interface Release {
  readonly text: string;
  readonly major: number;
  readonly minor: number;
}

/** Parses a release; undefined if the text is not a Linux release. */
export function parseRelease(text: string): Release | undefined {
  const match = /^(\d+)\.(\d+)/.exec(text.trim());
  return match ? { text: text.trim(), major: Number(match[1]), minor: Number(match[2]) } : undefined;
}

/**
 * Kernels of the Red Hat family and of clouds keep their version number but take many newer
 * patches.
 */
const HEAVILY_PATCHED = /\.(el|fc|amzn)\d|\.(amzn|al)\d|-gke|-azure|-aws|-lts|cloud/;

/**
 * Whether the kernel is older than the fix. A distribution may have backported it, which the
 * version does not show.
 */
export function mayLoseFirstPackets({ major, minor }: Release): boolean {
  return major < FIXED[0] || (major === FIXED[0] && minor < FIXED[1]);
}

/** @param steering undefined if it was not checked; with nftables there is a remedy */
export function firstPackets(release: Release, steering?: SteeringInForce): Finding {
  const { text } = release;
  if (!mayLoseFirstPackets(release)) {
    return finding(
      'lost-first-packets',
      'ok',
      'certain',
      `Linux ${text} delivers both of two first packets of a flow that wait in a queue (fixed in 6.12).`,
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
    'Linux before 6.12 loses one of two first packets of a UDP flow that wait in a queue at once, though both are allowed, if a Service chose a different backend for each; ' +
      `this is ${text}. A resolver that asks for A and AAAA from one socket then waits for its retry, usually 5 s, in pods that a policy isolates. ${patched(text)} ${remedy(steering)}`,
    'Boot Linux 6.12 or newer, or let nftables steer if it can. Otherwise let pods send one query after the other: dnsConfig.options with the name single-request (glibc only).',
  );
}

function remedy(steering: SteeringInForce | undefined): string {
  if (steering === undefined) return 'podfence prevents it if nftables steers, which was not checked here.';
  return steering.chosen === 'nftables'
    ? 'podfence cannot prevent it here: the kernel does not accept the rules that judge before routing (they need nft_fib_inet).'
    : 'podfence prevents it only if nftables steers, which it does not here.';
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

/** The patterns match `uname -r` there. */
const DESKTOP_KERNELS: readonly DesktopKernel[] = [
  {
    pattern: /microsoft-standard-WSL2|-microsoft-/i,
    name: 'WSL2',
    message:
      'Its kernels are built with fewer parts of the packet filter than those of distributions (nft_ct and nft_queue were missing before 5.15.57, nft_fib_inet in 6.6), and modules may not be loaded.',
    advice:
      'Rely on the checks of single parts, which are tried on this kernel. If one is missing: wsl --update, or a kernel of your own (kernel= in .wslconfig).',
  },
  {
    pattern: /linuxkit/i,
    name: 'Docker Desktop',
    message:
      'The virtual machine of Docker Desktop builds its own kernel. The Kubernetes that comes with it enforces no policy by itself.',
    advice:
      'Rely on the checks of single parts, which are tried on this kernel. If one is missing, a newer Docker Desktop may have it.',
  },
  {
    pattern: /orbstack/i,
    name: 'OrbStack',
    message: 'The virtual machine of OrbStack builds its own kernel.',
    advice: 'Rely on the checks of single parts, which are tried on this kernel.',
  },
];

/** Returns nothing for a server's kernel. */
export function desktopKernel({ text }: Release): Finding[] {
  const kernel = DESKTOP_KERNELS.find(({ pattern }) => pattern.test(text));
  if (kernel === undefined) return [];
  const { name, message, advice } = kernel;
  return [finding('desktop-kernel', 'info', 'certain', `This is a kernel of ${name} (${text}). ${message}`, advice)];
}
