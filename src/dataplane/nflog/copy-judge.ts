/**
 * The main thread's handle to what judges copies of packets: a process with libpcap that takes them
 * from an NFLOG group, and a thread that judges them. Both are restarted when they end. The packets
 * pass meanwhile; only their judgement is missing.
 */
import { extname } from 'node:path';
import type { CopyCounts } from '../../agent-state/counters.ts';
import { Capture, type CaptureChange } from '../../capture/capture.ts';
import { nflogInterface } from '../../capture/nflog-socket.ts';
import { JudgingThreads, type JudgingThreadsOptions } from '../../judging/judging-threads.ts';
import type { Command } from '../../judging/protocol.ts';
import { CommandedThread } from '../../sys/commanded-thread.ts';
import { SequenceEnded } from '../../sys/sequence.ts';
import type { CopySetup } from './copy-setup.ts';

export interface CopyJudgeOptions extends Omit<JudgingThreadsOptions, 'first' | 'count'> {
  /** The NFLOG group that gets the copies. */
  readonly group: number;
  /** Calls `start` in the group's network namespace. @default the calling thread's */
  readonly inNamespace?: <T>(start: () => T) => T;
  /** Also called when copies are taken again after an interruption. */
  readonly beforeBind: NonNullable<JudgingThreadsOptions['beforeBind']>;
  /** Called when copies are no longer taken, with the reason, and when they are taken again. */
  readonly onChange: (change: CaptureChange) => void;
  /** Called when connections opened during an interruption could not be read from the kernel. */
  readonly onUnread: (error: Error) => void;
}

/** Bytes of the kernel's buffer for copies that wait. */
const BUFFER = 32 << 20;
/** Bytes of a copy with its NFLOG attributes. The kernel copies far less of a packet. */
const SNAP_LENGTH = 1024;
const PROGRAM = new URL(`./copy-worker${extname(import.meta.filename)}`, import.meta.url);

export class CopyJudge {
  /**
   * The judging thread. Its `bind` throws CaptureUnavailableError if this machine cannot take
   * copies.
   */
  readonly threads: JudgingThreads;
  readonly #options: CopyJudgeOptions;
  readonly #capture: Capture;
  /** Whether copies may have been missed. */
  #hasMissed = false;

  /** Starts the process and the thread. Nothing is judged before `threads.bind`. */
  constructor(options: CopyJudgeOptions, table: SharedArrayBuffer) {
    const { group, beforeBind, inNamespace } = options;
    this.#options = options;
    this.#capture = new Capture({
      interfaces: [nflogInterface(group)],
      frames: 'all',
      bufferBytes: BUFFER,
      snapLength: SNAP_LENGTH,
      ...(inNamespace === undefined ? {} : { inNamespace }),
      onChange: (change) => this.#changed(change),
    });
    const taking: typeof beforeBind = async (command) => {
      await this.#capture.tried;
      return await beforeBind(command);
    };
    const { handle } = this.#capture;
    this.threads = new JudgingThreads(
      { ...options, first: group, count: 1, beforeBind: taking },
      table,
      (_, judging) => {
        const setup: CopySetup = { ...judging, capture: handle };
        return new CommandedThread<Command>(PROGRAM, 'podfence-copies', setup);
      },
    );
  }

  /** Why copies are not taken; undefined while they are. */
  get problem(): string | undefined {
    const [change] = this.#capture.closed;
    return change && `copies of packets are not taken: ${change.closed}`;
  }

  get counts(): CopyCounts {
    const { captured, dropped, restarts } = this.#capture;
    return { taken: captured, lost: dropped, restarts };
  }

  async stop(): Promise<void> {
    // The thread reads the capture's memory, so it ends first.
    await this.threads.stop();
    await this.#capture.stop();
  }

  #changed(change: CaptureChange): void {
    this.#options.onChange(change);
    const isOpen = change.closed === undefined;
    if (isOpen && this.#hasMissed) this.#catchUp();
    this.#hasMissed = !isOpen;
  }

  /**
   * Judges the connections that were opened during an interruption and are still in the kernel's
   * table. The others are lost.
   */
  #catchUp(): void {
    const { beforeBind, onUnread, sequence } = this.#options;
    const read = () => beforeBind((command) => this.threads.command(command));
    sequence.run(read).catch((error: Error) => {
      if (!(error instanceof SequenceEnded)) onUnread(error);
    });
  }
}
