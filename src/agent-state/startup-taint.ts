/** What becomes of the taint that keeps pods from the node until the policies are in force. */

/**
 * - `waiting` for the policies to be in force
 * - `removing` the API server is asked
 * - `failing` it could not be taken away yet; it is tried again
 * - `removed` it was taken away
 * - `absent` the node had none: an older node, or an earlier agent took it away
 */
export type StartupTaintState = 'waiting' | 'removing' | 'failing' | 'removed' | 'absent';

export interface StartupTaintStatus {
  readonly key: string;
  readonly state: StartupTaintState;
  /** Attempts that failed. */
  readonly failures: number;
  /** Of the last one that failed. It stays when the taint is gone. */
  readonly lastError: string | undefined;
}
