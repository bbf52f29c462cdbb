/** `--fail-on`: reads assertions, from files or the command line, and reports which ones hold. */
import { closeSync, openSync, readSync } from 'node:fs';
import { printable, printableLines } from '../../cluster/printable.ts';
import type { Explainer } from '../../explain/explain.ts';
import type { Side } from '../../explain/explanation.ts';
import { endName } from '../../explain/flow-end.ts';
import { listed } from '../../explain/words.ts';
import { paint } from '../../lab/paint.ts';
import {
  type Assertion,
  type AssertionProblem,
  type ParsedAssertions,
  parseAssertion,
  parseAssertions,
} from '../../matrix/assertion.ts';
import type { AssertionChecker, AssertionResult, Violation } from '../../matrix/assertion-check.ts';
import { InputError } from '../shared/exit-code.ts';

/** Longest file of assertions, in bytes. */
const LONGEST_FILE = 2 ** 20;
/** Most violations shown for one assertion: more say nothing new. */
const MOST_VIOLATIONS = 5;

/**
 * @param given the values of `--fail-on`: assertions and files
 * @throws InputError that lists every mistake in them
 */
export function readAssertions(given: readonly string[]): readonly Assertion[] {
  const parsed = given.map(read);
  throwProblems(parsed.flatMap(({ problems }) => problems));
  return parsed.flatMap(({ assertions }) => assertions);
}

/** @throws InputError for an assertion about no flow: it would hold without saying anything */
export function checkAssertions(
  assertions: readonly Assertion[],
  checker: AssertionChecker,
): readonly AssertionResult[] {
  const outcomes = assertions.map((assertion) => checker.check(assertion));
  throwProblems(outcomes.filter((outcome) => 'message' in outcome));
  return outcomes.filter((outcome) => 'violations' in outcome);
}

/** Returns each assertion that does not hold, with the flows and why, and how many do hold. */
export function assertionsReport(results: readonly AssertionResult[], explainer: Explainer, colour: boolean): string {
  const broken = results.filter(({ violations }) => violations.length > 0);
  const flows = results.reduce((sum, result) => sum + result.flows, 0);
  const held = `${results.length - broken.length} of ${results.length} assertions hold, for ${flows} flows`;
  return [
    ...broken.flatMap((result) => brokenLines(result, explainer, colour)),
    ...results.filter(({ leftOut }) => leftOut.length > 0).flatMap((result) => leftOutLines(result, colour)),
    paint(held, broken.length > 0 ? 'red' : 'bold', colour),
    '',
  ].join('\n');
}

function read(given: string): ParsedAssertions {
  if (/->|=>|→/.test(given)) {
    const parsed = parseAssertion({ title: '--fail-on', text: printable(given.trim()) });
    return 'message' in parsed ? { assertions: [], problems: [parsed] } : { assertions: [parsed], problems: [] };
  }
  let text: string;
  try {
    text = readBounded(given);
  } catch (error) {
    throw new InputError(
      `--fail-on ${given}: neither an assertion such as 'default/* -> prod/db:5432' nor a file (${(error as Error).message})`,
    );
  }
  const parsed = parseAssertions(printableLines(text.replaceAll('\r\n', '\n')), printable(given));
  if (parsed.assertions.length + parsed.problems.length === 0)
    throw new InputError(`--fail-on ${given}: it contains no assertion`);
  return parsed;
}

/** Reads at most LONGEST_FILE bytes: the file may be an endless pipe. */
function readBounded(file: string): string {
  const fd = openSync(file, 'r');
  try {
    const bytes = Buffer.allocUnsafe(LONGEST_FILE + 1);
    let length = 0;
    for (;;) {
      const count = readSync(fd, bytes, length, bytes.length - length, null);
      if (count === 0) return bytes.toString('utf8', 0, length);
      length += count;
      if (length > LONGEST_FILE) throw new Error(`it has more than ${LONGEST_FILE} bytes`);
    }
  } finally {
    closeSync(fd);
  }
}

function throwProblems(problems: readonly AssertionProblem[]): void {
  if (problems.length === 0) return;
  const lines = problems.map(({ title, text, message, hint }) => {
    return `${title}: ${text}\n    ${message}${hint === undefined ? '' : `. ${hint}`}`;
  });
  throw new InputError(
    `${problems.length === 1 ? 'an assertion' : `${problems.length} assertions`} cannot be used\n${lines.join('\n')}`,
  );
}

function brokenLines(
  { assertion: { place, expected }, flows, violations }: AssertionResult,
  explainer: Explainer,
  colour: boolean,
): string[] {
  const count = violations.reduce((sum, { alike }) => sum + alike, 0);
  const wrong = expected === 'deny' ? 'possible' : 'not possible';
  const rest = violations.length - MOST_VIOLATIONS;
  return [
    `${paint('✗', 'red', colour)} ${place.title}  ${paint(place.text, 'bold', colour)}`,
    `    ${count} of ${flows} flows ${count === 1 ? 'is' : 'are'} ${wrong}:`,
    ...violations.slice(0, MOST_VIOLATIONS).flatMap((violation) => violationLines(violation, explainer)),
    ...(rest > 0 ? [`    and ${rest} more like these`] : []),
    '',
  ];
}

/**
 * Lists the pods for which the assertion could not be checked, whether it holds for the others or
 * not.
 */
function leftOutLines({ assertion: { place }, leftOut }: AssertionResult, colour: boolean): string[] {
  return [
    `${paint('!', 'yellow', colour)} ${place.title}  ${paint(place.text, 'bold', colour)}`,
    `    not checked for pods in the network of their node, where no policy applies: ${listed(leftOut)}`,
    '',
  ];
}

function violationLines({ from, to, protocol, port, judgement, alike }: Violation, explainer: Explainer): string[] {
  const { sides } = explainer.explain(from, to, protocol, port);
  const more = alike === 1 ? '' : ` and ${alike - 1} more, of pods that no policy tells apart from these`;
  // Only the side that denies a flow is to blame for it.
  const isToBlame = ({ verdict }: Side) => (verdict === 'deny' ? 'deny' : 'allow') === judgement.verdict;
  const told = [sides.egress, sides.ingress].filter(isToBlame);
  return [
    `    ${endName(from)} -> ${endName(to)}:${port}/${protocol.toLowerCase()}${more}`,
    ...told.map((side) => `        ${side.direction}: ${side.summary}${rulesText(side)}`),
  ];
}

function rulesText({ verdict, allowedBy, isolatedBy }: Side): string {
  const places =
    verdict === 'allow'
      ? allowedBy.map(({ policy, rule, ...place }) => `policy ${policy} rule ${rule}${fileText(place)}`)
      : isolatedBy.map(({ policy, ...place }) => `policy ${policy}${fileText(place)}`);
  return places.length === 0 ? '' : `: ${places.join(', ')}`;
}

function fileText({ file, line }: { readonly file?: string; readonly line?: number }): string {
  return file === undefined ? '' : ` (${file}:${line})`;
}
