/**
 * Publishes each step of a start on a channel of node:diagnostics_channel as it begins. Tests stop
 * an agent at every step.
 */
import { channel } from 'node:diagnostics_channel';

export type StartStep =
  | 'serving'
  | 'answering questions'
  | 'reading the cluster'
  | 'choosing steering'
  | 'looking for an earlier agent'
  | 'guarding source addresses'
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
