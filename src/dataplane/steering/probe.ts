/** Choosing the kind of steering by what this kernel accepts, tried in the network namespace that is to be steered. */
import { SteeringError } from './error.ts';
import { IptablesSteering } from './iptables.ts';
import { iptablesInstalled, nftablesInstalled } from './leftovers.ts';
import { NftablesSteering } from './nftables.ts';
import { system as hostSystem, type System } from './run.ts';
import type { Steering, SteeringKind } from './state.ts';
import { type Needs, tryIptables, tryNftables } from './trial.ts';

export type SteeringChoice = 'auto' | SteeringKind;

export interface ChooseOptions {
  /** The tools, and the network namespace to steer. @default that of the process. */
  readonly system?: System;
  /** What the state will ask for. @default all that queueing can: offload, and rejecting. */
  readonly needs?: Needs;
  /** Whether the kernel loses one of two first packets of a flow; see state.ts. nftables then has a remedy, where the kernel takes its rules. @default false */
  readonly losesFirstPackets?: boolean;
}

/**
 * The kind asked for, or for `auto` one that works here: the kind that is already in place, so that it is adopted, else nftables, else
 * iptables. Nothing is installed yet. Throws SteeringError with what stands against it.
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
  // iptables is tried only where it may be chosen: its trial makes iptables' own empty tables, where there were none.
  if (!nftables && !(await onlyIptablesInstalled(system))) return await makeNftables();
  const iptables = await refusal(tryIptables(system, needs));
  if (!iptables) return new IptablesSteering(system);
  if (!nftables) return await makeNftables();
  throw neither(nftables, iptables);
}

/** Both kinds, and what `auto` would choose. */
export interface SteeringSurvey {
  /** Why it cannot steer; undefined where it can. */
  readonly nftables: SteeringError | undefined;
  readonly iptables: SteeringError | undefined;
  /** Of which podfence's rules are there. */
  readonly inPlace: SteeringKind | undefined;
  readonly chosen: SteeringKind | undefined;
  /** Whether nftables can judge first packets before routing; see state.ts. */
  readonly beforeRouting: boolean;
}

/**
 * What chooseSteering goes by, all of it, for people.
 * @param trials where to try: a network namespace that nobody uses keeps the tables that a trial of iptables makes away from `system`
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

/** Whether the kernel takes the rules that judge first packets before routing: some are built without `fib`. Copies hold nothing up, and need none. */
async function hasRemedy(system: System, needs: Needs): Promise<boolean> {
  return needs.copiesTo === undefined && (await refusal(tryNftables(system, needs, true))) === undefined;
}

/** Why a trial failed, or undefined if it did not. */
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

/** Where neither kind works. iptables runs on more machines: its code and hint stand for both. */
function neither(nftables: SteeringError, iptables: SteeringError): SteeringError {
  return new SteeringError(
    iptables.code,
    `neither nftables nor iptables can steer packets here:\n${nftables.message}\n${iptables.message}`,
    [...new Set([iptables.hint, nftables.hint])].join('; '),
  );
}
