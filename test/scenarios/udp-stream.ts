/** A two-way stream of datagrams. */
import { close, SOCK_DGRAM } from '../../src/sys/libc.ts';
import { localAddress, peerAddress, receiveFrom, sendTo, socketAddress } from '../../src/sys/sockets.ts';
import { bindTo, buffer, bufferView, encoded, MESSAGE, open, ownAddress } from './stream-sockets.ts';
import { type Passage, Stream, type StreamOptions } from './streams.ts';

/**
 * A client that sends datagrams, and a server that sends as many itself once it has heard of the
 * client, or from the beginning if the client's port is given.
 */
export class UdpStream extends Stream {
  readonly sourcePort: number;
  readonly #client: number;
  readonly #server: number;
  /** The address that the server sends to. */
  #peer: Uint8Array | undefined;

  constructor({ from, to, port, sourcePort = 0, target = { address: to.addresses[0] ?? '', port } }: StreamOptions) {
    super(target);
    const { address } = target;
    this.#client = open(from, address, SOCK_DGRAM);
    bindTo(this.#client, ownAddress(from, address), sourcePort);
    this.sourcePort = localAddress(this.#client).port;
    this.#server = open(to, address, SOCK_DGRAM);
    bindTo(this.#server, ownAddress(to, address), port);
    if (sourcePort !== 0) this.#peer = socketAddress(ownAddress(from, address), sourcePort);
    this.start();
  }

  override async watch(): Promise<Passage> {
    const since = this.moment();
    const passage = await super.watch();
    const wasSilent = this.client.sent === since.fromClient || (this.#peer && this.server.sent === since.fromServer);
    if (wasSilent) throw new Error('nothing was sent while nothing should arrive');
    return passage;
  }

  protected receiveAll(): void {
    while (receiveFrom(this.#client, buffer, 0) >= MESSAGE) {
      if (bufferView.getUint32(0) === this.id) this.client.note(bufferView.getUint32(4));
    }
    while (receiveFrom(this.#server, buffer, 0) >= MESSAGE) {
      if (bufferView.getUint32(0) !== this.id) continue;
      this.#peer ??= peerAddress.slice(0, this.target.length);
      this.server.note(bufferView.getUint32(4));
    }
  }

  protected sendBurst(count: number): void {
    for (let i = 0; i < count; i++) {
      if (sendTo(this.#client, encoded(this.id, this.client.sent), 0, this.target) > 0) this.client.sent++;
      if (this.#peer && sendTo(this.#server, encoded(this.id, this.server.sent), 0, this.#peer) > 0) this.server.sent++;
    }
  }

  protected closeSockets(): void {
    close(this.#client);
    close(this.#server);
  }
}
