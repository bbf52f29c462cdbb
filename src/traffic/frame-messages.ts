/** Messages between the main thread and the thread that judges captured frames. */
import type { CaptureHandle } from '../capture/capture.ts';
import type { PlacesInit } from '../frames/places.ts';
import type { WireSetup } from '../wire/cables.ts';

/** The judging thread's workerData, together with a CommandChannel. */
export interface JudgeSetup {
  /**
   * One capture when traffic is observed. A wire has two: for the first interfaces of all pairs,
   * and for the second ones.
   */
  readonly captures: readonly CaptureHandle[];
  /** The cables that carry allowed frames; undefined when traffic is only observed. */
  readonly wire: WireSetup | undefined;
  readonly table: SharedArrayBuffer;
  readonly places: PlacesInit;
  readonly flowCapacity: number;
  /** See FrameJudgeOptions. */
  readonly observes: boolean;
  /** Adopt connections older than the capture for this many ms. */
  readonly adopt: number;
  /** Layout: flows/flow-events.ts. */
  readonly events: SharedArrayBuffer;
  /** Layout: judging/frame-counters.ts. */
  readonly counters: SharedArrayBuffer;
}

export type JudgeCommand =
  /** Changes nothing; it is carried out once the thread judges. */
  | { readonly type: 'begin' }
  /** Judge by this table and these places from now on. */
  | { readonly type: 'cluster'; readonly table: SharedArrayBuffer; readonly places: PlacesInit }
  | { readonly type: 'stop' };
