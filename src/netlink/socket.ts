/**
 * A netlink socket in the network namespace of the thread that opens it; by default of netfilter's
 * family.
 */
import {
  AF_NETLINK,
  bind,
  close,
  EAGAIN,
  EINTR,
  ENOBUFS,
  errno,
  errnoName,
  MSG_DONTWAIT,
  recv,
  SO_RCVBUFFORCE,
  SOCK_RAW,
  SOL_SOCKET,
  SystemCallError,
  send,
  setsockopt,
  socket,
} from '../sys/libc.ts';
import {
  NETLINK_ADD_MEMBERSHIP,
  NETLINK_NETFILTER,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  SOL_NETLINK,
} from './constants.ts';
import { align4, type MessageWriter, NLMSG_HDRLEN } from './message.ts';

const SOCKADDR_NL_LENGTH = 12;
const RECEIVE_LENGTH = 65536;

/**
 * The kernel refused a request: `code` is the symbolic errno (`EPERM`, `ENOENT`, …), `request`
 * names the request.
 */
class NetlinkError extends Error {
  readonly code: string;
  readonly request: string;

  constructor(request: string, errno: number) {
    const code = errnoName(errno);
    const hint = code === 'EPERM' ? '; CAP_NET_ADMIN is missing, or another process has bound it' : '';
    super(`${request}: the kernel answered ${code}${hint}`);
    this.name = 'NetlinkError';
    this.code = code;
    this.request = request;
  }
}

/**
 * How a dump ended; `interrupted` if the table changed meanwhile and the dump may be inconsistent.
 */
export type DumpEnd = 'complete' | 'interrupted';

export class NetlinkSocket implements Disposable {
  readonly fd: number;
  readonly #received = new Uint8Array(RECEIVE_LENGTH);
  readonly #view = new DataView(this.#received.buffer);

  /**
   * `receiveBuffer` is in bytes and may exceed the system's limit (SO_RCVBUFFORCE needs
   * CAP_NET_ADMIN).
   */
  constructor(receiveBuffer: number, protocol = NETLINK_NETFILTER) {
    this.fd = socket(AF_NETLINK, SOCK_RAW, protocol);
    const address = new Uint8Array(SOCKADDR_NL_LENGTH);
    address[0] = AF_NETLINK;
    bind(this.fd, address);
    setsockopt(this.fd, SOL_SOCKET, SO_RCVBUFFORCE, receiveBuffer);
  }

  /**
   * Sends messages that each ask for an acknowledgement (NLM_F_ACK) and waits for all of them.
   * Throws NetlinkError for the first refusal, after the last answer has come.
   * @param sequences how many acknowledgements are due
   * @param tolerate errno names that are not errors here
   */
  request(what: string, writer: MessageWriter, sequences: number, tolerate: readonly string[] = []): void {
    this.#send(writer);
    let due = sequences;
    let refusal: NetlinkError | undefined;
    while (due > 0) {
      const length = this.#receive();
      this.#each(length, (type, start) => {
        if (type !== NLMSG_ERROR) return;
        due--;
        const error = -this.#view.getInt32(start + NLMSG_HDRLEN, true);
        if (error !== 0 && !tolerate.includes(errnoName(error))) refusal ??= new NetlinkError(what, error);
      });
    }
    if (refusal !== undefined) throw refusal;
  }

  /**
   * Requests a dump (NLM_F_DUMP) and passes every entry to `entry`: its attributes are in the view
   * at [start, end), behind an nfgenmsg with that family. Yields to the event loop after each piece
   * of up to 64 KiB, so that a long table does not hold up the process.
   */
  async dump(
    what: string,
    writer: MessageWriter,
    entry: (view: DataView, start: number, end: number, family: number) => void,
  ): Promise<DumpEnd> {
    this.#send(writer);
    let end: DumpEnd = 'complete';
    let done = false;
    while (!done) {
      const length = this.#receive();
      this.#each(length, (type, start, messageEnd) => {
        if ((this.#view.getUint16(start + 6, true) & NLM_F_DUMP_INTR) !== 0) end = 'interrupted';
        if (type === NLMSG_DONE) {
          done = true;
        } else if (type === NLMSG_ERROR) {
          throw new NetlinkError(what, -this.#view.getInt32(start + NLMSG_HDRLEN, true));
        } else {
          entry(this.#view, start + NLMSG_HDRLEN + 4, messageEnd, this.#view.getUint8(start + NLMSG_HDRLEN));
        }
      });
      if (!done) await new Promise<void>((resume) => setImmediate(resume));
    }
    return end;
  }

  /** Joins a multicast group, whose notices `takeWaiting` takes. */
  join(group: number): void {
    setsockopt(this.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
  }

  /**
   * Passes every message that has arrived to `message`, with its type and its start and end in the
   * view; does not wait. Returns `lost` if the receive buffer was full and the kernel dropped
   * messages.
   */
  takeWaiting(message: (view: DataView, type: number, start: number, end: number) => void): 'complete' | 'lost' {
    let outcome: 'complete' | 'lost' = 'complete';
    for (;;) {
      const length = recv(this.fd, this.#received, RECEIVE_LENGTH, MSG_DONTWAIT);
      if (length >= 0) {
        this.#each(length, (type, start, end) => message(this.#view, type, start, end));
      } else if (errno() === ENOBUFS) {
        outcome = 'lost';
      } else if (errno() === EAGAIN) {
        return outcome;
      } else if (errno() !== EINTR) {
        throw new SystemCallError('recv', errno());
      }
    }
  }

  close(): void {
    close(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #send(writer: MessageWriter): void {
    if (send(this.fd, writer.bytes, writer.length, 0) < 0) throw new SystemCallError('send', errno());
  }

  #receive(): number {
    for (;;) {
      const length = recv(this.fd, this.#received, RECEIVE_LENGTH, 0);
      if (length >= 0) return length;
      // ENOBUFS means that an earlier message was lost. What follows is intact, and the caller's
      // count shows what is missing.
      if (errno() !== EINTR && errno() !== ENOBUFS) throw new SystemCallError('recv', errno());
    }
  }

  #each(length: number, message: (type: number, start: number, end: number) => void): void {
    for (let start = 0; start + NLMSG_HDRLEN <= length; ) {
      const messageLength = this.#view.getUint32(start, true);
      if (messageLength < NLMSG_HDRLEN || start + messageLength > length) return;
      message(this.#view.getUint16(start + 4, true), start, start + messageLength);
      start += align4(messageLength);
    }
  }
}
