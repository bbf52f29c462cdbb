/** Questions from commands to a running agent, at its --query-address. */
import { DEFAULT_QUERY_ADDRESS } from '../../telemetry/agent-routes.ts';
import { boundedText } from './bounded-answer.ts';
import { InputError, UnavailableError } from './exit-code.ts';

export const DEFAULT_AGENT = `http://${DEFAULT_QUERY_ADDRESS}`;

const HOW_TO_REACH = `An agent answers on the loopback address of its node. From elsewhere, forward a port to the agent on the pod's node:
  kubectl -n podfence-system get pods -o wide
  kubectl -n podfence-system port-forward pod/NAME ${DEFAULT_QUERY_ADDRESS.split(':')[1]}`;

/**
 * Sends a GET and returns the answer. Throws an InputError if the address is invalid or the agent
 * does not understand the question, an UnavailableError if no agent answers.
 * @param agent as a user writes it: a URL, or an address and port alone
 */
export async function askAgent(
  agent: string,
  path: string,
  query: URLSearchParams,
  signal?: AbortSignal,
): Promise<Response> {
  const url = agentUrl(agent, path, query);
  let response: Response;
  try {
    response = await fetch(url, { redirect: 'error', ...(signal !== undefined && { signal }) });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new UnavailableError(`no agent answers at ${url.origin}: ${causeOf(error)}\n${HOW_TO_REACH}`);
  }
  if (response.ok) return response;
  const answer = (await boundedText(response)).trim();
  if (response.status === 400) throw new InputError(answer);
  if (response.status !== 404) throw new UnavailableError(`the agent at ${url.origin} cannot answer: ${answer}`);
  throw new UnavailableError(
    `${url.origin} does not answer such questions (it has no ${path}): give the agent's --query-address, which has port ` +
      `${DEFAULT_QUERY_ADDRESS.split(':')[1]} by default`,
  );
}

function agentUrl(agent: string, path: string, query: URLSearchParams): URL {
  try {
    const url = new URL(path, agent.includes('://') ? agent : `http://${agent}`);
    if (url.protocol === 'http:' || url.protocol === 'https:') {
      url.search = query.toString();
      return url;
    }
  } catch {
    // Not a URL at all.
  }
  throw new InputError(`--agent ${agent}: not an address such as ${DEFAULT_AGENT}`);
}

/**
 * Returns why fetch failed. Its own error does not say: the reason is in the cause, or in each of
 * the causes if several addresses were tried.
 */
function causeOf(error: unknown): string {
  const { cause } = error as { cause?: { code?: string; message?: string; errors?: readonly { code?: string }[] } };
  return cause?.code ?? cause?.errors?.[0]?.code ?? cause?.message ?? String(error);
}
