/** Named ports of policies that no pod in question has: a line in the log for each when it is seen first, and a list for whoever asks. */
import type { Logger } from 'pino';
import { unknownNamedPort } from '../lint/named-port.ts';
import type { Pieces } from '../policy/pieces.ts';
import type { UnknownPortName, UnknownPortNames } from '../policy/unknown-port-names.ts';
import type { UnknownPortNamesView } from '../telemetry/agent-view.ts';

/** Lines of one look. */
const MOST_LINES = 20;
/** Of the list. */
const MOST_LISTED = 50;

export class PortNameWatch {
  readonly #names: UnknownPortNames;
  readonly #log: Logger;
  #look: Pieces | undefined;
  /** What the last complete look has found. A policy that is changed has other records, and is told of again. */
  #found: readonly UnknownPortName[] = [];
  #told: ReadonlySet<UnknownPortName> = new Set();

  constructor(names: UnknownPortNames, log: Logger) {
    this.#names = names;
    this.#log = log;
  }

  /** Looks on for so long at what may have changed; gives back whether there is nothing left to look at. */
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
    if (more > 0) this.#log.warn({ more }, `${more} more named ports that no pod in question has; /status lists some`);
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
