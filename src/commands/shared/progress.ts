/**
 * Progress of a long command on standard error: one line that is overwritten on a terminal, one
 * line per step elsewhere.
 */
import type { LabProgress } from '../../lab/lab.ts';

const TEXTS: Readonly<Record<LabProgress['step'], readonly [doing: string, one: string]>> = {
  network: ['making the network', 'pod'],
  agents: ['starting the agents', 'node'],
  probes: ['probing', 'probe'],
};

export class ProgressLine {
  readonly #stream: NodeJS.WriteStream;
  #shown = false;

  constructor(stream: NodeJS.WriteStream = process.stderr) {
    this.#stream = stream;
  }

  show({ step, done, total }: LabProgress): void {
    const [doing, one] = TEXTS[step];
    const what = total === 1 ? one : `${one}s`;
    if (this.#stream.isTTY) {
      this.#stream.write(`\r\x1b[K${doing}: ${done} of ${total} ${what}`);
      this.#shown = true;
    } else if (done === 0) {
      this.#stream.write(`${doing}: ${total} ${what}\n`);
    }
  }

  clear(): void {
    if (this.#shown) this.#stream.write('\r\x1b[K');
    this.#shown = false;
  }
}
