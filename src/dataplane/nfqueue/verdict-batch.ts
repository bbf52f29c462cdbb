/**
 * The verdicts of one batch, as consecutive netlink messages that a single `send` delivers. The
 * kernel takes them in order and reinjects each packet before it reads the next message.
 *
 *     0  nlmsghdr            len 40, NFQNL_MSG_VERDICT, NLM_F_REQUEST
 *     16 nfgenmsg            family 0, version 0, be16 queue
 *     20 NFQA_VERDICT_HDR    { be32 verdict; be32 packet id }
 *     32 NFQA_MARK           be32 the packet's new mark
 */
import {
  NFNL_SUBSYS_QUEUE,
  NFQA_MARK,
  NFQA_VERDICT_HDR,
  NFQNL_MSG_VERDICT,
  NLM_F_REQUEST,
} from '../../netlink/constants.ts';
import { MessageWriter } from '../../netlink/message.ts';

const VERDICT_LENGTH = 40;
const VERDICT_AT = 24;
const ID_AT = 28;
const MARK_AT = 36;

export class VerdictBatch {
  readonly bytes: Uint8Array;
  /** Bytes to send. */
  length = 0;
  readonly #view: DataView;

  /**
   * Prepares `capacity` verdicts for queue number `queue`: writes, once, everything that never
   * changes.
   */
  constructor(queue: number, capacity: number) {
    const writer = new MessageWriter(capacity * VERDICT_LENGTH);
    for (let i = 0; i < capacity; i++) {
      writer
        .begin(NFNL_SUBSYS_QUEUE, NFQNL_MSG_VERDICT, NLM_F_REQUEST, 0, 0, queue)
        .attribute(NFQA_VERDICT_HDR, new Uint8Array(8))
        .be32(NFQA_MARK, 0);
    }
    this.bytes = writer.bytes;
    this.#view = new DataView(this.bytes.buffer);
  }

  clear(): void {
    this.length = 0;
  }

  /**
   * Adds a verdict, NF_ACCEPT or NF_DROP, and the packet's whole new mark. At most `capacity`
   * verdicts between two `clear`s.
   */
  add(id: number, verdict: number, mark: number): void {
    const at = this.length;
    this.#view.setInt32(at + VERDICT_AT, verdict, false);
    this.#view.setInt32(at + ID_AT, id, false);
    this.#view.setInt32(at + MARK_AT, mark, false);
    this.length = at + VERDICT_LENGTH;
  }
}
