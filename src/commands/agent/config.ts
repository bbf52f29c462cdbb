/** The configuration file of `podfence agent`: YAML, a key for every flag. */
import { readFileSync } from 'node:fs';
import type { Command, Option } from 'commander';
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from 'yaml';
import { didYouMean } from '../../cluster/nearest.ts';
import { InputError } from '../shared/exit-code.ts';
import { refusalOf } from './options.ts';

/**
 * Sets the options of `command` that neither a flag nor the environment has set to the values of
 * `file`. Throws an InputError that lists every mistake with its line: an unknown key, or a value
 * that the option rejects.
 */
export function applyConfigFile(command: Command, file: string, options: readonly Option[]): void {
  const lines = new LineCounter();
  const document = parse(file, lines);
  if (document.contents === null) return;
  if (!isMap(document.contents)) throw new InputError(`${file}: expected keys such as "fail: closed"`);
  const byName = new Map(options.map((option) => [option.name(), option]));
  const mistakes: string[] = [];
  for (const { key, value } of document.contents.items) {
    const name = isScalar(key) ? String(key.value) : '';
    const line = isScalar(key) && key.range ? lines.linePos(key.range[0]).line : 0;
    const option = byName.get(name);
    const mistake =
      option === undefined
        ? [`there is no setting ${JSON.stringify(name)}`, didYouMean(name, [...byName.keys()])]
            .filter(Boolean)
            .join('. ')
        : setFromFile(command, option, value as Node | null, document);
    if (mistake !== undefined) mistakes.push(`${file}:${line}  ${mistake}`);
  }
  if (mistakes.length > 0) throw new InputError(mistakes.join('\n'));
}

function parse(file: string, lineCounter: LineCounter): Document {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new InputError(
      `--config ${file}: ${(error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (error as Error).message}`,
    );
  }
  const document = parseDocument(text, { lineCounter });
  const [first] = document.errors;
  if (first !== undefined)
    throw new InputError(`${file}:${first.linePos?.[0].line ?? 1}  ${first.message.split('\n')[0]}`);
  visit(document, {
    Alias(_, alias) {
      if (alias.resolve(document) !== undefined) return;
      const { line } = lineCounter.linePos(alias.range?.[0] ?? 0);
      throw new InputError(`${file}:${line}  *${alias.source}: there is no anchor &${alias.source} before it`);
    },
  });
  return document;
}

/**
 * Sets the option if neither a flag nor the environment has. Returns what is wrong with the value,
 * if anything.
 */
function setFromFile(command: Command, option: Option, node: Node | null, document: Document): string | undefined {
  const source = command.getOptionValueSource(option.attributeName());
  const text = textOf(node, document);
  if (text === undefined) return `${option.name()}: expected one value, or a list of them`;
  const refusal = refusalOf(option, text);
  if (refusal !== undefined) return `${option.name()}: ${refusal}`;
  if (source === undefined || source === 'default') {
    const value: unknown = option.parseArg === undefined ? text : option.parseArg(text, undefined);
    command.setOptionValueWithSource(option.attributeName(), value, 'config');
  }
  return undefined;
}

/** Returns the value as a flag takes it: a list becomes comma-separated. */
function textOf(written: Node | null, document: Document): string | undefined {
  const meant = (node: unknown) => (isAlias(node) ? node.resolve(document) : node);
  const node = meant(written);
  if (isScalar(node)) return node.source ?? String(node.value);
  if (!isSeq(node)) return undefined;
  const items = node.items.map(meant).map((item) => (isScalar(item) ? String(item.value) : undefined));
  return items.includes(undefined) ? undefined : items.join(',');
}
