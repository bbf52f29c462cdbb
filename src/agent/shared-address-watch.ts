/**
 * Reports addresses that several pod records claim when no record is the likelier owner: logs each
 * when it appears and when it is resolved, and lists them for /status.
 */
import type { Logger } from 'pino';
import type { SharedAddress } from '../policy/pod-slots.ts';
import type { SharedAddressesView } from '../telemetry/agent-view.ts';

/** Most lines logged at once. */
const MOST_LINES = 20;
/** Most entries of the list. */
const MOST_LISTED = 50;

export class SharedAddressWatch {
  readonly #log: Logger;
  #shared: readonly SharedAddress[] = [];

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Updates the list and logs the differences. */
  see(shared: readonly SharedAddress[]): void {
    const before = new Map(this.#shared.map((each) => [each.address, each.pods.join()]));
    const fresh = shared.filter(({ address, pods }) => before.get(address) !== pods.join());
    for (const { address, pods } of fresh.slice(0, MOST_LINES)) {
      this.#log.warn(
        { address, pods },
        `${address} is shared by ${pods.join(' and ')}: what one of them may not do, none of them may`,
      );
    }
    const more = fresh.length - MOST_LINES;
    if (more > 0) this.#log.warn({ more }, `${more} more addresses that several pods share; /status lists some`);
    const now = new Set(shared.map(({ address }) => address));
    const gone = this.#shared.filter(({ address }) => !now.has(address)).map(({ address }) => address);
    if (gone.length > 0)
      this.#log.info(
        { addresses: gone.slice(0, MOST_LINES), count: gone.length },
        'addresses that several pods shared now belong to one pod, or to none',
      );
    this.#shared = shared;
  }

  view(): SharedAddressesView {
    return { count: this.#shared.length, listed: this.#shared.slice(0, MOST_LISTED) };
  }
}
