/** A canary cannot prove anything. The message says why, and what to change. */
export class CanaryError extends Error {
  override readonly name = 'CanaryError';
  readonly code = 'CANARY';
  /** Whether what was asked for is wrong, rather than the cluster. */
  readonly blame: 'input' | 'cluster';

  constructor(message: string, blame: 'input' | 'cluster' = 'cluster') {
    super(message);
    this.blame = blame;
  }
}
