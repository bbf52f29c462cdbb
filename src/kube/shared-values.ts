/**
 * One object for equal values. The pods of a workload have the same labels and ports; sharing them
 * saves nearly all of their memory and makes comparing them free.
 */

/** At this many different values the map starts over. Records keep the objects that they have. */
const MAX_VALUES = 10_000;

export class SharedValues {
  readonly #values = new Map<string, object>();

  /** Returns the value, or an earlier equal one. It must be plain JSON and must never change. */
  share<T extends object>(value: T): T {
    const key = JSON.stringify(value);
    const known = this.#values.get(key);
    // Equal JSON means equal values.
    if (known !== undefined) return known as T;
    if (this.#values.size >= MAX_VALUES) this.#values.clear();
    this.#values.set(key, value);
    return value;
  }
}
