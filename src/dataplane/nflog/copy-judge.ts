/**
 * Copies of packets, judged: a process with libpcap that takes them from an NFLOG group, and a thread that judges them, as the main thread sees both. Both come back
 * when they end; what went on meanwhile has gone on, and only its judgement is missing.
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
  /** The NFLOG group that copies are handed to. */
  readonly group: number;
  /** Calls `start` in the network namespace of the group. @default that of the calling thread */
  readonly inNamespace?: <T>(start: () => T) => T;
  /** Also called when copies are taken again after they were not. */
  readonly beforeBind: NonNullable<JudgingThreadsOptions['beforeBind']>;
  /** Copies are not taken any more, and why, or they are again. */
  readonly onChange: (change: CaptureChange) => void;
  /** What was opened while copies were not taken could not be read from the kernel. */
  readonly onUnread: (error: Error) => void;
}

/** Of the kernel, for copies that wait. */
const BUFFER = 32 << 20;
/** Of a copy with what the kernel says about it: far above what it copies of a packet. */
const SNAP_LENGTH = 1024;
const PROGRAM = new URL(`./copy-worker${extname(import.meta.filename)}`, import.meta.url);

export class CopyJudge {
  /** The thread. Its `bind` throws a CaptureUnavailableError where copies cannot be taken on this machine. */
  readonly threads: JudgingThreads;
  readonly #options: CopyJudgeOptions;
  readonly #capture: Capture;
  /** Whether copies can have been missed that were made for us. */
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
    // The thread reads the capture's memory.
    await this.threads.stop();
    await this.#capture.stop();
  }

  #changed(change: CaptureChange): void {
    this.#options.onChange(change);
    const isOpen = change.closed === undefined;
    if (isOpen && this.#hasMissed) this.#catchUp();
    this.#hasMissed = !isOpen;
  }

  /** A connection that was opened meanwhile is still there to be judged; where the kernel does not tell of it, nobody can. */
  #catchUp(): void {
    const { beforeBind, onUnread, sequence } = this.#options;
    const read = () => beforeBind((command) => this.threads.command(command));
    sequence.run(read).catch((error: Error) => {
      if (!(error instanceof SequenceEnded)) onUnread(error);
    });
  }
}
