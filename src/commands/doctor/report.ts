/** The report of doctor: the worst findings first, then one line for each that is fine. */
import { SEVERITIES, type Severity } from '../../doctor/checks.ts';
import { bySeverity, type NodesFinding } from '../../doctor/finding.ts';
import { type Colour, paint } from '../../lab/paint.ts';
import { printable } from '../../manifests/problems.ts';

const COLOURS: Readonly<Record<Severity, Colour>> = { problem: 'red', warning: 'yellow', info: 'dim', ok: 'green' };
/** Width of the severity column. */
const LABEL = 9;
const SHOWN_NODES = 6;
const LEAST_WIDTH = 40;

export interface ReportOptions {
  /** Columns. */
  readonly width: number;
  readonly colour: boolean;
  /** How many nodes were examined: a finding on all of them does not list their names. */
  readonly nodes: number;
}

/**
 *     problem  PD201 bridge-filter, certain · node1, node2
 *              2 pods or containers are on the bridge cni0, and …
 *              → modprobe br_netfilter, and …
 */
export function reportText(title: string, findings: readonly NodesFinding[], options: ReportOptions): string {
  const sorted = bySeverity(findings);
  const told = sorted.filter(({ severity }) => severity !== 'ok').map((each) => findingText(each, options));
  const fine = sorted.filter(({ severity }) => severity === 'ok').map((each) => fineText(each, options));
  return [title, ...told, ...(fine.length > 0 ? [fine.join('\n')] : []), summaryText(findings)].join('\n\n');
}

function findingText(found: NodesFinding, options: ReportOptions): string {
  const { severity, code, check, certainty, message, advice } = found;
  const where = nodesText(found, options);
  const head = `${paint(severity.padEnd(LABEL), COLOURS[severity], options.colour)}${code} ${check}, ${certainty}${where === '' ? '' : ` · ${where}`}`;
  return [
    ...wrapped(head, LABEL, options, severity.padEnd(LABEL).length),
    ...wrapped(`${' '.repeat(LABEL)}${printable(message)}`, LABEL, options),
    ...(advice === undefined ? [] : wrapped(`${' '.repeat(LABEL)}→ ${printable(advice)}`, LABEL + 2, options)),
  ].join('\n');
}

function fineText(found: NodesFinding, options: ReportOptions): string {
  const where = nodesText(found, options);
  const label = paint('ok'.padEnd(LABEL), COLOURS.ok, options.colour);
  return wrapped(`${label}${printable(found.message)}${where === '' ? '' : ` · ${where}`}`, LABEL, options, LABEL).join(
    '\n',
  );
}

/** Empty if there is only one node: the title has its name. */
function nodesText({ nodes }: NodesFinding, { nodes: all }: ReportOptions): string {
  if (nodes.length === 0 || all === 1) return '';
  if (nodes.length === all) return 'all nodes';
  const more = nodes.length - SHOWN_NODES;
  return `${nodes.slice(0, SHOWN_NODES).map(printable).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

/** `1 problem, 2 warnings, 3 to know, 12 fine` */
function summaryText(findings: readonly NodesFinding[]): string {
  const words: Readonly<Record<Severity, (count: number) => string>> = {
    problem: (count) => `${count} ${count === 1 ? 'problem' : 'problems'}`,
    warning: (count) => `${count} ${count === 1 ? 'warning' : 'warnings'}`,
    info: (count) => `${count} to know`,
    ok: (count) => `${count} fine`,
  };
  const parts = SEVERITIES.toReversed().flatMap((severity) => {
    const count = findings.filter((each) => each.severity === severity).length;
    return count === 0 ? [] : [words[severity](count)];
  });
  return parts.length === 0 ? 'Nothing was examined.' : parts.join(', ');
}

/**
 * Wraps a text at the width and indents all lines but the first. A word longer than a line gets one
 * of its own.
 * @param painted how many columns at the beginning are wrapped in colours
 */
function wrapped(text: string, indent: number, { width }: ReportOptions, painted = 0): string[] {
  const lines: string[] = [];
  const most = Math.max(width, LEAST_WIDTH);
  let line = '';
  let length = 0;
  for (const [i, word] of text.split(/(?<=\S) (?=\S)/).entries()) {
    const columns = i === 0 && painted > 0 ? painted + word.length - word.lastIndexOf(' ') - 1 : word.length;
    if (i > 0 && length + 1 + columns > most) {
      lines.push(line);
      line = `${' '.repeat(indent)}${word}`;
      length = indent + columns;
    } else {
      line = i === 0 ? word : `${line} ${word}`;
      length += i === 0 ? columns : 1 + columns;
    }
  }
  lines.push(line);
  return lines;
}
