/**
 * Assertions about who may reach whom, one on each line:
 *
 *     # no pod of the default namespace reaches the database
 *     deny  default/* -> prod/db:5432
 *     allow shop/frontend-* -> shop/backend:9000/tcp
 *     outside -> prod/*                # deny is the default; without a port: every port
 *
 * An end is NAMESPACE/NAME of pods, of a workload or, on the right, of a Service; `*` matches any
 * characters and `?` any single one. An address or CIDR block stands for addresses that no pod has,
 * and `outside` for all of those.
 */
import { type Address, addressBits, type Cidr, isMistake } from '../cluster/addresses.ts';
import { didYouMean, nearest } from '../cluster/nearest.ts';
import type { Protocol } from '../cluster/records.ts';
import { parseTypedAddress, parseTypedCidr } from '../cluster/typed-addresses.ts';
import { wholeFamily } from './address-regions.ts';

export type EndPattern =
  | { readonly kind: 'pods'; readonly text: string; readonly namespace: RegExp; readonly name: RegExp }
  | { readonly kind: 'addresses'; readonly text: string; readonly areas: readonly Cidr[] };

/** Inclusive range of port numbers, or a port's name. */
export type PortPattern =
  | { readonly protocol: Protocol; readonly first: number; readonly last: number }
  | { readonly protocol: Protocol; readonly name: string };

export interface Assertion {
  readonly expected: 'allow' | 'deny';
  readonly from: EndPattern;
  readonly to: EndPattern;
  /** Undefined: every port of every protocol. */
  readonly port: PortPattern | undefined;
  readonly place: AssertionPlace;
}

export interface AssertionPlace {
  /** `file:line`, or another text by which people find the assertion. */
  readonly title: string;
  /** The line without its comment. */
  readonly text: string;
}

export interface AssertionProblem extends AssertionPlace {
  /** The problem, without a full stop. */
  readonly message: string;
  /** What was probably meant, a sentence. */
  readonly hint?: string;
}

export interface ParsedAssertions {
  readonly assertions: readonly Assertion[];
  readonly problems: readonly AssertionProblem[];
}

