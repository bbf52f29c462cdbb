/** The steps of a start, told on a channel of node:diagnostics_channel as each begins: its name. Tests stop an agent at every one of them. */
import { channel } from 'node:diagnostics_channel';

export type StartStep =
  | 'serving'
  | 'answering questions'
  | 'reading the cluster'
  | 'choosing steering'
  | 'looking for an earlier agent'
  | 'compiling'
  | 'starting threads'
  | 'binding queues'
  | 'steering'
  | 'signing'
  | 'bringing early changes into force';

const STEPS = channel('podfence:start-step');

export function beginStep(name: StartStep): void {
  STEPS.publish(name);
}
