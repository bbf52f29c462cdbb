/** Reads an HTTP answer up to a bound, because a server may send without end. */
import { UnavailableError } from './exit-code.ts';

/** In UTF-16 code units; far more than any answer about one flow has. */
const LONGEST = 16 * 2 ** 20;

/** Returns the text of an answer. @throws UnavailableError if it is longer than `longest` */
export async function boundedText({ body }: Response, longest = LONGEST): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const bytes of body ?? []) {
    text += decoder.decode(bytes, { stream: true });
    if (text.length > longest) {
      throw new UnavailableError(`the server is not a podfence agent: its answer has more than ${longest} characters`);
    }
  }
  return text + decoder.decode();
}

/** Returns the JSON value of an answer. @throws UnavailableError if it is not JSON, or too long */
export async function boundedJson(response: Response): Promise<unknown> {
  return answerOf(await boundedText(response));
}

/** @throws UnavailableError if the text is not JSON */
export function answerOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UnavailableError(`the server is not a podfence agent: ${(error as Error).message}`);
  }
}
