/**
 * Reads the part of PromQL that our alerts and dashboard use, strictly: what it does not know is an error. It gives back what an expression
 * asks for, so that tests can hold that against what the agent serves. See
 * https://prometheus.io/docs/prometheus/latest/querying/basics/.
 */

export interface Selector {
  readonly metric: string;
  readonly matchers: readonly { readonly label: string; readonly operator: string; readonly value: string }[];
  /** `5m`; undefined for an instant vector. */
  readonly range: string | undefined;
}

export interface Query {
  readonly selectors: readonly Selector[];
  /** Labels that it groups by, leaves out, or matches on. */
  readonly labels: readonly string[];
}

const TOKEN =
  /\s*(?:(\$__rate_interval|\d+[smhdwy]\b)|(\d+(?:\.\d+)?)|([a-zA-Z_:][\w:]*)|"((?:[^"\\]|\\.)*)"|(=~|!~|!=|==|>=|<=|[-+*/%^<>=(){}[\],]))/y;

const AGGREGATIONS = ['sum', 'count', 'min', 'max', 'avg', 'topk'];
/** Name, and whether it takes a range. */
const FUNCTIONS = new Map([
  ['rate', true],
  ['increase', true],
  ['histogram_quantile', false],
  ['absent', false],
]);
const OPERATORS = ['+', '-', '*', '/', '%', '^', '==', '!=', '>', '<', '>=', '<=', 'and', 'or', 'unless'];

interface Token {
  readonly kind: 'duration' | 'number' | 'word' | 'text' | 'sign' | 'end';
  readonly text: string;
}

/** Throws an Error that names the place for what is not understood. */
export function parsePromql(expression: string): Query {
  return new Parser(expression).query();
}

/** Whether a selector picks a series with these labels. */
export function picks({ matchers }: Selector, labels: Readonly<Record<string, string>>): boolean {
  return matchers.every(({ label, operator, value }) => {
    const text = labels[label] ?? '';
    const matches = operator.endsWith('~') ? new RegExp(`^(?:${value})$`).test(text) : text === value;
    return matches !== operator.startsWith('!');
  });
}

function tokens(expression: string): Token[] {
  const kinds = ['duration', 'number', 'word', 'text', 'sign'] as const;
  const found: Token[] = [];
  TOKEN.lastIndex = 0;
  const text = expression.trimEnd();
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) throw new Error(`${text}: ${text.slice(at, at + 10)} is not understood`);
    const index = match.slice(1).findIndex((group) => group !== undefined);
    found.push({ kind: kinds[index] ?? 'sign', text: match[index + 1] ?? '' });
  }
  return [...found, { kind: 'end', text: '' }];
}

class Parser {
  readonly #expression: string;
  readonly #tokens: Token[];
  readonly #selectors: Selector[] = [];
  readonly #labels: string[] = [];

  constructor(expression: string) {
    this.#expression = expression;
    this.#tokens = tokens(expression);
  }

  query(): Query {
    this.#expressionAt();
    if (this.#next.kind !== 'end') this.#fail('an operator or the end');
    return { selectors: this.#selectors, labels: this.#labels };
  }

  get #next(): Token {
    return this.#tokens[0] ?? { kind: 'end', text: '' };
  }

  #take(): Token {
    const token = this.#next;
    this.#tokens.shift();
    return token;
  }

  #takes(text: string): boolean {
    if (this.#next.kind === 'text' || this.#next.text !== text) return false;
    this.#take();
    return true;
  }

  #expect(text: string): void {
    if (!this.#takes(text)) this.#fail(text);
  }

  #fail(wanted: string): never {
    throw new Error(`${this.#expression}: expected ${wanted} before ${this.#tokens.map(({ text }) => text).join(' ')}`);
  }

  /** Operands and operators; what binds stronger does not matter for what is asked. */
  #expressionAt(): void {
    this.#operand();
    while (OPERATORS.includes(this.#next.text)) {
      this.#take();
      if (this.#takes('on') || this.#takes('ignoring')) this.#labelList();
      this.#operand();
    }
  }

  #operand(): void {
    if (this.#takes('(')) {
      this.#expressionAt();
      this.#expect(')');
    } else if (this.#next.kind === 'number') {
      this.#take();
    } else if (this.#next.kind === 'word') {
      this.#named(this.#take().text);
    } else this.#fail('an operand');
  }

  #named(name: string): void {
    if (AGGREGATIONS.includes(name)) {
      if (this.#takes('by') || this.#takes('without')) this.#labelList();
      this.#call();
    } else if (FUNCTIONS.has(name)) {
      const before = this.#selectors.length;
      this.#call();
      const wantsRange = FUNCTIONS.get(name);
      const arguments_ = this.#selectors.slice(before);
      if (wantsRange && arguments_.some(({ range }) => range === undefined)) this.#fail(`a range for ${name}`);
    } else if (this.#next.text === '(') this.#fail(`another function than ${name}`);
    else this.#selector(name);
  }

  #call(): void {
    this.#expect('(');
    do this.#expressionAt();
    while (this.#takes(','));
    this.#expect(')');
  }

  #labelList(): void {
    this.#expect('(');
    do {
      if (this.#next.kind !== 'word') this.#fail('a label');
      this.#labels.push(this.#take().text);
    } while (this.#takes(','));
    this.#expect(')');
  }

  #selector(metric: string): void {
    const matchers: { label: string; operator: string; value: string }[] = [];
    if (this.#takes('{')) {
      do {
        const label = this.#take().text;
        const operator = this.#take().text;
        if (!['=', '!=', '=~', '!~'].includes(operator) || this.#next.kind !== 'text') this.#fail('a matcher');
        matchers.push({ label, operator, value: this.#take().text });
      } while (this.#takes(','));
      this.#expect('}');
    }
    let range: string | undefined;
    if (this.#takes('[')) {
      if (this.#next.kind !== 'duration') this.#fail('a duration');
      range = this.#take().text;
      this.#expect(']');
    }
    this.#selectors.push({ metric, matchers, range });
  }
}
