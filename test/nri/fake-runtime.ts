/**
 * A container runtime's side of NRI, written apart from the code that it tests: listens at a unix
 * socket, registers plugins, and makes calls.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endWithTest } from '../own.ts';

const PLUGIN_SERVICE = 1;
const RUNTIME_SERVICE = 2;

export interface Answer {
  readonly code: number;
  readonly message: string;
  readonly payload: Buffer;
}

/** A protobuf field: a string, bytes or a message; or a number. */
export function field(number: number, value: string | Uint8Array | number): Buffer {
  if (typeof value === 'number') return Buffer.concat([varint(number << 3), varint(value)]);
  const bytes = Buffer.from(value as string);
  return Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
}

export function message(...fields: Buffer[]): Buffer {
  return Buffer.concat(fields);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push(rest >= 128 ? (rest % 128) | 128 : rest);
    if (rest < 128) return Buffer.from(bytes);
  }
}

/** Splits a message into its fields: numbers, or bytes. */
export function fieldsOf(bytes: Buffer): Map<number, number | Buffer> {
  const fields = new Map<number, number | Buffer>();
  let at = 0;
  const number = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes.readUInt8(at++);
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = number();
    const value = number();
    fields.set(tag >> 3, (tag & 7) === 0 ? value : bytes.subarray(at, at + value));
    if ((tag & 7) === 2) at += value;
  }
  return fields;
}

export interface PodFields {
  readonly id?: string;
  readonly name?: string;
  readonly uid?: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly ips?: readonly string[];
  readonly netnsPath?: string;
  readonly pid?: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A PodSandbox message. */
export function pod(fields: PodFields): Buffer {
  const { id = 'id', name = 'web', uid = 'uid', namespace = 'shop', labels = {}, annotations = {}, ips = [] } = fields;
  const { netnsPath, pid = 7 } = fields;
  const entry = ([key, value]: [string, string]) => message(field(1, key), field(2, value));
  const namespaceMessage = (type: string, path: string) => field(5, message(field(1, type), field(2, path)));
  return message(
    field(1, id),
    field(2, name),
    field(3, uid),
    field(4, namespace),
    ...Object.entries(labels).map((label) => field(5, entry(label))),
    ...Object.entries(annotations).map((annotation) => field(6, entry(annotation))),
    field(7, 'runc'),
    field(
      8,
      message(
        field(3, '/kubepods'),
        namespaceMessage('ipc', ''),
        ...(netnsPath === undefined ? [] : [namespaceMessage('network', netnsPath)]),
      ),
    ),
    field(9, pid),
    ...ips.map((ip) => field(10, ip)),
  );
}

export function frame(connection: number, payload: Uint8Array, length = payload.length): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(connection, 0);
  header.writeUInt32BE(length, 4);
  return Buffer.concat([header, payload]);
}

export function ttrpc(stream: number, type: number, body: Uint8Array, flags = 0, length = body.length): Buffer {
  const header = Buffer.alloc(10);
  header.writeUInt32BE(length, 0);
  header.writeUInt32BE(stream, 4);
  header.writeUInt8(type, 8);
  header.writeUInt8(flags, 9);
  return Buffer.concat([header, body]);
}

export function request(method: string, payload: Uint8Array, service = 'nri.pkg.api.v1alpha1.Plugin'): Buffer {
  return message(field(1, service), field(2, method), field(3, payload), field(4, 2_000_000_000));
}

interface Registration {
  readonly name: string;
  readonly index: string;
}

/** The runtime's end of the connection to one plugin. */
export class PluginEnd {
  readonly #socket: Socket;
  readonly #answers = new Map<number, (answer: Answer) => void>();
  readonly #registration = Promise.withResolvers<Registration>();
  readonly closed: Promise<unknown>;
  /** The longest frame that the plugin has sent. */
  longestFrame = 0;
  #stream = 1;
  #frames = Buffer.alloc(0);
  readonly #streams = new Map<number, Buffer>();

  constructor(socket: Socket) {
    this.#socket = socket;
    this.closed = once(socket, 'close');
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => this.#take(bytes));
  }

  /** Resolves with what the plugin registers as, after the runtime has answered it. */
  get registration(): Promise<Registration> {
    return this.#registration.promise;
  }

  /** Registers the plugin and resolves with its event mask. */
  async configure(runtime = 'containerd'): Promise<number> {
    await this.registration;
    const details = message(field(2, runtime), field(3, '2.2.9'), field(4, 5000), field(5, 2000), field(6, '0.11.0'));
    const { payload } = await this.call('Configure', details);
    return fieldsOf(payload).get(2) as number;
  }

