/**
 * JSON values that share what is equal in them: a list of values in which objects, lists and texts of several lines name their parts by index.
 * The thousands of explanations of a matrix repeat each other almost everywhere.
 *
 *     "shop/web"             itself, as every text of one line, number, boolean and null
 *     [3, 0]                 the list of values 3 and 0
 *     {"from": 0}            the object whose `from` is value 0
 *     {"\n": [4, 5]}         the text whose lines are values 4 and 5
 */
export class InternedValues {
  /** For `JSON.stringify`. */
  readonly values: unknown[] = [];
  readonly #known = new Map<string, number>();

  /** The index of a value; `undefined` in an object is left out. */
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
