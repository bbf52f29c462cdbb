/** When a running agent looks at its node, and what it saw last. */
import type { Logger } from 'pino';
import type { Finding } from '../doctor/finding.ts';
import type { NodeChecks } from './node-checks.ts';

/** Milliseconds between two looks. Each runs nft twice. */
const INTERVAL = 180_000;

export class NodeLooks {
  /** Of the last look; none until there was one. */
  findings: readonly Finding[] = [];
  readonly #facts: () => NodeChecks | undefined;
  readonly #log: Logger;
  readonly #interval: number;
  #lookedAt: number | undefined;

  /**
   * @param facts of the moment; undefined where the agent has stopped
   * @param interval milliseconds between two looks
   */
  constructor(facts: () => NodeChecks | undefined, log: Logger, interval = INTERVAL) {
    this.#facts = facts;
    this.#log = log;
    this.#interval = interval;
  }

  /** Milliseconds since the last look. */
  age(): number | undefined {
    return this.#lookedAt === undefined ? undefined : performance.now() - this.#lookedAt;
  }

  /**
   * Looks now, and from then on now and then: bridges, kube-proxy and other enforcers come and go.
   * What it takes is loaded here, for nothing of it is needed before. What fails is told, and tried
   * again. Throws nothing.
   */
  async start(): Promise<void> {
    try {
      const { lookAtNode } = await import('./node-checks.ts');
      const facts = this.#facts();
      if (facts === undefined) return;
      this.findings = await lookAtNode(facts, this.findings, this.#log);
      this.#lookedAt = performance.now();
    } catch (error) {
      this.#log.warn({ err: error }, 'this node could not be looked at');
    }
    setTimeout(() => void this.start(), this.#interval).unref();
  }
}
