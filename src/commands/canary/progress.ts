/**
 * Progress of a canary on standard error: one line per step, and on a terminal the count of what is
 * done.
 */
import type { CanaryProgress, CanaryStep } from '../../canary/progress.ts';

const TEXTS: Readonly<Record<CanaryStep, string>> = {
  start: 'starting pods',
  connect: 'connecting every pair, without policies',
  isolate: 'isolating: pairs that are denied',
  hold: 'watching that denied stays denied, with a new pod: new pods that are denied',
  open: 'deleting the policies: pairs that connect again',
  judge: 'waiting for the last answers: pairs',
};

export class CanaryProgressLines {
  readonly #stream: NodeJS.WriteStream;
  readonly #began = performance.now();
  #text = '';
  #isOpen = false;

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
  }

  show({ step, done, total }: CanaryProgress): void {
    const isNew = TEXTS[step] !== this.#text;
    this.#text = TEXTS[step];
    if (this.#stream.isTTY) {
      if (isNew) this.clear();
      this.#stream.write(`\r\x1b[K${this.#prefix()}${this.#text}: ${done} of ${total}`);
      this.#isOpen = true;
    } else if (isNew) {
      this.#stream.write(`${this.#prefix()}${this.#text}: ${total}\n`);
    }
  }

  say(text: string): void {
    this.clear();
    this.#stream.write(`${this.#prefix()}${text}\n`);
  }

  /** Ends the line that the count overwrites. */
  clear(): void {
    if (this.#isOpen) this.#stream.write('\n');
    this.#isOpen = false;
  }

  #prefix(): string {
    return `${((performance.now() - this.#began) / 1000).toFixed(1).padStart(5)} s  `;
  }
}
