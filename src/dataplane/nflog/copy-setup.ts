/** What the thread that judges copies is told at its start; its commands are those of judging/protocol.ts. */

import type { CaptureHandle } from '../../capture/capture.ts';
import type { JudgingSetup } from '../../judging/protocol.ts';

/** As its workerData, with a CommandChannel. */
export interface CopySetup extends JudgingSetup {
  readonly capture: CaptureHandle;
}
