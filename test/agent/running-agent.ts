/**
 * The real `podfence agent`, as a process in its node's network namespace: its log, what it serves,
 * and how it ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { LabHost } from '../../src/lab/lab.ts';
import type { Status } from '../../src/telemetry/status.ts';
import { endWithTest, refuseAfterTest } from '../own.ts';
import { patience } from '../patience.ts';
import { type Family, parseExposition } from '../telemetry/exposition.ts';
import { type Answer, getIn } from './http-in-netns.ts';

export const CLI = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));
const METRICS = { address: '127.0.0.1', port: 9464 };
/** How long anything that must happen may take, in ms. */
const PATIENCE = patience(25_000);

export interface LogLine {
  /** The level's name. */
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export class RunningAgent {
  /** The lines of its log so far. */
  readonly log: LogLine[] = [];
  /** Its output to standard error that is not a line of the log. */
  readonly words: string[] = [];
  readonly #host: LabHost;
  readonly #child: ChildProcess;
  readonly #ended: Promise<readonly [number | null, NodeJS.Signals | null]>;
  readonly #watchers = new Set<() => void>();

  /**
   * Starts the agent in the namespace of `host`, with the log level debug, serving at
   * 127.0.0.1:9464.
   * @param cli the command line to run; @default that of the sources
   * @param stderr a file descriptor instead of the pipe from which the log is read; there is then
   * no log to wait for
   */
  constructor(
    host: LabHost,
    flags: readonly string[],
    environment: Readonly<Record<string, string>> = {},
    stderr: number | 'pipe' = 'pipe',
    cli = CLI,
  ) {
    refuseAfterTest();
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
    endWithTest(() => this.end());
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

  /** Resolves with the first line of the log for which `holds`, from line `from` on. */
  async logged(what: string, holds: (line: LogLine) => boolean, from = 0): Promise<LogLine> {
    await this.#until(`the log to say ${what}`, () => this.log.slice(from).some(holds));
    return this.log.slice(from).find(holds) as LogLine;
  }

  /** Resolves when the agent serves. */
  async serves(): Promise<void> {
    await this.logged('that it serves', ({ msg }) => msg === 'serving');
  }

  /** Resolves when /readyz reports ready. */
  async ready(): Promise<this> {
    if (this.#child.stderr !== null)
      await this.logged('that it enforces or audits', ({ msg }) => /^(enforcing|auditing)/.test(msg));
    for (;;) {
      const answer = await this.get('/readyz').catch(() => undefined);
      if (answer?.status === 200) return this;
      if (!this.isRunning) throw new Error(`the agent has ended; its last words: ${this.#lastWords()}`);
      // Without a pause in between: a refused connection fails at once.
      await setImmediate();
    }
  }

  /**
   * Changes the cluster by `change`, which returns how many objects it changed. Resolves when that
   * many changes are in force.
   */
  async inForce(change: () => Promise<number>): Promise<void> {
    const from = this.log.length;
    const changes = await change();
    const inForce = () => this.log.slice(from).reduce((sum, line) => sum + changesOf(line), 0);
    await this.#until(`${changes} changes in force`, () => inForce() >= changes);
  }

  /** How many records changed with each change that came into force, including the first. */
  get changesInForce(): readonly number[] {
    return this.log.filter(({ msg }) => msg === 'in force').map(changesOf);
  }

  get(path: string): Promise<Answer> {
    return getIn(this.#host, METRICS, path);
  }

  async status(): Promise<Status> {
    return JSON.parse((await this.get('/status')).body) as Status;
  }

  /** Polls /status until `holds`. */
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

  /** Sends SIGTERM; resolves with the exit code. */
  async terminate(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    return await this.exitCode();
  }

  async exitCode(): Promise<number | null> {
    await this.#until('its end', () => !this.isRunning);
    const [code] = await this.#ended;
    return code;
  }

  /** Makes sure that the agent no longer runs. */
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

  /** Checks with every line of the log, and at the agent's end. */
  async #until(what: string, holds: () => boolean): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const fail = (why: string) =>
      reject(new Error(`${why}, waiting for ${what}; its last words: ${this.#lastWords()}`));
    const check = () => {
      if (holds()) resolve();
      else if (!this.isRunning) fail('the agent has ended');
    };
    const timer = setTimeout(() => fail('timed out'), PATIENCE);
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

/** An answer of /metrics. */
export class AgentMetrics {
  readonly families: ReadonlyMap<string, Family>;

  constructor(text: string) {
    this.families = parseExposition(text);
  }

  /**
   * Returns the sum over a family's series with these labels. `name` may be a histogram's
   * `family_count`, `family_sum` or `family_bucket`.
   */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    const family = this.families.get(name) ?? this.families.get(name.replace(/_(count|sum|bucket)$/, ''));
    if (family === undefined) throw new Error(`there is no metric ${name}`);
    return family.series
      .filter((series) => series.name === name)
      .filter((series) => Object.entries(labels).every(([label, value]) => series.labels[label] === value))
      .reduce((sum, { value }) => sum + value, 0);
  }
}
