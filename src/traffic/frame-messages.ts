/** What the main thread and the thread that judges captured frames tell one another. */
import type { CaptureHandle } from '../capture/capture.ts';
import type { PlacesInit } from '../frames/places.ts';
import type { WireSetup } from '../wire/cables.ts';

/** As its workerData, with a CommandChannel. */
export interface JudgeSetup {
  /** One, or those of a wire: of the first interface of each pair, and of the second. */
  readonly captures: readonly CaptureHandle[];
  /** The cables, where allowed frames are sent on. */
  readonly wire: WireSetup | undefined;
  readonly table: SharedArrayBuffer;
  readonly places: PlacesInit;
  readonly flowCapacity: number;
  /** As FrameJudgeOptions has it. */
  readonly observes: boolean;
  /** For so many ms connections that are older are adopted. */
  readonly adopt: number;
  /** As flows/flow-events.ts lays it out. */
  readonly events: SharedArrayBuffer;
  /** As judging/frame-counters.ts lays it out. */
  readonly counters: SharedArrayBuffer;
}

export type JudgeCommand =
  /** Done when it judges. */
  | { readonly type: 'begin' }
  /** Judge by this from now on. */
  | { readonly type: 'cluster'; readonly table: SharedArrayBuffer; readonly places: PlacesInit }
  | { readonly type: 'stop' };
