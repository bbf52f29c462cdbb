/**
 * Chooses the kind of steering that this kernel accepts, by trials in the network namespace to
 * steer.
 */
import { SteeringError } from './error.ts';
import { IptablesSteering } from './iptables.ts';
import { iptablesInstalled, nftablesInstalled } from './leftovers.ts';
import { NftablesSteering } from './nftables.ts';
import { system as hostSystem, type System } from './run.ts';
import type { Steering, SteeringKind } from './state.ts';
import { type Needs, tryIptables, tryNftables } from './trial.ts';

export type SteeringChoice = 'auto' | SteeringKind;

export interface ChooseOptions {
  /** The tools and the network namespace to steer. @default those of the process */
  readonly system?: System;
  /**
   * Kernel features that the state will need. @default everything that queueing can use: offload
   * and rejecting
   */
  readonly needs?: Needs;
  /**
   * Whether the kernel may lose one of two first packets of a flow; see state.ts. nftables has a
   * remedy if the kernel accepts its rules. @default false
   */
  readonly losesFirstPackets?: boolean;
}

/**
 * Returns the kind asked for; for `auto`, the kind that is in place already, so that it is adopted,
 * else nftables, else iptables. Installs nothing yet. Throws SteeringError with the reason if no
 * kind works.
 */
export async function chooseSteering(choice: SteeringChoice, options: ChooseOptions = {}): Promise<Steering> {
  const { system = hostSystem(), needs = { deny: 'reject', offload: true }, losesFirstPackets = false } = options;
  const makeNftables = async () => new NftablesSteering(system, losesFirstPackets && (await hasRemedy(system, needs)));
  if (choice === 'nftables') {
    await tryNftables(system, needs);
    return await makeNftables();
  }
  if (choice === 'iptables') {
    await tryIptables(system, needs);
    return new IptablesSteering(system);
  }
  const nftables = await refusal(tryNftables(system, needs));
  // iptables is tried only if it may be chosen: its trial creates iptables' own empty tables.
  if (!nftables && !(await onlyIptablesInstalled(system))) return await makeNftables();
  const iptables = await refusal(tryIptables(system, needs));
  if (!iptables) return new IptablesSteering(system);
  if (!nftables) return await makeNftables();
  throw neither(nftables, iptables);
}

/** What each kind of steering can do here, and which one `auto` would choose. */
export interface SteeringSurvey {
  /** Why nftables cannot steer; undefined if it can. `iptables` likewise. */
  readonly nftables: SteeringError | undefined;
  readonly iptables: SteeringError | undefined;
  /** The kind of podfence's rules that are in place. */
  readonly inPlace: SteeringKind | undefined;
  readonly chosen: SteeringKind | undefined;
  /** Whether nftables can judge first packets before routing; see state.ts. */
  readonly beforeRouting: boolean;
}

/**
 * Returns everything that chooseSteering bases its choice on, for display.
 * @param trials where to try. A trial of iptables creates empty tables that stay; with an unused
 * namespace they stay out of `system`
 */
export async function surveySteering(
  system: System,
  trials: System = system,
  needs: Needs = { deny: 'reject', offload: true },
): Promise<SteeringSurvey> {
  const nftables = await refusal(tryNftables(trials, needs));
  const iptables = await refusal(tryIptables(trials, needs));
  const inPlace = (await nftablesInstalled(system))
    ? 'nftables'
    : (await iptablesInstalled(system))
      ? 'iptables'
      : undefined;
  const adopts = inPlace === 'iptables' && !iptables;
  const chosen = !nftables && !adopts ? 'nftables' : !iptables ? 'iptables' : undefined;
  return { nftables, iptables, inPlace, chosen, beforeRouting: !nftables && (await hasRemedy(trials, needs)) };
}

/**
 * Whether nftables can judge first packets before routing (state.ts says why); some kernels lack
 * `fib`. Copies delay no packet, so audit mode does not need it.
 */
async function hasRemedy(system: System, needs: Needs): Promise<boolean> {
  return needs.copiesTo === undefined && (await refusal(tryNftables(system, needs, true))) === undefined;
}

/** Returns why a trial failed; undefined if it succeeded. */
async function refusal(trial: Promise<void>): Promise<SteeringError | undefined> {
  try {
    await trial;
    return undefined;
  } catch (error) {
    if (error instanceof SteeringError) return error;
    throw error;
  }
}

async function onlyIptablesInstalled(system: System): Promise<boolean> {
  return !(await nftablesInstalled(system)) && (await iptablesInstalled(system));
}

/** The error if neither kind works. iptables runs on more machines, so its code stands for both. */
function neither(nftables: SteeringError, iptables: SteeringError): SteeringError {
  return new SteeringError(
    iptables.code,
    `neither nftables nor iptables can steer packets here:\n${nftables.message}\n${iptables.message}`,
    [...new Set([iptables.hint, nftables.hint])].join('; '),
  );
}
