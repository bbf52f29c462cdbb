/** The thread that answers questions about flows, one at a time. */
import { parentPort } from 'node:worker_threads';
import { answerTo } from './answer.ts';
import type { AnswerRequest, AnswerResponse } from './messages.ts';

function respondTo(request: AnswerRequest): AnswerResponse {
  try {
    return { explained: answerTo(request) };
  } catch (error) {
    return { failure: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

parentPort?.on('message', (request: AnswerRequest) => parentPort?.postMessage(respondTo(request)));
