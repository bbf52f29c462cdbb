/** The files and lines of policies and their rules. */
import type { Path } from '../cluster/field.ts';
import { type Direction, type PolicyRecord, recordKey } from '../cluster/records.ts';
import type { PolicyPlace, RulePlace } from './explanation.ts';

/** Returns file and line of a field of a policy (`namespace/name`), if it came from a file. */
export type Locate = (policy: string, field: Path) => { readonly file: string; readonly line: number } | undefined;

export class PolicyPlaces {
  readonly #locate: Locate;

  constructor(locate: Locate = () => undefined) {
    this.#locate = locate;
  }

  ofPolicy(policy: PolicyRecord): PolicyPlace {
    return this.#at(policy, []);
  }

  /** @param rule index in `policy[direction]` */
  ofRule(policy: PolicyRecord, direction: Direction, rule: number): RulePlace {
    const place = this.#at(policy, ['spec', direction, rule]);
    return { ...place, rule: rule + 1, field: `spec.${direction}[${rule}]` };
  }

  #at(record: PolicyRecord, field: Path): PolicyPlace {
    const policy = recordKey(record);
    const place = this.#locate(policy, field);
    return place === undefined ? { policy } : { policy, file: place.file, line: place.line };
  }
}
