/** ttrpc without a socket: calls in both roles, pieces, limits, and answers to violations. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { NriError } from '../../src/nri/error.ts';
import { CallError, type CallHandler, TtrpcClient, TtrpcServer, UNIMPLEMENTED } from '../../src/nri/ttrpc.ts';
import { field, fieldsOf, message, request, ttrpc } from './fake-runtime.ts';
import { cutAt } from './pieces.ts';

interface Sent {
  readonly stream: number;
  readonly type: number;
  readonly code: number;
  readonly text: string;
  readonly payload: string;
}

function serverFor(handle: CallHandler) {
  const sent: Sent[] = [];
  const server = new TtrpcServer((bytes) => sent.push(parse(Buffer.from(bytes))), handle);
  return { server, sent };
}

function parse(bytes: Buffer): Sent {
  const fields = fieldsOf(bytes.subarray(10));
  const status = fieldsOf((fields.get(1) as Buffer | undefined) ?? Buffer.alloc(0));
  return {
    stream: bytes.readUInt32BE(4),
    type: bytes.readUInt8(8),
    code: (status.get(1) as number | undefined) ?? 0,
    text: String(status.get(2) ?? ''),
    payload: String(fields.get(2) ?? ''),
  };
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
const echo: CallHandler = (_service, _method, payload) => new Uint8Array(payload);
const call = (stream: number, text: string) => ttrpc(stream, 1, request('Echo', Buffer.from(text)));

describe('A server', () => {
  test('answers every call, wherever the stream of requests is cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ maxLength: 30 }), { maxLength: 6 }),
        fc.array(fc.nat({ max: 900 })),
        async (texts, cuts) => {
          const { server, sent } = serverFor(echo);
          const stream = Buffer.concat(texts.map((text, index) => call(2 * index + 1, text)));
          for (const piece of cutAt(stream, cuts)) {
            // The reader must not keep bytes of a buffer that is used again.
            const reused = Buffer.from(piece);
            server.push(reused);
            reused.fill(0xff);
          }
          await settled();
          expect(sent.map(({ stream, payload }) => [stream, payload])).toEqual(
            texts.map((text, index) => [2 * index + 1, Buffer.from(text).toString()]),
          );
        },
      ),
    );
  });

  test('answers calls that wait at once each when it is ready', async () => {
    const ready = new Map<string, () => void>();
    const { server, sent } = serverFor(async (_service, _method, payload) => {
      const text = String(payload);
      await new Promise<void>((resolve) => ready.set(text, resolve));
      return Buffer.from(text);
    });
    for (const [stream, text] of [
      [1, 'a'],
      [3, 'b'],
      [5, 'c'],
    ] as const)
      server.push(call(stream, text));
    for (const text of ['c', 'a', 'b']) {
      ready.get(text)?.();
      await settled();
    }
    expect(sent.map(({ stream, payload }) => [stream, payload])).toEqual([
      [5, 'c'],
      [1, 'a'],
      [3, 'b'],
    ]);
  });

  test.each([
    ['the status that the handler chose', new CallError(UNIMPLEMENTED, 'no such method'), 12, 'no such method'],
    ['UNKNOWN for any other error', new Error('the table is not in force'), 2, 'the table is not in force'],
    ['INVALID_ARGUMENT for a damaged message', new NriError('malformed', 'damaged pod'), 3, 'damaged pod'],
  ])('answers %s', async (_, error, code, text) => {
    const { server, sent } = serverFor(() => Promise.reject(error));
    server.push(call(1, ''));
    await settled();
    expect(sent).toEqual([{ stream: 1, type: 2, code, text, payload: '' }]);
  });

  test.each([
    ['an even stream', ttrpc(2, 1, request('Echo', Buffer.alloc(0))), 3],
    ['data of no stream', ttrpc(9, 3, Buffer.from('data')), 3],
    ['a call that is not unary', ttrpc(9, 1, request('Echo', Buffer.alloc(0)), 2), 12],
    ['a damaged request', ttrpc(9, 1, Buffer.from([0x0a, 0x7f])), 3],
  ])('refuses %s and goes on', async (_, bytes, code) => {
    const { server, sent } = serverFor(echo);
    server.push(bytes);
    server.push(call(11, 'next'));
    await settled();
    expect(sent.map((answer) => [answer.code, answer.payload])).toEqual([
      [code, ''],
      [0, 'next'],
    ]);
  });

  test('refuses a stream number that does not ascend', async () => {
    const { server, sent } = serverFor(echo);
    for (const stream of [5, 5, 3, 7]) server.push(call(stream, ''));
    await settled();
    expect(sent.map(({ stream, code }) => [stream, code]).sort()).toEqual([
      [3, 3],
      [5, 0],
      [5, 3],
      [7, 0],
    ]);
  });

  test('refuses calls beyond 256 that wait', async () => {
    const { server, sent } = serverFor(() => new Promise(() => {}));
    for (let index = 0; index < 257; index++) server.push(call(2 * index + 1, ''));
    await settled();
    expect(sent.map(({ stream, code }) => [stream, code])).toEqual([[513, 8]]);
  });

  test('ignores message types of later versions', async () => {
    const { server, sent } = serverFor(echo);
    server.push(ttrpc(1, 9, Buffer.from('future')));
    await settled();
    expect(sent).toEqual([]);
  });

  test('refuses a message above 4 MiB by its header alone', () => {
    const { server } = serverFor(echo);
    const header = ttrpc(1, 1, Buffer.alloc(0), 0, (4 << 20) + 1);
    expect(() => server.push(header)).toThrow(expect.objectContaining({ code: 'message-too-long' }));
  });

  test('says nothing after it was closed', async () => {
    const { server, sent } = serverFor(echo);
    server.push(call(1, ''));
    server.close();
    await settled();
    expect(sent).toEqual([]);
  });
});

describe('A client', () => {
  function client() {
    const sent: Buffer[] = [];
    return { client: new TtrpcClient((bytes) => sent.push(Buffer.from(bytes))), sent };
  }
  const answer = (stream: number, payload: string) => ttrpc(stream, 2, message(field(2, payload)));

  test('numbers its calls 1, 3, 5 and takes their answers in any order and any pieces', async () => {
    const { client: caller, sent } = client();
    const calls = ['a', 'b', 'c'].map((text) => caller.call('service', 'Method', Buffer.from(text)));
    expect(sent.map((bytes) => bytes.readUInt32BE(4))).toEqual([1, 3, 5]);
    expect(fieldsOf(sent[0]?.subarray(10) as Buffer)).toEqual(
      new Map([
        [1, Buffer.from('service')],
        [2, Buffer.from('Method')],
        [3, Buffer.from('a')],
      ]),
    );
    const answers = Buffer.concat([answer(5, 'C'), answer(99, 'nobody waits'), answer(1, 'A'), answer(3, 'B')]);
    for (const byte of answers) caller.push(Buffer.of(byte));
    expect((await Promise.all(calls)).map((payload) => Buffer.from(payload).toString())).toEqual(['A', 'B', 'C']);
  });

  test('rejects a call that is answered by an error, with its text', async () => {
    const { client: caller } = client();
    const call = caller.call('service', 'RegisterPlugin', Buffer.alloc(0));
    caller.push(ttrpc(1, 2, message(field(1, message(field(1, 2), field(2, 'invalid index'))))));
    await expect(call).rejects.toMatchObject({ code: 'refused', message: 'RegisterPlugin: invalid index' });
  });

  test('rejects a call whose answer is damaged', async () => {
    const { client: caller } = client();
    const call = caller.call('service', 'Method', Buffer.alloc(0));
    caller.push(ttrpc(1, 2, Buffer.from([0x12, 0x05, 0x00])));
    await expect(call).rejects.toMatchObject({ code: 'malformed' });
  });

  test('rejects a call that does not fit into a message, and numbers the next one as if it had not been', async () => {
    const { client: caller, sent } = client();
    await expect(caller.call('service', 'Method', Buffer.alloc(4 << 20))).rejects.toMatchObject({
      code: 'message-too-long',
    });
    void caller.call('service', 'Method', Buffer.alloc(0));
    expect(sent.map((bytes) => bytes.readUInt32BE(4))).toEqual([1]);
  });

  test('rejects calls that wait when it is closed, and later ones', async () => {
    const { client: caller } = client();
    const waiting = caller.call('service', 'Method', Buffer.alloc(0));
    caller.close(new NriError('closed', 'gone'));
    await expect(waiting).rejects.toMatchObject({ code: 'closed' });
    await expect(caller.call('service', 'Method', Buffer.alloc(0))).rejects.toMatchObject({ code: 'closed' });
  });
});
