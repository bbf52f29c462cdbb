/** Progress of a canary run. */

export type CanaryStep = 'start' | 'connect' | 'isolate' | 'hold' | 'open' | 'judge';

export interface CanaryProgress {
  readonly step: CanaryStep;
  readonly done: number;
  readonly total: number;
}
