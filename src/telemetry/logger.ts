/**
 * The log: JSON lines on standard error, because standard output carries the results of commands.
 */

import { writeSync } from 'node:fs';
import pino, { type Logger } from 'pino';
import { escapedJson } from '../cluster/printable.ts';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const STDERR = 2;

/**
 * Writes lines synchronously. A line that cannot be written (the disk is full, the reader is gone)
 * is lost and counted: logging must not stop enforcement.
 */
export class LogDestination {
  readonly #fd: number;
  /** The last line was written only in part. */
  #isCut = false;
  #linesLost = 0;

  constructor(fd = STDERR) {
    this.#fd = fd;
  }

  /** Lines that were not written, or only in part. */
  get linesLost(): number {
    return this.#linesLost;
  }

  /** Called by pino. Never throws. */
  write(line: string): void {
    // A line that was cut off must not swallow the next one.
    const text = escapedJson(line);
    let rest = Buffer.from(this.#isCut ? `\n${text}` : text);
    try {
      while (rest.length > 0) {
        const written = writeSync(this.#fd, rest);
        this.#isCut = written < rest.length;
        rest = rest.subarray(written);
      }
    } catch {
      this.#linesLost++;
    }
  }
}

export interface LoggerOptions {
  /** The Kubernetes node, if there is one. */
  readonly node?: string;
  /** @default standard error */
  readonly destination?: LogDestination;
}

/**
 * Creates a logger. Its lines have the level as a word, the time as ISO 8601 in UTC, `component`
 * and the node. A level below `level` costs nothing.
 */
export function createLogger(
  component: string,
  level: LogLevel,
  { node, destination = new LogDestination() }: LoggerOptions = {},
): Logger {
  return pino(
    {
      ...{ name: 'podfence', level, timestamp: pino.stdTimeFunctions.isoTime },
      base: { component, ...(node !== undefined && { node }) },
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
}
