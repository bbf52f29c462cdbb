/**
 * What this kernel can do with the tools installed here. Abilities are tried one by one; what
 * cannot be tried without harm is read.
 */
import { eachKernelFlow } from '../dataplane/ctnetlink/kernel-flows.ts';
import { SteeringError } from '../dataplane/steering/error.ts';
import { type SteeringSurvey as Survey, surveySteering } from '../dataplane/steering/probe.ts';
import { type System, system as systemOf } from '../dataplane/steering/run.ts';
import { DEFAULT_MARK } from '../dataplane/steering/state.ts';
import { tryIpset, tryIptablesRule, tryNftRule } from '../dataplane/steering/trial.ts';
import type { Ability, Refusal, SteeringSurvey, Trial } from '../doctor/kernel-abilities.ts';
import { Netns } from '../sys/netns.ts';

/**
 * Abilities that need only one of the two tools. If both refuse, the refusal of iptables is
 * reported.
 */
const EITHER: readonly { readonly ability: Ability; readonly nft: string; readonly iptables: string }[] = [
  { ability: 'connection-marks', nft: 'ct mark set meta mark', iptables: '-j CONNMARK --save-mark' },
  { ability: 'packet-copies', nft: 'log group 1', iptables: '-j NFLOG --nflog-group 1' },
  { ability: 'fib', nft: 'fib saddr . iif oif missing drop', iptables: '-m rpfilter --invert -j DROP' },
];

export interface KernelTrials {
  readonly trials: readonly Trial[];
  /** Undefined if the rules in place could not be read. */
  readonly steering?: SteeringSurvey;
  /** What could not be tried, as sentences. */
  readonly failures: readonly string[];
}

/**
 * Tries everything, in about a second, and leaves nothing behind. Trials run in their own network
 * namespace or, if that cannot be created, in chains that no packet reaches.
 * @param system the namespace whose rules show which steering is in place
 * @param elsewhere where to try instead of in a new namespace
 */
export async function tryKernel(system: System, elsewhere?: System): Promise<KernelTrials> {
  using scratch = elsewhere === undefined ? scratchNamespace() : undefined;
  const place = elsewhere ?? (scratch === undefined ? system : systemOf(scratch));
  const trials: Trial[] = [
    await trial('nft-queue', () => tryNftRule(place, 'queue to 0')),
    await trial('iptables-queue', () => tryIptablesRule(place, '-j NFQUEUE --queue-num 0')),
    await trial('ipset', () => tryIpset(place)),
  ];
  for (const { ability, nft, iptables } of EITHER) {
    const byNft = await trial(ability, () => tryNftRule(place, nft));
    trials.push(byNft.refusal === undefined ? byNft : await trial(ability, () => tryIptablesRule(place, iptables)));
  }
  trials.push(
    connectionEvents(system),
    // No connection has this mark, so the kernel's answer is empty.
    await trial('connection-table', () =>
      eachKernelFlow(() => {}, { mask: DEFAULT_MARK.reject, value: DEFAULT_MARK.reject }),
    ),
  );
  try {
    return { trials, steering: surveyFacts(await surveySteering(system, place)), failures: [] };
  } catch (error) {
    return { trials, failures: [`The steering could not be chosen: ${refusalOf(error).message.replace(/\.$/, '')}.`] };
  }
}

/** Undefined without CAP_SYS_ADMIN, which an agent's pod does not have. */
function scratchNamespace(): Netns | undefined {
  try {
    return Netns.create();
  } catch {
    return undefined;
  }
}

/** The switch exists only in kernels built with CONFIG_NF_CONNTRACK_EVENTS. */
function connectionEvents(system: System): Trial {
  const value = system.read('/proc/sys/net/netfilter/nf_conntrack_events')?.trim();
  const ability = 'connection-events';
  if (value !== undefined && value !== '0') return { ability };
  const [message, hint] =
    value === undefined
      ? ['the kernel has no switch net.netfilter.nf_conntrack_events', 'boot a kernel with CONFIG_NF_CONNTRACK_EVENTS']
      : ['net.netfilter.nf_conntrack_events is 0', 'sysctl -w net.netfilter.nf_conntrack_events=1'];
  return { ability, refusal: { code: value === undefined ? 'KERNEL_LACKS' : 'SWITCHED_OFF', message, hint } };
}

async function trial(ability: Ability, action: () => Promise<void>): Promise<Trial> {
  try {
    await action();
    return { ability };
  } catch (error) {
    return { ability, refusal: refusalOf(error) };
  }
}

function surveyFacts({ nftables, iptables, inPlace, chosen, beforeRouting }: Survey): SteeringSurvey {
  return {
    ...(nftables !== undefined && { nftables: refusalOf(nftables) }),
    ...(iptables !== undefined && { iptables: refusalOf(iptables) }),
    ...(inPlace !== undefined && { inPlace }),
    ...(chosen !== undefined && { chosen }),
    beforeRouting,
  };
}

/**
 * Errors with which netlink says that the kernel lacks a part, or has not loaded its module.
 * nfnetlink answers EINVAL if no subsystem is registered (nfnetlink_rcv_msg in the kernel's
 * nfnetlink.c).
 */
const LACKING = new Set(['EINVAL', 'ENOENT', 'EPROTONOSUPPORT', 'EOPNOTSUPP', 'EAFNOSUPPORT']);

/** Converts an error of a tool, or of netlink itself, to a refusal. */
export function refusalOf(error: unknown): Refusal {
  const message = shortened(error instanceof Error ? error.message : String(error));
  if (error instanceof SteeringError) return { code: error.code, message, hint: error.hint };
  const { code: name } = error as { code?: unknown };
  if (name === 'EPERM') return { code: 'NOT_PERMITTED', message, hint: 'run as root or with the capability NET_ADMIN' };
  if (typeof name === 'string' && LACKING.has(name)) {
    return { code: 'KERNEL_LACKS', message, hint: 'load the kernel module for it' };
  }
  return { code: 'FAILED', message, hint: 'see the message of the kernel' };
}

/**
 * Keeps the first line, which says what is wrong, without the command and the position in its
 * input. The tools then repeat the rule.
 */
function shortened(message: string): string {
  const [first = ''] = message.split('\n');
  return first.replace(
    /(nft -c -f -|ip6?tables(-\w+)?-restore --noflush -w 5): (\/dev\/stdin:[\d:-]+ |line \d+: )?(Error: )?/,
    '',
  );
}
