/**
 * Has the kernel drop packets with forged source addresses (rules.ts). The rules need no agent: an
 * agent that stops leaves them, and the next one adopts them without a gap.
 */
import { pid } from 'node:process';
import type { SpoofingStatus } from '../../agent-state/spoofing.ts';
import { isUnsupported, type SteeringError } from '../steering/error.ts';
import { tableInstalled } from '../steering/leftovers.ts';
import type { System } from '../steering/run.ts';
import { checkTransaction } from '../steering/trial.ts';
import { InterfaceCounts } from './interface-counts.ts';
import type { PodRanges } from './pod-ranges.ts';
import { damageOf, type PresentTable, parseTable, renderTransaction, renderTrial, TABLE } from './rules.ts';

export class SpoofingGuard {
  readonly #system: System;
  readonly #counts = new InterfaceCounts();
  /** Undefined while unknown: the ranges of an earlier agent stay. */
  #ranges: PodRanges | undefined;
  #isInstalled = false;
  /** Whether there was no table before. */
  #isFirst = false;
  #unsupported: SteeringError | undefined;

  constructor(system: System, ranges?: PodRanges) {
    this.#system = system;
    this.#ranges = ranges;
  }

  /**
   * Writes the rules, or adopts those that are there. Call it before queues are bound. Returns why
   * this kernel or its tools cannot, and then writes nothing; undefined if they can. Throws
   * SteeringError for any other failure.
   */
  async install(): Promise<SteeringError | undefined> {
    try {
      const present = await this.#read();
      if (damageOf(present, undefined).length > 0)
        await checkTransaction(this.#system, 'forged source addresses cannot be told here', [
          ...renderTrial(`podfence-probe-${pid}`),
        ]);
      this.#isFirst = present === undefined;
      // What an earlier agent counted is not this one's.
      if (present !== undefined) this.#counts.begin(present);
      // If writing fails now, `check` tries again.
      this.#isInstalled = true;
      await this.#write(present);
    } catch (error) {
      if (!isUnsupported(error)) throw error;
      this.#unsupported = error;
    }
    return this.#unsupported;
  }

  /** Removes the rules if `install` made them. Throws SteeringError. */
  async retract(): Promise<void> {
    if (this.#isInstalled && this.#isFirst) await removeSpoofing(this.#system);
    this.#isInstalled = false;
  }

  /**
   * Takes the ranges of addresses that belong to pods and writes what differs. Returns whether they
   * are new. Throws SteeringError; the next `check` tries again.
   */
  async setRanges(ranges: PodRanges): Promise<boolean> {
    const before = this.#ranges;
    this.#ranges = ranges;
    if (!this.#isInstalled || (before !== undefined && isSame(before, ranges))) return false;
    await this.#write(await this.#read());
    return true;
  }

  /**
   * Reads the counts, and restores what other software has changed. Returns what that was. Throws
   * SteeringError.
   */
  async check(): Promise<readonly string[]> {
    if (!this.#isInstalled) return [];
    const present = await this.#read();
    this.#counts.take(present);
    const damage = damageOf(present, this.#ranges);
    if (damage.length === 0) return damage;
    await this.#write(present);
    // What was replaced counts from 0 again.
    const restored = await this.#read();
    if (restored !== undefined) this.#counts.begin(restored);
    return damage;
  }

  /** What is known without asking the kernel. */
  status(): SpoofingStatus {
    const ranges = this.#ranges;
    return {
      state: this.#unsupported === undefined ? 'drop' : 'unsupported',
      ...(ranges !== undefined && { podRanges: ranges.ipv4.length + ranges.ipv6.length }),
      dropped: this.#counts.byInterface,
      ...(this.#unsupported !== undefined && { problem: this.#unsupported.message }),
    };
  }

  async #write(present: PresentTable | undefined): Promise<void> {
    const transaction = renderTransaction(present, this.#ranges);
    if (transaction !== '') await this.#system.run('nft', ['-f', '-'], transaction);
  }

  async #read(): Promise<PresentTable | undefined> {
    if (!(await tableInstalled(this.#system, TABLE))) return undefined;
    return parseTable(await this.#system.run('nft', ['-j', 'list', 'table', 'inet', TABLE]));
  }
}

/** Removes the rules, of whichever agent. Throws SteeringError. */
export async function removeSpoofing(system: System): Promise<void> {
  // Only if it exists: deleting a base chain drops the packets in all queues of the namespace
  // (nf_queue_nf_hook_drop).
  if (await tableInstalled(system, TABLE)) await system.run('nft', ['-f', '-'], `delete table inet ${TABLE}\n`);
}

function isSame(a: PodRanges, b: PodRanges): boolean {
  return a.ipv4.join() === b.ipv4.join() && a.ipv6.join() === b.ipv6.join();
}
