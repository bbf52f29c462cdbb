/** `podfence explain --batch`: reads questions and writes answers, one per line, as they come. */

import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { jsonText } from '../../cluster/printable.ts';
import { Batch } from '../../explain/batch.ts';
import { FlowError } from '../../explain/flow-error.ts';
import type { ClusterInput } from '../shared/cluster-input.ts';
import { ExitCode, InputError } from '../shared/exit-code.ts';
import { tell } from '../shared/tell.ts';
import { type Line, linesOf } from './json-lines.ts';

/** In characters. A question has two names of at most 317. */
const LONGEST_LINE = 65_536;

/**
 * @param file `-` for standard input
 * @returns the exit code: badInput if any line was not a question
 */
export async function explainBatch({ snapshot, services, hasErrors }: ClusterInput, file: string): Promise<number> {
  const batch = new Batch(snapshot, services);
  const input = file === '-' ? process.stdin : createReadStream(file);
  let badLines = 0;
  const answer = (line: Line): string => {
    try {
      if (line.text === undefined) throw new FlowError('BAD_LINE', `the line has more than ${LONGEST_LINE} characters`);
      return `${jsonText(batch.answer(line.text))}\n`;
    } catch (error) {
      if (!(error instanceof FlowError)) throw error;
      badLines++;
      return `${jsonText({ line: line.number, error: error.message })}\n`;
    }
  };
  for await (const lines of readable(linesOf(input, LONGEST_LINE), file)) {
    if (!process.stdout.write(lines.map(answer).join(''))) await once(process.stdout, 'drain');
  }
  if (badLines > 0) tell(`${badLines} ${badLines === 1 ? 'line is not a question' : 'lines are not questions'}.\n`);
  return badLines > 0 || hasErrors ? ExitCode.badInput : ExitCode.ok;
}

/** @throws InputError where the file cannot be read */
async function* readable<T>(parts: AsyncIterable<T>, file: string): AsyncGenerator<T> {
  try {
    yield* parts;
  } catch (error) {
    throw new InputError(`--batch ${file}: ${(error as Error).message}`);
  }
}
