/**
 * An Answer laid out for people: the verdict first, then each direction, then what would allow it.
 */
import { stripVTControlCharacters } from 'node:util';
import type { Answer, NearMiss, PolicyPlace, Side, Suggestion, Way } from '../../explain/explanation.ts';
import { endName } from '../../explain/flow-end.ts';
import { and, flowPortText } from '../../explain/words.ts';
import { type Colour, paint } from '../../lab/paint.ts';

export interface ReportOptions {
  /** Characters a line. @default 100 */
  readonly width: number | undefined;
  readonly colour: boolean;
}

/** The width without a terminal, and the widest that reads with ease. */
const WIDTH = 100;
const MOST_MISSES = 3;
/** Column at which the text of a direction begins. */
const INDENT = 11;
const LABEL = 13;

const VERDICTS: Readonly<Record<Answer['verdict'], readonly [word: string, colour: Colour]>> = {
  allow: ['ALLOWED', 'green'],
  deny: ['DENIED', 'red'],
  would_deny: ['WOULD BE DENIED', 'yellow'],
  mixed: ['DEPENDS', 'yellow'],
};

/** Returns the report; every line ends with a newline. */
export function renderAnswer(answer: Answer, options: ReportOptions): string {
  const report = new Report(Math.min(options.width ?? WIDTH, WIDTH), options.colour);
  report.answer(answer);
  return report.text();
}

class Report {
  readonly #width: number;
  readonly #colour: boolean;
  readonly #lines: string[] = [];
  /** Suggestions printed so far. */
  readonly #suggested = new Set<string>();

  constructor(width: number, colour: boolean) {
    this.#width = width;
    this.#colour = colour;
  }

  text(): string {
    return this.#lines.map((line) => `${line.trimEnd()}\n`).join('');
  }

  answer({ from, to, protocol, port, verdict, ways, note }: Answer): void {
    const [word, colour] = VERDICTS[verdict];
    this.#lines.push(`${this.#paint(word, colour)}  ${from} -> ${to}, ${flowPortText(protocol, port)}`);
    if (note !== undefined) this.#wrapped(note, 0);
    const [only] = ways;
    const isDirect = ways.length === 1 && only?.alike.length === 0 && endName(only.to) === to;
    for (const way of ways) {
      const isOneOfSeveral = ways.some((other) => other !== way && endName(other.to) === endName(way.to));
      this.#way(way, isDirect ? undefined : this.#title(way, isOneOfSeveral));
    }
  }

  #title({ to, alike, verdict, protocol, port }: Way, withAddress: boolean): string {
    const [word, colour] = VERDICTS[verdict];
    const address = withAddress ? ` at ${to.address}` : '';
    const names = and([endName(to), ...alike]);
    return `${this.#paint(word.toLowerCase(), colour)} at ${names}${address}, ${flowPortText(protocol, port)}`;
  }

  #way(way: Way, title: string | undefined): void {
    this.#lines.push('');
    if (title !== undefined) this.#wrapped(title, 2);
    this.#side(way.sides.egress);
    this.#side(way.sides.ingress);
    for (const note of way.notes) {
      this.#lines.push('');
      this.#wrapped(`Note: ${note}`, 6);
    }
    if (way.suggestion === undefined) return;
    this.#suggestion(way.suggestion);
  }

  #suggestion({ yaml, notes }: Suggestion): void {
    if (this.#suggested.has(yaml)) {
      this.#lines.push('', 'The policy suggested above would allow this, too.');
      return;
    }
    this.#suggested.add(yaml);
    this.#lines.push('', notes.length === 0 ? 'This would allow it, and nothing else:' : 'This would allow it:', '');
    for (const line of yaml.trimEnd().split('\n')) this.#lines.push(`    ${line}`);
    if (notes.length > 0) this.#lines.push('');
    for (const note of notes) this.#wrapped(note, 0);
  }

  #side(side: Side): void {
    const { direction, verdict, node, summary, audited, isolatedBy, allowedBy, nearMisses } = side;
    const [verdictWord, colour] = VERDICTS[verdict];
    const word = this.#paint(verdictWord.toLowerCase(), colour);
    const where = node === undefined ? '' : ` on ${node}`;
    this.#wrapped(`  ${direction.padEnd(INDENT - 2)}${word}${where}: ${summary}`, INDENT);
    // No rule allows it: a pod talks to itself or to its node, which no policy governs.
    if (verdict === 'allow' && allowedBy.length === 0) return;
    this.#list(
      audited ? 'audited by' : 'isolated by',
      isolatedBy.map((place) => [place.policy, place]),
    );
    this.#list(
      'allowed by',
      allowedBy.map((place) => [`${place.policy} rule ${place.rule}`, place]),
    );
    this.#nearest(nearMisses);
  }

  /**
   * Prints the items one per line, the label before the first, and the places in a column of their
   * own.
   */
  #list(label: string, items: readonly (readonly [text: string, place: PolicyPlace])[]): void {
    const widest = Math.max(0, ...items.map(([text]) => text.length));
    for (const [i, [text, place]] of items.entries()) {
      const start = `${' '.repeat(INDENT)}${(i === 0 ? label : '').padEnd(LABEL)}`;
      this.#lines.push(`${start}${text.padEnd(widest)}  ${this.#place(place)}`);
    }
  }

  /**
   * Prints the nearest misses. One that differs in everything says little beside one that differs
   * in one thing.
   */
  #nearest([first, ...others]: readonly NearMiss[]): void {
    if (first === undefined) return;
    const telling = others.filter(({ differences }) => differences.length <= first.differences.length);
    for (const [i, miss] of [first, ...telling].slice(0, MOST_MISSES).entries()) {
      this.#wrapped(`${' '.repeat(INDENT)}${(i === 0 ? 'nearest' : '').padEnd(LABEL)}${miss.sentence}`, INDENT + LABEL);
      if (miss.file !== undefined) this.#lines.push(`${' '.repeat(INDENT + LABEL)}${this.#place(miss)}`);
    }
  }

  #place({ file, line }: PolicyPlace): string {
    return file === undefined ? '' : this.#paint(`${file}:${line}`, 'dim');
  }

  /** Wraps a text at the width and indents all lines but the first. */
  #wrapped(text: string, indent: number): void {
    let line = '';
    for (const [i, word] of text.split(/(?<=\S) (?=\S)/).entries()) {
      const longer = i === 0 ? word : `${line} ${word}`;
      if (i > 0 && stripVTControlCharacters(longer).length > this.#width) {
        this.#lines.push(line);
        line = `${' '.repeat(indent)}${word}`;
      } else line = longer;
    }
    this.#lines.push(line);
  }

  #paint(text: string, colour: Colour): string {
    return paint(text, colour, this.#colour);
  }
}
