/**
 * Reads API objects that others wrote. A Field is a value together with its place in the object, so
 * that code that finds it wrong can say which field, what is wrong, and what was probably meant.
 */
import { certainlyMeant, didYouMean } from './nearest.ts';

/** Map keys and list indexes from the object's root: `['spec', 'ingress', 0]`. */
export type Path = readonly (string | number)[];

export interface Problem {
  readonly path: Path;
  /** What is wrong, without a full stop: `99999 is not a port; ports are 1 to 65535`. */
  readonly message: string;
  /** What was probably meant, a sentence of its own: `Did you mean 9999?`. */
  readonly hint?: string;
  /**
   * Set if this is not a Kubernetes object at all, as in a file that was not meant as a manifest.
   */
  readonly isNoObject?: true;
  /** The field's name, if the API knows no such field in this place. */
  readonly unknownField?: string;
  /** The edit that turns it into what was meant, if there is no doubt about that. */
  readonly correction?: Correction;
  /** Set if the object is usable all the same, apart from this. */
  readonly isWarning?: true;
}

/** How to correct the field that has the problem. */
export type Correction =
  /** Rename it. */
  | { readonly renameTo: string }
  /** Replace it with a scalar. */
  | { readonly value: string | number | boolean }
  /** Quote it, so that its value becomes the text that is written there. */
  | { readonly quote: true }
  /** Make it the only element of a list. */
  | { readonly wrap: true }
  /** Move it into the field of this name beside it, which is empty. */
  | { readonly nestIn: string }
  /** Move it one level out, beside the map that contains it. */
  | { readonly moveOut: true };

/** What a wrong name was meant to be, and the correction if that is certain. */
export interface Meant {
  readonly hint: string;
  readonly correction?: Correction;
}

/** What a raw object became. There is no record if the object cannot even be named. */
export interface Projection<T> {
  readonly record: T | undefined;
  readonly problems: readonly Problem[];
}

export class Field {
  readonly value: unknown;
  readonly path: Path;
  readonly #problems: Problem[];

  /** @param problems receives the problems of this field and of all fields reached from it */
  constructor(value: unknown, problems: Problem[], path: Path = []) {
    this.value = value;
    this.path = path;
    this.#problems = problems;
  }

  /** The API treats null as absent. */
  get isAbsent(): boolean {
    return this.value === undefined || this.value === null;
  }

  /** Whether no problem was found so far in this field or below it. */
  get isClean(): boolean {
    return !this.#problems.some((problem) => this.path.every((step, depth) => problem.path[depth] === step));
  }

  problem(message: string, hint?: string, more: Pick<Problem, 'unknownField' | 'correction' | 'isWarning'> = {}): void {
    const problem = { path: this.path, message, ...more };
    this.#problems.push(hint === undefined ? problem : { ...problem, hint });
  }

