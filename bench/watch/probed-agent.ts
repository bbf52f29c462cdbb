/** The real agent with stall-probe.ts in its process. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type AgentWorld, NODE } from '../../test/agent/agent-world.ts';
import { RunningAgent } from '../../test/agent/running-agent.ts';
import { translate } from '../harness/built.ts';
import type { Stall } from './stall-probe.ts';

const PROBE = [new URL('./stall-probe.ts', import.meta.url), new URL('../harness/cpu-time.ts', import.meta.url)];
/** Interval at which files and readiness are polled, in ms. */
const LOOK = 20;
/** How long listing a cluster may take, in ms. */
const PATIENCE = 300_000;

export class ProbedAgent implements AsyncDisposable {
  readonly agent: RunningAgent;
  readonly #file: string;
  readonly #signal: AbortSignal;

  /** Starts the agent, which is not ready yet. */
  constructor(world: AgentWorld, cli: string, signal: AbortSignal) {
    this.#file = join(world.folder, 'stalls.json');
    this.#signal = signal;
    const flags = ['--kubeconfig', world.kubeConfig, '--node-name', NODE];
    const probe = translate(PROBE, world.folder);
    const environment = { NODE_OPTIONS: `--import=${probe.href}`, BENCH_STALLS_FILE: this.#file };
    this.agent = new RunningAgent(world.node, flags, environment, 'pipe', cli);
  }

  async ready(): Promise<void> {
    await this.agent.serves();
    let answer = await this.agent.get('/readyz');
    await this.#until('it is ready', async () => {
      answer = await this.agent.get('/readyz');
      return answer.status === 200;
    });
  }

  /** Returns when the agent logged the `count`th line with this message, in ms since the epoch. */
  async logged(message: string, count = 1): Promise<number> {
    const lines = () => this.agent.log.filter(({ msg }) => msg === message);
    await this.#until(`it logs "${message}"`, () => lines().length >= count);
    return Number(lines()[count - 1]?.time);
  }

  /** Returns the stalls since the last call. */
  async takeStalls(): Promise<readonly Stall[]> {
    process.kill(this.agent.pid, 'SIGUSR2');
    await this.#until('it writes its stalls', () => existsSync(this.#file));
    const stalls = JSON.parse(readFileSync(this.#file, 'utf8')) as Stall[];
    rmSync(this.#file);
    return stalls;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent.end();
  }

  async #until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + PATIENCE;
    while (!(await holds())) {
      this.#signal.throwIfAborted();
      if (!this.agent.isRunning) throw new Error(`the agent has ended: ${this.agent.words.join('\n')}`);
      if (performance.now() > deadline) throw new Error(`timed out waiting until ${what}`);
      await delay(LOOK);
    }
  }
}
