/**
 * Answers of the API server, a list or the lines of a watch, cut anywhere by the network. The
 * objects must be the same wherever the cuts are. The objects of a valid list are those that
 * JSON.parse finds; an invalid one causes only the error for it.
 */
import { isUtf8 } from 'node:buffer';
import { ApiError } from '../../../src/kube/api-error.ts';
import { LineScanner } from '../../../src/kube/line-scanner.ts';
import { ListScanner } from '../../../src/kube/list-scanner.ts';
import { objects } from '../kube-objects.ts';
import { mutate } from '../mutate.ts';
import type { Random } from '../random.ts';
import { check, checkSame, type Target } from '../target.ts';

/** Limits for the bytes of one object or line: in some runs most are longer. */
const LIMITS = [300, 100_000, 100_000];
/** Longer lists may be nested so deeply that they would be mostly indentation. */
const MOST_INDENTED = 5000;

interface Scanner {
  push(chunk: Buffer): Iterable<Buffer>;
  end(): unknown;
}

interface Reading {
  readonly parts: readonly string[];
  /** What surrounds the parts, or the error. */
  readonly end: unknown;
}

export const target: Target = {
  generate: (random) => {
    const bytes = Buffer.from(random.oneIn(3) ? lines(random) : list(random));
    return random.oneIn(3) ? bytes : mutate(random, bytes);
  },
  run: (input) => {
    const limit = LIMITS[input.length % LIMITS.length] as number;
    const items = everyWay(input, () => new ListScanner(limit));
    const found = everyWay(input, () => new LineScanner(limit));
    const text = Buffer.from(input).toString('latin1');
    if (isUtf8(input)) checkList(Buffer.from(input).toString(), items);
    for (const part of [...items.parts, ...found.parts]) {
      check(part.length <= limit && text.includes(part), 'a part is not from the answer, or too long');
    }
    const whole = text.split('\n').filter((line) => line !== '');
    if (!text.endsWith('\n')) whole.pop();
    if (!String(found.end).includes('longer than'))
      checkSame(found.parts, whole, 'the lines differ from those of the answer');
  },
};

function list(random: Random): string {
  const items = random.some(5, () => objects(random)).flat();
  const envelope = { kind: 'PodList', apiVersion: 'v1', metadata: { resourceVersion: '1', continue: 'a"]}{[\\' } };
  const value = random.oneIn(4) ? { items, ...envelope } : { ...envelope, items };
  const compact = JSON.stringify(value);
  return random.oneIn(3) && compact.length < MOST_INDENTED ? JSON.stringify(value, undefined, 1) : compact;
}

function lines(random: Random): string {
  return objects(random)
    .map((object) => `${JSON.stringify({ type: 'ADDED', object })}\n`)
    .join('');
}

/** Reads the input in one piece, in two, in pieces of 7 bytes, and in single bytes. */
function everyWay(input: Uint8Array, scanner: () => Scanner): Reading {
  const whole = read(input, input.length, scanner());
  for (const size of [(input.length >> 1) + 1, 7, 1]) {
    checkSame(read(input, size, scanner()), whole, `cut into pieces of ${size} bytes it is a different answer`);
  }
  return whole;
}

function read(input: Uint8Array, size: number, scanner: Scanner): Reading {
  const parts: string[] = [];
  try {
    for (let at = 0; at < input.length; at += size) {
      // A part is valid only until the next one is taken.
      for (const part of scanner.push(Buffer.from(input.subarray(at, at + size)))) parts.push(part.toString('latin1'));
    }
    return { parts, end: scanner.end() };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { parts, end: error.message };
  }
}

/** If JSON.parse accepts a list, the items must be its items, and so must what surrounds them. */
function checkList(text: string, { parts, end }: Reading): void {
  let list: Record<string, unknown>;
  try {
    list = JSON.parse(text);
  } catch {
    check(typeof end === 'string' || parts.length > 0, 'something that is not JSON is a list');
    return;
  }
  const isList = typeof list === 'object' && list !== null && Array.isArray(list.items);
  // The scanner may take another key of this name, anywhere, for the list.
  if (!isList || text.split('items"').length !== 2 || typeof end === 'string') return;
  checkSame(
    parts.map((part) => JSON.parse(Buffer.from(part, 'latin1').toString())),
    list.items,
    'the items differ from those of the list',
  );
  checkSame(end, { ...list, items: [] }, 'what surrounds the items differs');
}
