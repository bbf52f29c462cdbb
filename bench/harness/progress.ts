/**
 * Shows a benchmark's progress on standard error: one line that is overwritten on a terminal,
 * elsewhere a line for each new text.
 */
export class Progress {
  readonly #stream: NodeJS.WriteStream;
  #text = '';
  #shown = false;

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
  }

  show(text: string, done?: number, total?: number): void {
    const count = total === undefined ? '' : ` (${done} of ${total})`;
    if (this.#stream.isTTY) {
      this.#stream.write(`\r\x1b[K${text}${count}`);
      this.#shown = true;
    } else if (text !== this.#text) {
      this.#stream.write(`${text}${count}\n`);
    }
    this.#text = text;
  }

  clear(): void {
    if (this.#shown) this.#stream.write('\r\x1b[K');
    this.#shown = false;
    this.#text = '';
  }
}
