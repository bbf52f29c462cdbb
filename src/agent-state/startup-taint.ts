/** State of the taint that keeps pods off the node until the policies are in force. */

/**
 * - `waiting`: the policies are not in force yet
 * - `removing`: the API server has been asked
 * - `failing`: the last attempt failed; the agent tries again
 * - `removed`: the agent removed it
 * - `absent`: the node did not have it, because it is older or an earlier agent removed it
 */
export type StartupTaintState = 'waiting' | 'removing' | 'failing' | 'removed' | 'absent';

export interface StartupTaintStatus {
  readonly key: string;
  readonly state: StartupTaintState;
  /** Failed attempts. */
  readonly failures: number;
  /** Error of the last failed attempt. It stays after the taint is removed. */
  readonly lastError: string | undefined;
}
