/**
 * ttrpc: calls over a stream of bytes. Here are unary calls only, as NRI makes them. See
 * containerd/ttrpc, PROTOCOL.md.
 *
 *     be32 length | be32 stream | u8 type | u8 flags | message                    10 bytes + message
 *
 * The caller numbers its calls, called streams, with ascending odd numbers.
 */
import { NriError } from './error.ts';
import {
  type CallStatus,
  decodeCallRequest,
  decodeCallResponse,
  encodeCallRequest,
  encodeCallResponse,
} from './ttrpc-messages.ts';

const HEADER_LENGTH = 10;
const MOST_LENGTH = 4 << 20;

const NO_BYTES: Uint8Array = new Uint8Array(0);

const TYPE_REQUEST = 1;
const TYPE_RESPONSE = 2;
const TYPE_DATA = 3;
/** The caller goes on sending data: the call is not unary. */
const FLAG_REMOTE_OPEN = 2;

/** Status codes of google.rpc.Code. */
const OK = 0;
const UNKNOWN = 2;
const INVALID_ARGUMENT = 3;
const RESOURCE_EXHAUSTED = 8;
export const UNIMPLEMENTED = 12;

/** The runtime makes one call at a time. More than this many that wait for an answer is a fault. */
const MOST_WAITING = 256;
/** Longest text of an error in an answer, in characters: the runtime puts it into a pod's event. */
const MOST_TEXT = 1024;

/** A handler throws it to answer a call with that status; any other error is UNKNOWN. */
export class CallError extends Error {
  override readonly name = 'CallError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

type MessageListener = (stream: number, type: number, flags: number, message: Uint8Array) => void;

/** Cuts a stream of bytes into messages. */
class MessageReader {
  readonly #listener: MessageListener;
  readonly #header = new Uint8Array(HEADER_LENGTH);
  readonly #headerView = new DataView(this.#header.buffer);
  #headerFilled = 0;
  /** A message that did not arrive in one piece, and how much of it has come. */
  #message = NO_BYTES;
  #filled = 0;

  /** @param listener may keep the message's bytes only if it copies them */
  constructor(listener: MessageListener) {
    this.#listener = listener;
  }

  /** Throws NriError `message-too-long`; the stream is lost then. */
  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      at += this.#headerFilled < HEADER_LENGTH ? this.#takeHeader(bytes, at) : this.#takeBody(bytes, at);
    }
  }

  /** Returns how many bytes it has taken. */
  #takeHeader(bytes: Uint8Array, at: number): number {
    const piece = bytes.subarray(at, at + HEADER_LENGTH - this.#headerFilled);
    this.#header.set(piece, this.#headerFilled);
    this.#headerFilled += piece.length;
    if (this.#headerFilled === HEADER_LENGTH && this.#length() === 0) this.#finish(NO_BYTES);
    return piece.length;
  }

  /** Returns how many bytes it has taken. */
  #takeBody(bytes: Uint8Array, at: number): number {
    const length = this.#length();
    const piece = bytes.subarray(at, at + length - this.#filled);
    if (piece.length === length) {
      this.#finish(piece);
    } else {
      if (this.#filled === 0) this.#message = new Uint8Array(length);
      this.#message.set(piece, this.#filled);
      this.#filled += piece.length;
      if (this.#filled === length) this.#finish(this.#message);
    }
    return piece.length;
  }

  #length(): number {
    const length = this.#headerView.getUint32(0);
    if (length <= MOST_LENGTH) return length;
    throw new NriError('message-too-long', `the runtime announced a message of ${length} bytes`);
  }

  #finish(message: Uint8Array): void {
    this.#headerFilled = 0;
    this.#message = NO_BYTES;
    this.#filled = 0;
    const view = this.#headerView;
    this.#listener(view.getUint32(4), view.getUint8(8), view.getUint8(9), message);
  }
}

/** Throws NriError `message-too-long`. */
function messageOf(stream: number, type: number, body: Uint8Array): Uint8Array {
  if (body.length > MOST_LENGTH) throw new NriError('message-too-long', `a message of ${body.length} bytes`);
  const message = new Uint8Array(HEADER_LENGTH + body.length);
  const view = new DataView(message.buffer);
  view.setUint32(0, body.length);
  view.setUint32(4, stream);
  view.setUint8(8, type);
  message.set(body, HEADER_LENGTH);
  return message;
}

interface Waiting {
  readonly method: string;
  readonly resolve: (payload: Uint8Array) => void;
  readonly reject: (error: NriError) => void;
}

/** The side that calls. */
export class TtrpcClient {
  readonly #send: (bytes: Uint8Array) => void;
  readonly #reader = new MessageReader((stream, type, _flags, message) => this.#take(stream, type, message));
  readonly #waiting = new Map<number, Waiting>();
  #nextStream = 1;
  #end: NriError | undefined;

