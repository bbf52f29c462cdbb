/**
 * NRI's multiplexer: two connections over one stream, the plugin's service and the runtime's.
 *
 *     be32 connection | be32 length | payload                                      8 bytes + payload
 *
 * Frames have nothing to do with messages: one can hold part of a message, or several messages. See
 * containerd/nri, pkg/net/multiplex.
 */
import { NriError } from './error.ts';

/** The runtime calls the plugin. (multiplex.PluginServiceConn) */
export const PLUGIN_SERVICE = 1;
/** The plugin calls the runtime. (multiplex.RuntimeServiceConn) */
export const RUNTIME_SERVICE = 2;

const HEADER_LENGTH = 8;
/** One ttrpc message with its header. */
const MOST_PAYLOAD = 10 + (4 << 20);
/**
 * The runtime reads the payload of a frame in one piece, through a buffer of 4096 bytes (Go's
 * bufio), and drops the connection if it does not fit.
 */
const MOST_SENT = 4096;

export class Mux {
  readonly #send: (bytes: Uint8Array) => void;
  readonly #receive: (connection: number, bytes: Uint8Array) => void;
  readonly #header = new Uint8Array(HEADER_LENGTH);
  readonly #headerView = new DataView(this.#header.buffer);
  #headerFilled = 0;
  #connection = 0;
  /** Bytes that the payload still lacks. */
  #due = 0;

  /**
   * @param send takes the bytes of the stream, frame by frame
   * @param receive takes payload of a connection as it arrives, in pieces of any length; their
   *   bytes belong to the caller of `push`
   */
  constructor(send: (bytes: Uint8Array) => void, receive: (connection: number, bytes: Uint8Array) => void) {
    this.#send = send;
    this.#receive = receive;
  }

  /** Takes the next bytes of the stream. After NriError `frame-too-long` the stream is lost. */
  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.#due > 0) {
        const end = Math.min(bytes.length, at + this.#due);
        this.#due -= end - at;
        this.#receive(this.#connection, bytes.subarray(at, end));
        at = end;
      } else {
        const end = Math.min(bytes.length, at + HEADER_LENGTH - this.#headerFilled);
        this.#header.set(bytes.subarray(at, end), this.#headerFilled);
        this.#headerFilled += end - at;
        at = end;
        if (this.#headerFilled === HEADER_LENGTH) this.#beginFrame();
      }
    }
  }

  write(connection: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += MOST_SENT) {
      const payload = bytes.subarray(at, at + MOST_SENT);
      const frame = new Uint8Array(HEADER_LENGTH + payload.length);
      const view = new DataView(frame.buffer);
      view.setUint32(0, connection);
      view.setUint32(4, payload.length);
      frame.set(payload, HEADER_LENGTH);
      this.#send(frame);
    }
  }

  #beginFrame(): void {
    this.#headerFilled = 0;
    this.#connection = this.#headerView.getUint32(0);
    this.#due = this.#headerView.getUint32(4);
    if (this.#due > MOST_PAYLOAD) {
      throw new NriError('frame-too-long', `the runtime announced a frame of ${this.#due} bytes`);
    }
  }
}
