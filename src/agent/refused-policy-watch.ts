/**
 * Reports policies that exceed their budget of the rule table: logs each when it is refused and
 * when it no longer is, and lists them for /status.
 */
import type { Logger } from 'pino';
import type { RefusedPolicy } from '../policy/policy-budget.ts';
import type { RefusedPoliciesView } from '../telemetry/agent-view.ts';

/** Most lines logged at once. */
const MOST_LINES = 20;
/** Most entries of the list. */
const MOST_LISTED = 50;

export class RefusedPolicyWatch {
  readonly #log: Logger;
  #refused: readonly RefusedPolicy[] = [];

  constructor(log: Logger) {
    this.#log = log;
  }

  /** All refused policies, as of the last change that came into force. */
  get refused(): readonly RefusedPolicy[] {
    return this.#refused;
  }

  /** Updates the list and logs the differences. */
  see(refused: readonly RefusedPolicy[]): void {
    const before = new Set(this.#refused.map(({ policy }) => policy));
    const fresh = refused.filter(({ policy }) => !before.has(policy));
    for (const { policy, reason, refuses } of fresh.slice(0, MOST_LINES)) {
      const effect = refuses === 'all' ? 'isolates its pods and allows nothing' : 'is in force in part';
      this.#log.error({ policy }, `policy ${policy} ${effect}: ${reason}`);
    }
    const more = fresh.length - MOST_LINES;
    if (more > 0)
      this.#log.error({ more }, `${more} more policies ask for too much of the rule table; /status lists some`);
    const now = new Set(refused.map(({ policy }) => policy));
    const again = [...before].filter((policy) => !now.has(policy));
    if (again.length > 0)
      this.#log.info(
        { policies: again.slice(0, MOST_LINES), count: again.length },
        'policies that asked for too much of the rule table are now in force as written, or deleted',
      );
    this.#refused = refused;
  }

  view(): RefusedPoliciesView {
    return { count: this.#refused.length, listed: this.#refused.slice(0, MOST_LISTED) };
  }
}
