/** The text of an HTTP answer, up to a bound: whoever answers may go on for ever. */
import { UnavailableError } from './exit-code.ts';

/** Far more than any answer about one flow has. */
const LONGEST = 16 * 2 ** 20;

/** @throws UnavailableError where it is longer */
export async function boundedText({ body }: Response, longest = LONGEST): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const bytes of body ?? []) {
    text += decoder.decode(bytes, { stream: true });
    if (text.length > longest) {
      throw new UnavailableError(
        `what answers is no agent of podfence: its answer has more than ${longest} characters`,
      );
    }
  }
  return text + decoder.decode();
}

/** The JSON value of an answer. @throws UnavailableError where it is none, or longer */
export async function boundedJson(response: Response): Promise<unknown> {
  return answerOf(await boundedText(response));
}

/** @throws UnavailableError where it is no JSON */
export function answerOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UnavailableError(`what answers is no agent of podfence: ${(error as Error).message}`);
  }
}
