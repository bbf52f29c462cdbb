/** The setup of the thread that judges copies; its commands are in judging/protocol.ts. */

import type { CaptureHandle } from '../../capture/capture.ts';
import type { JudgingSetup } from '../../judging/protocol.ts';

/** The thread's workerData, together with a CommandChannel. */
export interface CopySetup extends JudgingSetup {
  readonly capture: CaptureHandle;
}
