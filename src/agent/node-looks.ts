/** Schedules a running agent's checks of its node and keeps the latest findings. */
import type { Logger } from 'pino';
import type { Finding } from '../doctor/finding.ts';
import type { NodeChecks } from './node-checks.ts';

/** Milliseconds between two checks. Each runs nft twice. */
const INTERVAL = 180_000;

export class NodeLooks {
  /** Findings of the last check; empty before the first. */
  findings: readonly Finding[] = [];
  readonly #facts: () => NodeChecks | undefined;
  readonly #log: Logger;
  readonly #interval: number;
  #lookedAt: number | undefined;

  /**
   * @param facts returns the current facts; undefined once the agent has stopped
   * @param interval milliseconds between two checks
   */
  constructor(facts: () => NodeChecks | undefined, log: Logger, interval = INTERVAL) {
    this.#facts = facts;
    this.#log = log;
    this.#interval = interval;
  }

  /** Milliseconds since the last check; undefined before the first. */
  age(): number | undefined {
    return this.#lookedAt === undefined ? undefined : performance.now() - this.#lookedAt;
  }

  /**
   * Checks now and then periodically, because bridges, kube-proxy and other enforcers come and go.
   * Loads the checks here: the agent needs none of their code earlier. A failure is logged, and the
   * next check comes as usual. Throws nothing.
   */
  async start(): Promise<void> {
    try {
      const { lookAtNode } = await import('./node-checks.ts');
      const facts = this.#facts();
      if (facts === undefined) return;
      this.findings = await lookAtNode(facts, this.findings, this.#log);
      this.#lookedAt = performance.now();
    } catch (error) {
      this.#log.warn({ err: error }, 'this node could not be checked');
    }
    setTimeout(() => void this.start(), this.#interval).unref();
  }
}
