/**
 * One object for equal ones. The pods of a workload have the same labels and ports; kept once for all of them, they take no memory to
 * speak of, and comparing them costs nothing.
 */

/** So many different values are remembered; then it begins anew. Records keep what they have. */
const MAX_VALUES = 10_000;

export class SharedValues {
  readonly #values = new Map<string, object>();

  /** The value, or an equal one that came before. It must be plain JSON, and nobody may change it. */
  share<T extends object>(value: T): T {
    const key = JSON.stringify(value);
    const known = this.#values.get(key);
    // Equal texts are of equal values.
    if (known !== undefined) return known as T;
    if (this.#values.size >= MAX_VALUES) this.#values.clear();
    this.#values.set(key, value);
    return value;
  }
}
