/** A table of flows that grows as flows come. */
import { printable } from '../../cluster/printable.ts';
import { endName } from '../../explain/flow-end.ts';
import type { FlowLine, FlowPolicy } from '../../flows/flow.ts';
import { paint, showsColour } from '../../lab/paint.ts';
import { Columns } from './columns.ts';

const HEADINGS = ['TIME', 'VERDICT', 'FROM', 'TO', 'PORT', 'DIRECTION', 'COUNT', 'BY'];
const VERDICT = HEADINGS.indexOf('VERDICT');
/** Most policies that one line names. */
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
  /** The flow's id; undefined for a line without a flow. */
  readonly id: number | undefined;
  /** Rows of the terminal that it takes. */
  readonly rows: number;
}

/**
 * If the line of a flow is still on the terminal, it is rewritten when the count grows. Otherwise
 * the flow gets another line, with the new count.
 */
export class FlowListing {
  readonly #output: TableOutput;
  readonly #colour: boolean;
  readonly #columns = new Columns();
  /** Lines on the terminal, the newest last. */
  readonly #shown: Shown[] = [];
  #hasHead = false;

  constructor(output: TableOutput) {
    this.#output = output;
    this.#colour = showsColour(output);
  }

  /** Prints flows. Returns whether the output takes more at once. */
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

  /** Returns a line for the end of the table. */
  #append(plain: string, line = plain, id?: number): string {
    this.#shown.push({ id, rows: this.#rowsOf(plain) });
    if (this.#shown.length > (this.#output.rows ?? 0)) this.#shown.shift();
    return `${line}\n`;
  }

  /**
   * Returns the text that rewrites the flow's line and goes back to the end; undefined if the line
   * is no longer on the terminal or needs a different number of rows.
   */
  #replace(id: number, plain: string, line: string): string | undefined {
    const at = this.#shown.findLastIndex((shown) => shown.id === id);
    const up = this.#shown.slice(Math.max(0, at)).reduce((sum, { rows }) => sum + rows, 0);
    const isThere = at >= 0 && up < (this.#output.rows ?? 0);
    if (!isThere || this.#shown[at]?.rows !== this.#rowsOf(plain)) return undefined;
    // Cursor up to the first column, erase each row while writing, and down again (ECMA-48 CPL, EL,
    // CNL).
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

/** Returns the local time, with the day if it is not today. */
function timeOf(iso: string): string {
  const time = new Date(iso);
  // Swedish writes a date as ISO 8601 does.
  const [day, clock = ''] = time.toLocaleString('sv').split(' ');
  return day === new Date().toLocaleDateString('sv') ? clock : `${day} ${clock}`;
}

/** Returns the directions in which policies decide, or `-` if the pods are not isolated. */
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

/** Returns `namespace/name` and the rule, counted as in `podfence explain`. */
function policyName({ namespace, name, direction, rule }: FlowPolicy): string {
  return rule === null ? `${namespace}/${name}` : `${namespace}/${name} ${direction} rule ${rule}`;
}