  /** Registers the plugin and tells it of pods. */
  async start(...pods: Buffer[]): Promise<void> {
    await this.configure();
    await this.call('Synchronize', message(...pods.map((pod) => field(1, pod))));
  }

  /** Makes a call, and resolves with its answer. */
  call(method: string, payload: Uint8Array, service?: string): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#answers.set(this.#stream, resolve);
    this.send(frame(PLUGIN_SERVICE, ttrpc(this.#stream, 1, request(method, payload, service))));
    this.#stream += 2;
    return promise;
  }

  /** Reports an event as runtimes with NRI before 0.12 do. */
  stateChange(event: number, pod: Buffer): Promise<Answer> {
    return this.call('StateChange', message(field(1, event), field(2, pod)));
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    this.#frames = Buffer.concat([this.#frames, bytes]);
    while (this.#frames.length >= 8) {
      const connection = this.#frames.readUInt32BE(0);
      const length = this.#frames.readUInt32BE(4);
      if (this.#frames.length < 8 + length) return;
      this.longestFrame = Math.max(this.longestFrame, length);
      this.#takePayload(connection, this.#frames.subarray(8, 8 + length));
      this.#frames = this.#frames.subarray(8 + length);
    }
  }

  #takePayload(connection: number, payload: Buffer): void {
    let stream = Buffer.concat([this.#streams.get(connection) ?? Buffer.alloc(0), payload]);
    while (stream.length >= 10 && stream.length >= 10 + stream.readUInt32BE(0)) {
      const length = stream.readUInt32BE(0);
      this.#takeMessage(connection, stream.readUInt32BE(4), stream.subarray(10, 10 + length));
      stream = stream.subarray(10 + length);
    }
    this.#streams.set(connection, stream);
  }

  #takeMessage(connection: number, stream: number, body: Buffer): void {
    const fields = fieldsOf(body);
    if (connection === RUNTIME_SERVICE) {
      const registration = fieldsOf(fields.get(3) as Buffer);
      this.answerRegistration(stream);
      this.#registration.resolve({ name: String(registration.get(1)), index: String(registration.get(2)) });
      return;
    }
    const status = fieldsOf((fields.get(1) as Buffer | undefined) ?? Buffer.alloc(0));
    this.#answers.get(stream)?.({
      code: (status.get(1) as number | undefined) ?? 0,
      message: String(status.get(2) ?? ''),
      payload: (fields.get(2) as Buffer | undefined) ?? Buffer.alloc(0),
    });
    this.#answers.delete(stream);
  }

  /** A test may replace it. */
  answerRegistration(stream: number): void {
    this.send(frame(RUNTIME_SERVICE, ttrpc(stream, 2, message(field(2, '')))));
  }

  /** Refuses the plugin's registration. */
  refuseRegistration(text: string): void {
    this.answerRegistration = (stream) => {
      const status = message(field(1, 2), field(2, text));
      this.send(frame(RUNTIME_SERVICE, ttrpc(stream, 2, message(field(1, status)))));
    };
  }
}

/** Listens at a socket of its own, and ends with the test. */
export class FakeRuntime {
  readonly path: string;
  #server: Server | undefined;
  readonly #plugins: PluginEnd[] = [];
  readonly #arrived: PluginEnd[] = [];
  readonly #wanted: ((plugin: PluginEnd) => void)[] = [];

  /** Listens from `listen` on. */
  constructor() {
    const folder = mkdtempSync(join(tmpdir(), 'podfence-nri-'));
    this.path = join(folder, 'nri.sock');
    endWithTest(async () => {
      await this.close();
      rmSync(folder, { recursive: true });
    });
  }

  async listen(): Promise<this> {
    // A socket that is left over is in the way.
    rmSync(this.path, { force: true });
    this.#server = createServer((socket) => this.#accept(new PluginEnd(socket)));
    this.#server.listen(this.path);
    await once(this.#server, 'listening');
    return this;
  }

  /** Resolves with the next plugin that connects. */
  plugin(): Promise<PluginEnd> {
    const arrived = this.#arrived.shift();
    if (arrived !== undefined) return Promise.resolve(arrived);
    const { promise, resolve } = Promise.withResolvers<PluginEnd>();
    this.#wanted.push(resolve);
    return promise;
  }

  /** Closes all connections and removes the socket. */
  async close(): Promise<void> {
    for (const plugin of this.#plugins.splice(0)) plugin.close();
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = once(server, 'close');
    server.close();
    await closed;
  }

  #accept(plugin: PluginEnd): void {
    this.#plugins.push(plugin);
    const wanted = this.#wanted.shift();
    if (wanted === undefined) this.#arrived.push(plugin);
    else wanted(plugin);
  }
}