  /** Returns the field `key` of this map: an absent one if this is not a map or has no such key. */
  child(key: string): Field {
    const value = isMap(this.value) && Object.hasOwn(this.value, key) ? this.value[key] : undefined;
    return new Field(value, this.#problems, [...this.path, key]);
  }

  /** Returns the keys of this map; none if it is absent. Anything but a map is a problem. */
  keys(): readonly string[] {
    if (this.isAbsent) return [];
    if (isMap(this.value)) return Object.keys(this.value);
    this.problem(
      `expected a map, found ${describe(this.value)}`,
      Array.isArray(this.value) ? 'Remove the `- ` in front of it.' : undefined,
    );
    return [];
  }

  /** Returns the elements of this list; none if it is absent. Anything but a list is a problem. */
  list(): readonly Field[] {
    if (this.isAbsent) return [];
    if (Array.isArray(this.value)) {
      return this.value.map((element, index) => new Field(element, this.#problems, [...this.path, index]));
    }
    this.problem(
      `expected a list, found ${describe(this.value)}`,
      'Put `- ` in front of each element.',
      isMap(this.value) ? {} : { correction: { wrap: true } },
    );
    return [];
  }

  /** Returns the text; undefined if it is absent. Anything but a text is a problem. */
  text(): string | undefined {
    if (this.isAbsent) return undefined;
    if (typeof this.value === 'string') return this.value;
    this.problem(
      `expected a text, found ${describe(this.value)}`,
      isScalar(this.value) ? 'Write it in quotes.' : undefined,
      isScalar(this.value) ? { correction: { quote: true } } : {},
    );
    return undefined;
  }

  /** Returns the boolean; false if it is absent. Anything else is a problem and counts as false. */
  flag(): boolean {
    if (this.isAbsent || typeof this.value === 'boolean') return this.value === true;
    const quoted = typeof this.value === 'string' && /^(true|false)$/.test(this.value);
    this.problem(
      `expected true or false, found ${describe(this.value)}`,
      quoted ? `Did you mean ${this.value}, without quotes?` : undefined,
      quoted ? { correction: { value: this.value === 'true' } } : {},
    );
    return false;
  }

  /** Returns an integer of at least `least`; undefined if absent. Anything else is a problem. */
  integer(least: number): number | undefined {
    if (this.isAbsent) return undefined;
    if (Number.isSafeInteger(this.value) && (this.value as number) >= least) return this.value as number;
    const quoted = typeof this.value === 'string' && /^\d+$/.test(this.value);
    this.problem(
      `expected a whole number of at least ${least}, found ${describe(this.value)}`,
      quoted ? `Did you mean ${this.value}, without quotes?` : undefined,
      quoted ? { correction: { value: Number(this.value) } } : {},
    );
    return undefined;
  }

  /**
   * Whether this is absent, or a map with fields of `known` only. Any other field is a problem: the
   * API's strict validation refuses it, and its meaning would be lost.
   * @param meant hints for wrong names that are not similar to the right ones
   */
  hasOnly(known: readonly string[], meant: Readonly<Record<string, string | Meant>> = {}): boolean {
    const unknown = this.keys().filter((key) => !known.includes(key));
    for (const key of unknown) {
      const explained = Object.hasOwn(meant, key) ? meant[key] : undefined;
      const { hint, correction } =
        typeof explained === 'object'
          ? explained
          : {
              hint: explained ?? didYouMean(key, known),
              correction: explained ? undefined : this.#renaming(key, known),
            };
      this.child(key).unknownField(hint ?? `Known here: ${known.join(', ')}.`, correction);
    }
    return unknown.length === 0 && (this.isAbsent || isMap(this.value));
  }

  /** Reports that the API does not know this field. */
  unknownField(hint: string, correction?: Correction): void {
    const key = String(this.path.at(-1));
    const more = { unknownField: key };
    this.problem(`unknown field ${show(key)}`, hint, correction === undefined ? more : { ...more, correction });
  }

  /**
   * Returns no correction if the field of the right name exists, too: one of the two would be lost.
   */
  #renaming(key: string, known: readonly string[]): Correction | undefined {
    const renameTo = certainlyMeant(key, known);
    return renameTo === undefined || !this.child(renameTo).isAbsent || Object.hasOwn(this.value as object, renameTo)
      ? undefined
      : { renameTo };
  }
}

export function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isScalar(value: unknown): boolean {
  return typeof value === 'number' || typeof value === 'boolean';
}

/** Formats a value for a message: texts in quotes, shortened, without control characters. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  return String(value);
}

/** Formats a value's type and content for a message: `a list`, `the number 80`, `the text "x"`. */
export function describe(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a map';
  return `the ${typeof value === 'string' ? 'text' : typeof value} ${show(value)}`;
}

/**
 * Formats a path as people write it: `spec.ingress[0].ports[0].port`,
 * `metadata.labels["app.kubernetes.io/name"]`.
 */
export function formatPath(path: Path): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (/^[A-Za-z0-9_-]+$/.test(step)) text += text === '' ? step : `.${step}`;
    else text += `[${show(step)}]`;
  }
  return text;
}

/**
 * Returns what `read` makes of each text, once each. Reports texts of which it makes nothing.
 * @param what `an IP address`
 */
export function readEach(
  fields: readonly Field[],
  what: string,
  read: (text: string) => string | undefined,
): readonly string[] {
  const found = new Set<string>();
  for (const field of fields) {
    const text = field.text();
    if (text === undefined || text === '') continue;
    const canonical = read(text);
    if (canonical === undefined) field.problem(`${show(text)} is not ${what}`);
    else found.add(canonical);
  }
  return [...found];
}
