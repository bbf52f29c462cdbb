/** The real `podfence agent`, as a process in the network namespace of its node: its log, what it serves, and how it ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { LabHost } from '../../src/lab/lab.ts';
import type { Status } from '../../src/telemetry/status.ts';
import { endWithTest } from '../own.ts';
import { patience } from '../patience.ts';
import { type Family, parseExposition } from '../telemetry/exposition.ts';
import { type Answer, getIn } from './http-in-netns.ts';

export const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));
const METRICS = { address: '127.0.0.1', port: 9464 };
/** How long anything may take that must happen, in ms. */
const PATIENCE = patience(25_000);

export interface LogLine {
  /** As a word. */
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export class RunningAgent {
  /** Lines of its log so far. */
  readonly log: LogLine[] = [];
  /** What it wrote to standard error that is no line of the log. */
  readonly words: string[] = [];
  readonly #host: LabHost;
  readonly #child: ChildProcess;
  readonly #ended: Promise<readonly [number | null, NodeJS.Signals | null]>;
  readonly #watchers = new Set<() => void>();

  /**
   * Starts it in the namespace of `host`, so that it logs all and serves at 127.0.0.1:9464.
   * @param cli the command line that is run; @default the sources'
   * @param stderr a file descriptor instead of the pipe that the log is read from: there is no log to wait for then
   */
  constructor(
    host: LabHost,
    flags: readonly string[],
    environment: Readonly<Record<string, string>> = {},
    stderr: number | 'pipe' = 'pipe',
    cli = CLI,
  ) {
    endWithTest(() => this.end());
    this.#host = host;
    const common = ['--log-level', 'debug', '--metrics-address', `${METRICS.address}:${METRICS.port}`];
    const others = Object.entries(process.env).filter(([name]) => !name.startsWith('PODFENCE_'));
    const env = { ...Object.fromEntries(others), ...environment };
    this.#child = host.netns.run(() =>
      spawn('setpriv', ['--pdeathsig', 'KILL', process.execPath, cli, 'agent', ...common, ...flags], {
        stdio: ['ignore', 'ignore', stderr],
        env,
      }),
    );
    this.#ended = once(this.#child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
    void this.#ended.then(() => this.#changed());
    const { stderr: log } = this.#child;
    if (log !== null) createInterface({ input: log }).on('line', (line) => this.#read(line));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resolves with the first line of the log, from number `from` on, for which `holds`. */
  async logged(what: string, holds: (line: LogLine) => boolean, from = 0): Promise<LogLine> {
    await this.#until(`the log to say ${what}`, () => this.log.slice(from).some(holds));
    return this.log.slice(from).find(holds) as LogLine;
  }

  /** Resolves when it serves. */
  async serves(): Promise<void> {
    await this.logged('that it serves', ({ msg }) => msg === 'serving');
  }

  /** Resolves when /readyz says so. */
  async ready(): Promise<this> {
    if (this.#child.stderr !== null)
      await this.logged('that it enforces or audits', ({ msg }) => /^(enforcing|auditing)/.test(msg));
    for (;;) {
      const answer = await this.get('/readyz').catch(() => undefined);
      if (answer?.status === 200) return this;
      if (!this.isRunning) throw new Error(`the agent has ended; its last words: ${this.#lastWords()}`);
      // A connection is refused at once.
      await setImmediate();
    }
  }

  /** Changes the cluster by `change`, which tells how many objects it changed, and resolves when as many are in force. */
  async inForce(change: () => Promise<number>): Promise<void> {
    const from = this.log.length;
    const changes = await change();
    const inForce = () => this.log.slice(from).reduce((sum, line) => sum + changesOf(line), 0);
    await this.#until(`${changes} changes in force`, () => inForce() >= changes);
  }

  /** How many records changed with each change that came into force, the first included. */
  get changesInForce(): readonly number[] {
    return this.log.filter(({ msg }) => msg === 'in force').map(changesOf);
  }

  get(path: string): Promise<Answer> {
    return getIn(this.#host, METRICS, path);
  }

  async status(): Promise<Status> {
    return JSON.parse((await this.get('/status')).body) as Status;
  }

  /** Asks for /status until it shows what must come. */
  async shows(what: string, holds: (status: Status) => boolean): Promise<Status> {
    const deadline = performance.now() + PATIENCE;
    for (;;) {
      const status = await this.status();
      if (holds(status)) return status;
      if (performance.now() > deadline) throw new Error(`/status never showed ${what}: ${JSON.stringify(status)}`);
    }
  }

  async metrics(): Promise<AgentMetrics> {
    return new AgentMetrics((await this.get('/metrics')).body);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  /** SIGTERM; gives back the exit code. */
  async terminate(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    return await this.exitCode();
  }

  async exitCode(): Promise<number | null> {
    await this.#until('its end', () => !this.isRunning);
    const [code] = await this.#ended;
    return code;
  }

  /** However it is, it runs no more. */
  async end(): Promise<void> {
    if (this.isRunning) await this.kill();
  }

  #read(line: string): void {
    try {
      this.log.push(JSON.parse(line) as LogLine);
    } catch {
      this.words.push(line);
    }
    this.#changed();
  }

  #changed(): void {
    for (const watcher of this.#watchers) watcher();
  }

  /** Checked with every line of the log, and at its end. */
  async #until(what: string, holds: () => boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const fail = (why: string) =>
      reject(new Error(`${why}, waiting for ${what}; its last words: ${this.#lastWords()}`));
    const check = () => {
      if (holds()) resolve();
      else if (!this.isRunning) fail('the agent has ended');
    };
    const timer = setTimeout(() => fail('out of patience'), PATIENCE);
    this.#watchers.add(check);
    check();
    await promise.finally(() => {
      clearTimeout(timer);
      this.#watchers.delete(check);
    });
  }

  #lastWords(): string {
    return [...this.words, ...this.log.slice(-10).map((line) => JSON.stringify(line))].join('\n');
  }
}

function changesOf({ msg, changes }: LogLine): number {
  return msg === 'in force' ? Number(changes) : 0;
}

/** One answer of /metrics. */
export class AgentMetrics {
  readonly families: ReadonlyMap<string, Family>;

  constructor(text: string) {
    this.families = parseExposition(text);
  }

  /** The sum of a family's series that have these labels. `name` may be `family_count`, `family_sum` or `family_bucket` of a histogram. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const family = this.families.get(name) ?? this.families.get(name.replace(/_(count|sum|bucket)$/, ''));
    if (family === undefined) throw new Error(`there is no metric ${name}`);
    return family.series
      .filter((series) => series.name === name)
      .filter((series) => Object.entries(labels).every(([label, value]) => series.labels[label] === value))
      .reduce((sum, { value }) => sum + value, 0);
  }
}