  constructor(send: (bytes: Uint8Array) => void) {
    this.#send = send;
  }

  /**
   * Resolves with the payload of the answer. Rejects with NriError: `refused` with the answer's
   * text, `malformed`, `message-too-long`, or the reason given to `close`.
   */
  call(service: string, method: string, payload: Uint8Array): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    if (this.#end !== undefined) {
      reject(this.#end);
      return promise;
    }
    const stream = this.#nextStream;
    try {
      const message = messageOf(stream, TYPE_REQUEST, encodeCallRequest({ service, method, payload }));
      this.#nextStream += 2;
      this.#waiting.set(stream, { method, resolve, reject });
      this.#send(message);
    } catch (error) {
      this.#waiting.delete(stream);
      reject(error);
    }
    return promise;
  }

  /** Takes the next bytes of the stream. Throws NriError `message-too-long`. */
  push(bytes: Uint8Array): void {
    this.#reader.push(bytes);
  }

  /** Rejects the calls that wait, and all later ones. */
  close(reason: NriError): void {
    this.#end ??= reason;
    for (const { reject } of this.#waiting.values()) reject(this.#end);
    this.#waiting.clear();
  }

  /** Other types of message may come from a later version, and answers that nobody waits for. */
  #take(stream: number, type: number, message: Uint8Array): void {
    const call = this.#waiting.get(stream);
    if (call === undefined || type !== TYPE_RESPONSE) return;
    this.#waiting.delete(stream);
    try {
      const { status, payload } = decodeCallResponse(message);
      if (status.code === OK) call.resolve(new Uint8Array(payload));
      else call.reject(new NriError('refused', `${call.method}: ${status.message || `status ${status.code}`}`));
    } catch (error) {
      call.reject(error as NriError);
    }
  }
}

/**
 * Answers a call. Its error becomes the answer's status. The payload is valid only until the
 * handler waits for something.
 */
export type CallHandler = (service: string, method: string, payload: Uint8Array) => Promise<Uint8Array> | Uint8Array;

/** The side that is called. */
export class TtrpcServer {
  readonly #send: (bytes: Uint8Array) => void;
  readonly #handle: CallHandler;
  readonly #reader = new MessageReader((stream, type, flags, message) => this.#take(stream, type, flags, message));
  #lastStream = 0;
  #waiting = 0;
  #isClosed = false;

  constructor(send: (bytes: Uint8Array) => void, handle: CallHandler) {
    this.#send = send;
    this.#handle = handle;
  }

  /** Takes the next bytes of the stream. Throws NriError `message-too-long`. */
  push(bytes: Uint8Array): void {
    this.#reader.push(bytes);
  }

  /** What handlers answer from now on goes nowhere. */
  close(): void {
    this.#isClosed = true;
  }

  /** Message types of later versions are ignored, as the reference does. */
  #take(stream: number, type: number, flags: number, message: Uint8Array): void {
    const complaint = this.#complaintAbout(stream, type, flags);
    if (complaint !== undefined) this.#answer(stream, complaint);
    if (complaint !== undefined || type !== TYPE_REQUEST) return;
    this.#lastStream = stream;
    void this.#serve(stream, message);
  }

  #complaintAbout(stream: number, type: number, flags: number): CallStatus | undefined {
    const invalid = (message: string) => ({ code: INVALID_ARGUMENT, message });
    if (type === TYPE_DATA) return invalid('no stream expects data');
    if (type !== TYPE_REQUEST) return undefined;
    if (stream % 2 !== 1) return invalid('the number of a stream must be odd');
    if (stream <= this.#lastStream) return invalid('the numbers of streams must ascend');
    if ((flags & FLAG_REMOTE_OPEN) !== 0) return { code: UNIMPLEMENTED, message: 'only unary calls are served' };
    if (this.#waiting >= MOST_WAITING) return { code: RESOURCE_EXHAUSTED, message: 'too many calls at once' };
    return undefined;
  }

  async #serve(stream: number, message: Uint8Array): Promise<void> {
    this.#waiting++;
    try {
      const { service, method, payload } = decodeCallRequest(message);
      const answer = await this.#handle(service, method, payload);
      this.#answer(stream, { code: OK, message: '' }, answer);
    } catch (error) {
      this.#answer(stream, statusOf(error));
    } finally {
      this.#waiting--;
    }
  }

  #answer(stream: number, status: CallStatus, payload = NO_BYTES): void {
    if (!this.#isClosed) this.#send(messageOf(stream, TYPE_RESPONSE, encodeCallResponse({ status, payload })));
  }
}

function statusOf(error: unknown): CallStatus {
  const message = (error instanceof Error ? error.message : String(error)).slice(0, MOST_TEXT);
  if (error instanceof CallError) return { code: error.status, message };
  if (error instanceof NriError && error.code === 'malformed') return { code: INVALID_ARGUMENT, message };
  return { code: UNKNOWN, message };
}
