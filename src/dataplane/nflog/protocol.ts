/** What the thread that judges copies is told at its start; its commands are those of a queue worker. */
import type { JudgingSetup } from '../nfqueue/protocol.ts';
import type { CaptureHandle } from '../pcap/capture.ts';

/** As its workerData, with a CommandChannel. */
export interface CopySetup extends JudgingSetup {
  readonly capture: CaptureHandle;
}
