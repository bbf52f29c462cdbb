/** Findings as text. */
import { printable } from '../../cluster/printable.ts';
import { type Colour, paint } from '../../lab/paint.ts';
import type { Finding } from '../../lint/finding.ts';
import { SEVERITIES, type Severity } from '../../lint/rules.ts';
import { fileTitle } from '../../manifests/problems.ts';

const COLOURS: Readonly<Record<Severity, Colour>> = { error: 'red', warning: 'yellow', hint: 'green', info: 'dim' };

/**
 * A finding in two lines, and a third for its note:
 *
 *     shop.yaml:12:19  warning  PF202 peer-matches-nothing  NetworkPolicy shop/web
 *         spec.ingress[0].from[0].podSelector: no pod of shop has app=frontned. Did you mean app: frontend? shop/frontend-1 has it.
 */
export function findingText(finding: Finding, colour: boolean): string {
  const { code, rule, severity, object, field, message, hint, note } = finding;
  const head = [paint(severity, COLOURS[severity], colour), `${code} ${rule}`, printable(object)];
  const place = placeText(finding);
  if (place !== '') head.unshift(paint(printable(place), 'bold', colour));
  const subject = field === '' ? '' : `${field}: `;
  const lines = [`${subject}${message}${hint === undefined ? '' : `. ${hint}`}`, ...(note === undefined ? [] : [note])];
  return [head.filter((part) => part !== '').join('  '), ...lines.map((line) => `    ${printable(line)}`)].join('\n');
}

/** Returns `shop.yaml:12:19`, the file alone if the finding is about no line, or nothing. */
function placeText({ file, line, column }: Pick<Finding, 'file' | 'line' | 'column'>): string {
  return line > 0 ? `${fileTitle(file)}:${line}:${column}` : fileTitle(file);
}

export type Counts = Readonly<Record<Severity, number>>;

export function countFindings(findings: readonly Finding[]): Counts {
  const counts = { error: 0, warning: 0, hint: 0, info: 0 };
  for (const { severity } of findings) counts[severity]++;
  return counts;
}

/**
 * Returns `2 errors, 1 warning; --fix can correct 1 of them; 3 more with --info`, or nothing if no
 * finding is shown.
 */
export function summaryText(shown: readonly Finding[], hidden: number): string {
  if (shown.length === 0) return '';
  const counts = countFindings(shown);
  const parts = SEVERITIES.filter((severity) => counts[severity] > 0).map((severity) =>
    counted(counts[severity], severity),
  );
  const fixable = shown.filter(({ fix }) => fix !== undefined).length;
  return [
    parts.join(', '),
    ...(fixable > 0 ? [`--fix can correct ${fixable} of them`] : []),
    ...(hidden > 0 ? [`${hidden} more with --info`] : []),
  ].join('; ');
}

function counted(number: number, severity: Severity): string {
  return `${number} ${severity}${number === 1 || severity === 'info' ? '' : 's'}`;
}
