/** The log: JSON lines on standard error, so that standard output is the commands' own. */
import pino, { type Logger } from 'pino';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A logger whose lines name `component`. A level below `level` costs nothing. */
export function createLogger(component: string, level: LogLevel): Logger {
  return pino({ name: 'podfence', level, base: { component } }, pino.destination({ dest: 2, sync: true }));
}
