/**
 * Keeps pods from sending with addresses of others: has the kernel drop such packets, checks the
 * rules, and takes the nodes' ranges as they change. A failure here is told and changes nothing for
 * the policies.
 */
import type { Logger } from 'pino';
import type { SpoofingStatus } from '../agent-state/spoofing.ts';
import type { NodeRecord, PolicyMode } from '../cluster/records.ts';
import { type PodRanges, podRanges } from '../dataplane/spoofing/pod-ranges.ts';
import { removeSpoofing, SpoofingGuard } from '../dataplane/spoofing/spoofing-guard.ts';
import { system } from '../dataplane/steering/run.ts';
import { type Sequence, SequenceEnded } from '../sys/sequence.ts';

export interface ForgedSourcesOptions {
  /** Audit mode drops nothing. */
  readonly mode: PolicyMode;
  readonly spoofing: 'drop' | 'allow';
  /** Everything that changes the kernel's rules runs in it. */
  readonly sequence: Sequence;
  readonly log: Logger;
}

const NONE: ReadonlyMap<string, number> = new Map();

export class ForgedSources {
  readonly #options: ForgedSourcesOptions;
  readonly #state: 'drop' | 'allow' | 'audit';
  #ranges: PodRanges | undefined;
  #guard: SpoofingGuard | undefined;
  #problem: string | undefined;

  constructor(options: ForgedSourcesOptions) {
    this.#options = options;
    this.#state = options.mode === 'audit' ? 'audit' : options.spoofing;
  }

  /**
   * Writes the rules, or adopts those of an earlier agent; removes them if nothing is to be
   * dropped. Call it in the sequence, before queues are bound.
   */
  async start(): Promise<void> {
    const { log } = this.#options;
    try {
      if (this.#state !== 'drop') return await removeSpoofing(system());
      this.#guard = new SpoofingGuard(system(), this.#ranges);
      const reason = await this.#guard.install();
      if (reason !== undefined) log.warn({ reason: reason.message }, 'packets with forged source addresses pass');
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Removes what `start` wrote, because the agent did not start. */
  async retract(): Promise<void> {
    await this.#guard?.retract().catch((error) => this.#failed(error));
  }

  /** Removes the rules. Throws SteeringError. */
  async remove(): Promise<void> {
    this.#guard = undefined;
    await removeSpoofing(system());
  }

  /** Takes the cluster's nodes. May be called before `start`. */
  takeNodes(nodes: readonly NodeRecord[]): void {
    const ranges = podRanges(nodes.flatMap((node) => node.podRanges));
    this.#ranges = ranges;
    const { sequence, log } = this.#options;
    sequence
      .run(async () => {
        if (await this.#guard?.setRanges(ranges)) log.info(ranges, 'addresses of pods are in these ranges');
      })
      .catch((error) => {
        if (!(error instanceof SequenceEnded)) this.#failed(error);
      });
  }

  /** Reads the counts and restores what other software has changed. Call it in the sequence. */
  async check(): Promise<void> {
    const { log } = this.#options;
    try {
      const changed = (await this.#guard?.check()) ?? [];
      this.#problem = undefined;
      if (changed.length === 0) return;
      log.warn(
        { changed },
        'other software changed the kernel rules against forged source addresses; podfence restored them',
      );
    } catch (error) {
      this.#failed(error);
    }
  }

  status(): SpoofingStatus {
    return {
      ...(this.#guard?.status() ?? { state: this.#state, dropped: NONE }),
      ...(this.#problem !== undefined && { problem: this.#problem }),
    };
  }

  #failed(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    if (this.#problem !== message)
      this.#options.log.error({ err: error }, 'the kernel rules against forged source addresses are not all in place');
    this.#problem = message;
  }
}
