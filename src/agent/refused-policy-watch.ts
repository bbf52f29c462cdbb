/** Policies that ask for more of the table than they may have: a line in the log when one is refused and when it is not any more, and a list for whoever asks. */
import type { Logger } from 'pino';
import type { RefusedPolicy } from '../policy/policy-budget.ts';
import type { RefusedPoliciesView } from '../telemetry/agent-view.ts';

/** Lines at once. */
const MOST_LINES = 20;
/** Of the list. */
const MOST_LISTED = 50;

export class RefusedPolicyWatch {
  readonly #log: Logger;
  #refused: readonly RefusedPolicy[] = [];

  constructor(log: Logger) {
    this.#log = log;
  }

  /** All that are refused, as of the last change that came into force. */
  get refused(): readonly RefusedPolicy[] {
    return this.#refused;
  }

  /** Takes note of what is refused now. */
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
        'policies that asked for too much of the rule table are in force as they are written, or gone',
      );
    this.#refused = refused;
  }

  view(): RefusedPoliciesView {
    return { count: this.#refused.length, listed: this.#refused.slice(0, MOST_LISTED) };
  }
}