/** @param title of the file: its lines get the titles `title:1` and so on */
export function parseAssertions(text: string, title: string): ParsedAssertions {
  const parsed = text.split(/\r?\n/).flatMap((line, i) => {
    const content = line.replace(/#.*/, '').trim();
    return content === '' ? [] : parseAssertion({ title: `${title}:${i + 1}`, text: content });
  });
  return {
    assertions: parsed.filter((each) => 'expected' in each),
    problems: parsed.filter((each) => 'message' in each),
  };
}

/** Parses one assertion. Returns it, or what is wrong with it. */
export function parseAssertion(place: AssertionPlace): Assertion | AssertionProblem {
  try {
    return { ...readAssertion(place.text), place };
  } catch (error) {
    if (!(error instanceof Misread)) throw error;
    return { ...place, message: error.message, ...(error.hint === undefined ? {} : { hint: error.hint }) };
  }
}

class Misread extends Error {
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

const WORDS = ['allow', 'deny'] as const;
const ARROWS = /\s*(?:-+>|=+>|→|⇒|>)\s*/;
const PROTOCOLS: readonly Protocol[] = ['TCP', 'UDP', 'SCTP'];

function readAssertion(text: string): Omit<Assertion, 'place'> {
  const [left = '', right = '', ...more] = text.split('->');
  if (!text.includes('->')) {
    const meant = text.split(ARROWS);
    throw new Misread(
      'expected FROM -> TO:PORT, such as default/* -> prod/db:5432',
      meant.length === 2 ? `Did you mean ${meant.join(' -> ')}?` : undefined,
    );
  }
  if (more.length > 0) throw new Misread('there is more than one ->; write a line for each');
  const words = left.trim().split(/\s+/);
  const fromText = words.pop() ?? '';
  const expected = readWord(words);
  const toText = right.trim();
  if (fromText === '' || toText === '') throw new Misread(`nothing is ${fromText === '' ? 'left' : 'right'} of ->`);
  if (/\s/.test(toText)) throw new Misread(`"${toText}" is more than one destination; write a line for each`);
  const [source, sourcePort] = splitPort(fromText);
  if (sourcePort !== undefined) {
    throw new Misread(
      `a port belongs to the destination, not to ${source}`,
      toText.includes(':') ? undefined : `Did you mean ${source} -> ${toText}:${sourcePort}?`,
    );
  }
  const [destination, portText] = splitPort(toText);
  const port = portText === undefined ? undefined : readPort(portText);
  if (expected === 'allow' && port === undefined) {
    throw new Misread('an allow needs a port', `Write ${toText}:PORT, with the port that must be open.`);
  }
  return { expected, from: readEnd(source), to: readEnd(destination), port };
}

function readWord(words: readonly string[]): 'allow' | 'deny' {
  const [word] = words;
  if (word === undefined) return 'deny';
  const known = WORDS.find((each) => each === word);
  if (known !== undefined && words.length === 1) return known;
  if (known !== undefined)
    throw new Misread(`unexpected "${words.slice(1).join(' ')}" between ${known} and the source`);
  throw new Misread(`"${word}" is neither allow nor deny`, didYouMean(word, WORDS));
}

/**
 * Splits an end from its port. IPv6 addresses contain colons themselves, and need brackets before a
 * port.
 */
function splitPort(text: string): readonly [end: string, port: string | undefined] {
  const bracketed = /^\[(.*)\](?::(.*))?$/.exec(text);
  if (bracketed !== null) return [bracketed[1] ?? '', bracketed[2]];
  const first = text.indexOf(':');
  if (first < 0 || (first !== text.lastIndexOf(':') && /^[\da-f:]+/i.exec(text)?.[0].includes(':'))) {
    return [text, undefined];
  }
  return [text.slice(0, first), text.slice(first + 1)];
}

function readPort(text: string): PortPattern {
  const slash = text.indexOf('/');
  const [value, protocolText] = slash < 0 ? [text, 'tcp'] : [text.slice(0, slash), text.slice(slash + 1)];
  const protocol = PROTOCOLS.find((each) => each === protocolText.toUpperCase());
  if (protocol === undefined) {
    const swapped = PROTOCOLS.some((each) => each === value.toUpperCase());
    const near = nearest(protocolText, PROTOCOLS)?.toLowerCase();
    const hint = swapped ? `${protocolText}/${value}` : near === undefined ? undefined : `${value}/${near}`;
    throw new Misread(
      `"${protocolText}" is not a protocol; protocols are tcp, udp and sctp`,
      hint === undefined ? undefined : `Did you mean ${hint}?`,
    );
  }
  const numbers = /^(\d+)(?:-(\d+))?$/.exec(value);
  if (numbers === null) {
    if (!/^(?=.*[a-z])[a-z\d-]{1,15}$/.test(value))
      throw new Misread(`"${value}" is neither a port number nor a port name`);
    return { protocol, name: value };
  }
  const first = Number(numbers[1]);
  const last = Number(numbers[2] ?? first);
  for (const port of [first, last]) {
    if (port < 1 || port > 65_535) throw new Misread(`${port} is not a port; ports are 1 to 65535`);
  }
  if (last < first) throw new Misread(`${value} is not a range of ports`, `Did you mean ${last}-${first}?`);
  return { protocol, first, last };
}

function readEnd(text: string): EndPattern {
  if (text === 'outside') return { kind: 'addresses', text, areas: [wholeFamily('IPv4'), wholeFamily('IPv6')] };
  const address = parseTypedAddress(text);
  if (address !== undefined) return { kind: 'addresses', text, areas: [blockOf(address)] };
  if (/^[\d.]+(?:\/|$)|^[\da-f]*:[\da-f:.]*(?:\/|$)/i.test(text)) {
    const cidr = parseTypedCidr(text);
    if (isMistake(cidr)) throw new Misread(cidr.message, cidr.hint);
    return { kind: 'addresses', text, areas: [cidr] };
  }
  if (text === '*') return { kind: 'pods', text, namespace: globOf('*'), name: globOf('*') };
  const [namespace = '', name, ...more] = text.split('/');
  if (name === undefined) {
    throw new Misread(`"${text}" names no namespace`, `Write NAMESPACE/${text}, or */${text} for every namespace.`);
  }
  for (const part of [namespace, name]) {
    if (/^[a-z\d.*?-]+$/.test(part) && more.length === 0) continue;
    const meant = text.toLowerCase().replaceAll('_', '-');
    throw new Misread(
      `"${text}" is not NAMESPACE/NAME of pods or a Service, nor an address or CIDR block`,
      /^[a-z\d.*?-]+\/[a-z\d.*?-]+$/.test(meant) ? `Did you mean ${meant}?` : undefined,
    );
  }
  return { kind: 'pods', text, namespace: globOf(namespace), name: globOf(name) };
}

function blockOf({ family, value }: Address): Cidr {
  return { family, first: value, prefix: addressBits(family) };
}

/** Escapes dots: names contain no other character that is special in a regular expression. */
function globOf(glob: string): RegExp {
  return new RegExp(`^${glob.replaceAll('.', '\\.').replaceAll('*', '.*').replaceAll('?', '.')}$`);
}
