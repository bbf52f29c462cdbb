/** Flows as lines of a table that goes on. */
import { printable } from '../../cluster/printable.ts';
import { endName } from '../../explain/flow-end.ts';
import type { FlowLine, FlowPolicy } from '../../flows/flow.ts';
import { paint, showsColour } from '../../lab/paint.ts';
import { Columns } from './columns.ts';

const HEADINGS = ['TIME', 'VERDICT', 'FROM', 'TO', 'PORT', 'DIRECTION', 'COUNT', 'BY'];
const VERDICT = HEADINGS.indexOf('VERDICT');
/** Policies that one line names. */
const MOST_POLICIES = 3;

/** Where the table goes; only a terminal has a size. */
export interface TableOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): boolean;
}

/** A line on the terminal. */
interface Shown {
  /** Of its flow; undefined for what is none. */
  readonly id: number | undefined;
  /** Rows of the terminal that it takes. */
  readonly rows: number;
}

/**
 * A flow whose count grows changes its line where that is still on the terminal; elsewhere it gets another one, with the new count.
 */
export class FlowListing {
  readonly #output: TableOutput;
  readonly #colour: boolean;
  readonly #columns = new Columns();
  /** What is on the terminal, the newest last. */
  readonly #shown: Shown[] = [];
  #hasHead = false;

  constructor(output: TableOutput) {
    this.#output = output;
    this.#colour = showsColour(output);
  }

  /** Gives back whether more can be taken at once. */
  add(flows: readonly FlowLine[]): boolean {
    const lines = flows.map((flow) => ({ flow, cells: cellsOf(flow) }));
    this.#columns.widen([HEADINGS, ...lines.map(({ cells }) => cells)]);
    let text = '';
    if (!this.#hasHead && lines.length > 0) text += this.#append(this.#columns.line(HEADINGS));
    this.#hasHead ||= lines.length > 0;
    for (const { flow, cells } of lines) {
      const plain = this.#columns.line(cells);
      const line = this.#columns.line(cells, (cell, column) => this.#dress(flow, cell, column));
      text += this.#replace(flow.id, plain, line) ?? this.#append(plain, line, flow.id);
    }
    return this.#output.write(text);
  }

  #dress({ verdict }: FlowLine, cell: string, column: number): string {
    if (column !== VERDICT || verdict === 'allow') return cell;
    return paint(cell, verdict === 'deny' ? 'red' : 'yellow', this.#colour);
  }

  /** A line at the end. */
  #append(plain: string, line = plain, id?: number): string {
    this.#shown.push({ id, rows: this.#rowsOf(plain) });
    if (this.#shown.length > (this.#output.rows ?? 0)) this.#shown.shift();
    return `${line}\n`;
  }

  /** What changes the flow's line on the terminal and comes back to the end; undefined where it is not there, or not of the same size. */
  #replace(id: number, plain: string, line: string): string | undefined {
    const at = this.#shown.findLastIndex((shown) => shown.id === id);
    const up = this.#shown.slice(Math.max(0, at)).reduce((sum, { rows }) => sum + rows, 0);
    const isThere = at >= 0 && up < (this.#output.rows ?? 0);
    if (!isThere || this.#shown[at]?.rows !== this.#rowsOf(plain)) return undefined;
    // Cursor up to the first column, erase each row while writing, and down again (ECMA-48 CPL, EL, CNL).
    return `\x1b[${up}F\x1b[K${line}\x1b[${up - this.#rowsOf(plain) + 1}E`;
  }

  #rowsOf(plain: string): number {
    return Math.max(1, Math.ceil(plain.length / (this.#output.columns ?? Number.POSITIVE_INFINITY)));
  }
}

function cellsOf(flow: FlowLine): string[] {
  const { last, verdict, from, to, protocol, port, count } = flow;
  const service = port === null ? protocol : `${port}/${protocol.toLowerCase()}`;
  return [
    timeOf(last),
    verdict,
    endName(from),
    endName(to),
    service,
    decidedIn(flow),
    String(count),
    decidedBy(flow),
  ].map(printable);
}

/** As the clock on the wall, with the day where it is another one. */
function timeOf(iso: string): string {
  const time = new Date(iso);
  // Swedish writes a date as ISO 8601 does.
  const [day, clock = ''] = time.toLocaleString('sv').split(' ');
  return day === new Date().toLocaleDateString('sv') ? clock : `${day} ${clock}`;
}

/** The directions in which policies decide; `-` where the pods are not isolated, and none does. */
function decidedIn({ verdict, direction, policies }: FlowLine): string {
  if (verdict !== 'allow') return direction;
  return [...new Set(policies.map((policy) => policy.direction))].join(', ') || '-';
}

function decidedBy({ verdict, reason, policies }: FlowLine): string {
  const names = policies.slice(0, MOST_POLICIES).map(policyName);
  if (policies.length > names.length) names.push(`${policies.length - names.length} more`);
  if (names.length === 0) return reason;
  return verdict === 'allow' && reason === 'allowed-by-policy' ? names.join(', ') : `${reason}: ${names.join(', ')}`;
}

/** `namespace/name`, and the rule, as `podfence explain` counts it. */
function policyName({ namespace, name, direction, rule }: FlowPolicy): string {
  return rule === null ? `${namespace}/${name}` : `${namespace}/${name} ${direction} rule ${rule}`;
}
