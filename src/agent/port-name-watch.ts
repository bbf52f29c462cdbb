/**
 * Reports named ports of policies that no matching pod has: logs each one when it first appears,
 * and lists them for /status.
 */
import type { Logger } from 'pino';
import { unknownNamedPort } from '../lint/named-port.ts';
import type { Pieces } from '../policy/pieces.ts';
import type { UnknownPortName, UnknownPortNames } from '../policy/unknown-port-names.ts';
import type { UnknownPortNamesView } from '../telemetry/agent-view.ts';

/** Most lines that one check logs. */
const MOST_LINES = 20;
/** Most entries of the list. */
const MOST_LISTED = 50;

export class PortNameWatch {
  readonly #names: UnknownPortNames;
  readonly #log: Logger;
  #look: Pieces | undefined;
  /** What the last complete check found. A changed policy has new records and is reported again. */
  #found: readonly UnknownPortName[] = [];
  #told: ReadonlySet<UnknownPortName> = new Set();

  constructor(names: UnknownPortNames, log: Logger) {
    this.#names = names;
    this.#log = log;
  }

  /**
   * Checks what may have changed, for this many milliseconds. Returns whether the check is
   * complete.
   */
  look(milliseconds: number): boolean {
    const end = performance.now() + milliseconds;
    this.#look ??= this.#names.look();
    while (!this.#look.next().done) if (performance.now() > end) return false;
    this.#look = undefined;
    this.#found = [...this.#names.found()];
    this.#tell(this.#found.filter((each) => !this.#told.has(each)));
    this.#told = new Set(this.#found);
    return true;
  }

  view(): UnknownPortNamesView {
    return { count: this.#found.length, listed: this.#found.slice(0, MOST_LISTED).map(inWords) };
  }

  #tell(fresh: readonly UnknownPortName[]): void {
    for (const each of fresh.slice(0, MOST_LINES)) {
      const { message, ...fields } = inWords(each);
      this.#log.warn(fields, message);
    }
    const more = fresh.length - MOST_LINES;
    if (more > 0) this.#log.warn({ more }, `${more} more named ports that no matching pod has; /status lists some`);
  }
}

function inWords(each: UnknownPortName): UnknownPortNamesView['listed'][number] {
  const { policy, direction, rule, port, known } = each;
  return {
    policy: `${policy.namespace}/${policy.name}`,
    field: `spec.${direction}[${rule}].ports[${port}].port`,
    ...unknownNamedPort(each, known, direction),
  };
}
