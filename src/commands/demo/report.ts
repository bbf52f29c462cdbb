/** The text of the demo. */
import type { AgentCounters } from '../../agent-state/counters.ts';
import type { ProbeResult } from '../../lab/lab.ts';
import { renderMatrix } from '../../lab/matrix.ts';
import { paint, showsColour } from '../../lab/paint.ts';
import type { ExternalHost } from '../../lab/plan.ts';
import type { LoadedManifests } from '../../manifests/load.ts';

const PLAIN_WIDTH = 100;
const MOST_CHANGES = 6;

export class DemoReport {
  readonly #out: NodeJS.WriteStream;
  readonly #colour: boolean;
  #chapter = 0;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
    this.#colour = showsColour(out);
  }

  introduce({ snapshot }: LoadedManifests, externals: readonly ExternalHost[], lacking: string | undefined): void {
    const outside = externals.map(({ name, address }) => `${name} (${address})`).join(', ');
    this.#line(
      `A small shop of ${snapshot.pods.length} pods, from examples/three-tier; outside the cluster: ${outside}.`,
    );
    this.#line(
      lacking === undefined
        ? 'Every pod is a network namespace. From each one, every port of every other is tried with real packets.'
        : `Real packets need ${lacking}; without it the same packets are judged in memory, except those of the open connection.`,
    );
  }

  matrix(title: string, results: readonly ProbeResult[]): void {
    this.#heading(title);
    this.#out.write(renderMatrix(results, { width: this.#out.columns ?? PLAIN_WIDTH, colour: this.#colour }));
  }

  /** Prints what the policies closed, ways to the database first. */
  changes(before: readonly ProbeResult[], after: readonly ProbeResult[]): void {
    const key = ({ from, to, port, protocol, pod }: ProbeResult) => `${from} ${to} ${port} ${protocol} ${pod}`;
    const open = new Set(before.filter(({ observed }) => observed === 'allow').map(key));
    const closed = after.filter((result) => result.observed === 'deny' && open.has(key(result)));
    this.#line('');
    this.#line(`What changed: ${closed.length} of ${open.size} ways are closed now, among them`);
    const toDatabase = closed.filter(({ to }) => to.includes('database'));
    for (const { from, to, port } of [...toDatabase, ...closed.filter((each) => !toDatabase.includes(each))].slice(
      0,
      MOST_CHANGES,
    )) {
      this.#line(`  ${from} -> ${to}:${port}`);
    }
  }

  editing(): void {
    this.#heading('A policy is edited while a connection is open');
  }

  /** Prints an edit of shop/backend, and after how many ms it was in force. */
  edit(before: string, after: string, milliseconds: number): void {
    this.#line('');
    this.#line(`  NetworkPolicy shop/backend, ingress from   ${paint(`- ${before}`, 'red', this.#colour)}`);
    this.#line(`                                             ${paint(`+ ${after}`, 'green', this.#colour)}`);
    this.#line(`  in force after ${milliseconds.toFixed(0)} ms`);
  }

  /** Prints the outcome of a step: `text` if it went as it should, else `otherwise`. */
  step(asItShould: boolean, text: string, otherwise: string): void {
    this.#line(
      asItShould
        ? `  ${paint('✓', 'green', this.#colour)} ${text}`
        : `  ${paint(`✗ ${otherwise}`, 'alarm', this.#colour)}`,
    );
  }

  summary(counters: readonly AgentCounters[]): void {
    this.#heading('Summary');
    const sum = (of: (each: AgentCounters) => number) => counters.reduce((total, each) => total + of(each), 0);
    const denied = sum(({ packets }) =>
      packets.filter(({ verdict }) => verdict === 'deny').reduce((total, { count }) => total + count, 0),
    );
    const judged = sum((each) => each.judged);
    this.#line(
      `${judged} packets judged, ${denied} of them denied; ${sum((each) => each.offloaded)} flows offloaded: the kernel`,
    );
    this.#line(
      `carried them on without asking again. ${sum((each) => each.revoked)} offloaded flows were revoked by the edit.`,
    );
  }

  summaryOnPaper(judged: number): void {
    this.#heading('Summary');
    this.#line(`${judged} packets judged in memory.`);
  }

  verdict(right: number, total: number, asPromised: boolean): void {
    if (!asPromised) this.#line(paint('The open connections did not go as the policies say.', 'alarm', this.#colour));
    const good = right === total && asPromised;
    this.#line(paint(`${right} of ${total} probes as the policies say`, good ? 'bold' : 'red', this.#colour));
  }

  #heading(title: string): void {
    this.#line('');
    this.#line(paint(`${++this.#chapter}. ${title}`, 'bold', this.#colour));
    this.#line('');
  }

  #line(text: string): void {
    this.#out.write(`${text}\n`);
  }
}
