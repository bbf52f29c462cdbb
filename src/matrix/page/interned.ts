/**
 * JSON values that share equal parts. In a list of values, objects, lists and texts of several
 * lines refer to their parts by index. The thousands of explanations of a matrix are nearly all
 * alike.
 *
 *     "shop/web"             itself, like every text of one line, number, boolean and null
 *     [3, 0]                 the list of values 3 and 0
 *     {"from": 0}            the object whose `from` is value 0
 *     {"\n": [4, 5]}         the text whose lines are values 4 and 5
 */
export class InternedValues {
  /** The list of values, for `JSON.stringify`. */
  readonly values: unknown[] = [];
  readonly #known = new Map<string, number>();

  /** Adds a value and returns its index. Drops `undefined` fields of objects. */
  add(value: unknown): number {
    if (typeof value === 'string' && value.includes('\n'))
      return this.#intern({ '\n': value.split('\n').map((line) => this.add(line)) });
    if (typeof value !== 'object' || value === null) return this.#intern(value);
    if (Array.isArray(value)) return this.#intern(value.map((each) => this.add(each)));
    const fields = Object.entries(value).filter(([, each]) => each !== undefined);
    return this.#intern(Object.fromEntries(fields.map(([key, each]) => [key, this.add(each)])));
  }

  #intern(value: unknown): number {
    const key = JSON.stringify(value);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    this.#known.set(key, this.values.length);
    return this.values.push(value) - 1;
  }
}
