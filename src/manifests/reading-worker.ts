/** The thread that reads manifests on request. */
import { parentPort } from 'node:worker_threads';
import { loadManifests } from './load.ts';
import type { ReadRequest, ReadResponse } from './reading-messages.ts';

async function answerTo({ paths, options }: ReadRequest): Promise<ReadResponse> {
  try {
    const { snapshot, problems } = await loadManifests(paths, options);
    return { manifests: { snapshot, problems } };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}

parentPort?.on('message', async (request: ReadRequest) => parentPort?.postMessage(await answerTo(request)));
