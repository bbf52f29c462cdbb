/** The canary cannot prove anything. The message says why, and what to change. */
export class CanaryError extends Error {
  override readonly name = 'CanaryError';
  readonly code = 'CANARY';
  /** `input` if the request is wrong, `cluster` if the cluster is the cause. */
  readonly blame: 'input' | 'cluster';

  constructor(message: string, blame: 'input' | 'cluster' = 'cluster') {
    super(message);
    this.blame = blame;
  }
}
