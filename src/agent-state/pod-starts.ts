/** What the agent does for pods that start: plain values for telemetry. */
import type { BucketCounts } from './counters.ts';

/**
 * How pods of this node are judged from their first packet on:
 *
 *     runtime      the container runtime holds back the containers of a pod until its addresses are
 *                  in force (NRI)
 *     absent       no runtime listens at the NRI socket: a pod's packets pass until the API server
 *                  reports its addresses
 *     unaddressed  the runtime does not report addresses; the same holds
 *     lost         the runtime is not connected, or not yet; the same holds meanwhile
 *     off          the setting `nri` is off
 */
export type PodStartState = 'runtime' | 'absent' | 'unaddressed' | 'lost' | 'off';

export interface PodStartStatus {
  readonly state: PodStartState;
  /** Name and version of the runtime; undefined unless the state is `runtime`. */
  readonly runtime?: string;
  /** Why the last connection ended; undefined if none did. */
  readonly lastError?: string;
  /** Pods whose addresses were in force before their containers started. */
  readonly inForce: number;
  /** Pods that the runtime refused, because their addresses were not in force in time. */
  readonly refused: number;
  /** Pods that started before their addresses were in force. */
  readonly unjudged: number;
  /** How long the runtime waited for each pod, in seconds. */
  readonly waits: BucketCounts;
  /** The last of them; undefined before the first. */
  readonly lastWait?: number;
}
