/**
 * Foreign text, with escape sequences or of endless length, on its way to a terminal, a log or a
 * JSON reader.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, it, test } from 'vitest';
import { escapedJson, jsonText, printable, printableLines, printableValue } from '../../src/cluster/printable.ts';
import { eventsOf } from '../../src/commands/flows/event-stream.ts';
import { sarifLog } from '../../src/commands/lint/sarif.ts';
import { boundedText } from '../../src/commands/shared/bounded-answer.ts';
import { manifestFolder, podfence } from './podfence.ts';

const HOSTILE = '\x1b[31mRED\x1b]0;pwned\x07\u009b31m\u202e\r\u2028\u2029\u200fX';
// biome-ignore lint/suspicious/noControlCharactersInRegex: what must not get through
const UNSAFE = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

describe('printable', () => {
  it('removes everything that controls a terminal, and keeps the number of characters', () => {
    expect(printable(`${HOSTILE}\n`)).toHaveLength(HOSTILE.length + 1);
    expect(printable(`${HOSTILE}\n`)).not.toMatch(/\n/);
    expect(printable(HOSTILE)).not.toMatch(UNSAFE);
    expect(printableLines(`a\n${HOSTILE}\n`).split('\n')).toHaveLength(3);
    expect(printableLines(HOSTILE)).not.toMatch(UNSAFE);
    expect(printable('ordinary: ä 中 🚀 é')).toBe('ordinary: ä 中 🚀 é');
  });

  it('cleans keys and values of what was read, and keeps the lines of YAML', () => {
    const value = { [HOSTILE]: [HOSTILE, 1, null], name: 'a\nb', suggestion: { yaml: 'a\nb\x1b' } };
    const cleaned = printableValue(value);
    expect(JSON.stringify(cleaned)).not.toMatch(UNSAFE);
    expect(cleaned).toMatchObject({ name: 'a\ufffdb', suggestion: { yaml: 'a\nb\ufffd' } });
  });

  it('in JSON the text is unchanged once it is parsed', () => {
    const value = { [HOSTILE]: HOSTILE };
    expect(jsonText(value)).not.toMatch(UNSAFE);
    expect(JSON.parse(jsonText(value))).toEqual(value);
    expect(JSON.parse(jsonText(value, 2))).toEqual(value);
    expect(JSON.parse(escapedJson(JSON.stringify(value)))).toEqual(value);
  });

  it('leaves none in a SARIF log either', () => {
    const finding = {
      ...{ code: 'PF103', rule: 'invalid-value', severity: 'error', field: 'spec' },
      line: 1,
      column: 1,
    };
    const log = sarifLog([{ ...finding, object: HOSTILE, message: HOSTILE, file: 'a.yaml' } as never], '1');
    const text = (log as { runs: [{ results: [{ message: { text: string } }] }] }).runs[0].results[0].message.text;
    expect(text).not.toMatch(UNSAFE);
  });
});

describe('endless input', () => {
  let given = 0;
  async function* endless(piece: string) {
    for (given = 0; ; given++) yield Buffer.from(piece);
  }

  test('an endless event is given up at a bound', async () => {
    const reading = async () => {
      for await (const _ of eventsOf(endless('x'.repeat(65_536))));
    };
    await expect(reading()).rejects.toThrow('an event has more than 1048576 characters');
    expect(given).toBeLessThan(20);
  });

  test('an endless answer is given up at a bound', async () => {
    const response = new Response(Readable.toWeb(Readable.from(endless('x'.repeat(65_536)))) as ReadableStream);
    await expect(boundedText(response, 1 << 20)).rejects.toThrow('more than 1048576 characters');
    expect(given).toBeLessThan(20);
  });
});

describe('an agent that answers with escape sequences', () => {
  let server: Server | undefined;
  afterEach(() => server?.close());
  const answering = async (listener: RequestListener) => {
    server = createServer(listener).listen(0, '127.0.0.1');
    await new Promise((resolve) => server?.once('listening', resolve));
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  const end = (name: string) => ({ kind: 'pod', namespace: `x${HOSTILE}`, name, address: HOSTILE, node: HOSTILE });
  const flow = {
    ...{ id: 1, first: '2026-01-01T00:00:00Z', last: '2026-01-01T00:00:00Z', count: 1, verdict: 'deny' },
    ...{ direction: `ingress${HOSTILE}`, reason: HOSTILE, protocol: `TCP${HOSTILE}`, port: 80, sourcePort: 1 },
    ...{ from: end('a'), to: end('b') },
    policies: [{ direction: 'ingress', namespace: HOSTILE, name: HOSTILE, rule: null, field: null }],
  };

  test.each([[['--last', '9']], [['--json']]])('is shown by flows %j without them', async (flags) => {
    const agent = await answering((_, response) => response.end(`event: flow\ndata: ${JSON.stringify(flow)}\n\n`));
    const { code, stdout } = await podfence(['flows', '--agent', agent, ...flags]);
    expect(code).toBe(0);
    expect(stdout).toContain('RED');
    expect(stdout).not.toMatch(UNSAFE);
  });

  test('is quoted without them by explain when it refuses a question', async () => {
    const agent = await answering((_, response) => response.writeHead(400).end(`no ${HOSTILE}`));
    const { code, stderr } = await podfence(['explain', '--from', 'a', '--to', 'b', '--port', '1', '--agent', agent]);
    expect(code).toBe(2);
    expect(stderr).toContain('RED');
    expect(stderr).not.toMatch(UNSAFE);
  });

  test('is not taken for an agent if the answer is not JSON', async () => {
    const agent = await answering((_, response) =>
      response.end(`event: flow\ndata: ${HOSTILE.replaceAll('\r', '')}\n\n`),
    );
    const { code, stderr } = await podfence(['flows', '--agent', agent]);
    expect(code).toBe(3);
    expect(stderr).toContain('is not a podfence agent');
    expect(stderr).not.toMatch(UNSAFE);
  });
});

describe('arguments and files with escape sequences', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'podfence-hostile-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test.each([
    [[`no${HOSTILE}`]],
    [['lint', `--no${HOSTILE}`]],
    [['lint', '--fail-on', HOSTILE, 'x']],
    [['lint', `${HOSTILE}.yaml`]],
    [['replay', HOSTILE, '-m', '/dev/null']],
  ])('%j are quoted without them', async (args) => {
    const { code, stdout, stderr } = await podfence(args);
    expect(code).not.toBe(0);
    expect(stdout + stderr).toContain('RED');
    expect(stdout + stderr).not.toMatch(UNSAFE);
  });

  test('assertions are cleaned', async () => {
    using manifests = manifestFolder(
      'apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: x}\nspec: {containers: [{name: c}]}\n',
    );
    const file = join(folder, 'assertions.txt');
    writeFileSync(file, `deny x/a${HOSTILE} -> x/zz${HOSTILE}\ndeny foo\x1b[32mbar -> x/*\n`);
    for (const given of [file, `deny x/a${HOSTILE} -> x/*`]) {
      const { code, stderr } = await podfence(['matrix', '-m', manifests.path, '--fail-on', given]);
      expect(code).toBe(2);
      expect(stderr).toContain('RED');
      expect(stderr).not.toMatch(UNSAFE);
    }
    const { code, stderr } = await podfence(['matrix', '-m', manifests.path, '--fail-on', '/dev/zero']);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('more than 1048576 bytes') });
  });
});
