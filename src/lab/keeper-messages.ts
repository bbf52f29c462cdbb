/** Messages between `lab up` and the keeper process that it starts. */
import type { LabOptions, LabProgress } from './lab.ts';

export interface KeepRequest {
  readonly name: string;
  readonly options: Omit<LabOptions, 'onProgress'>;
}

export type KeeperReply =
  | { readonly type: 'progress'; readonly progress: LabProgress }
  | { readonly type: 'up'; readonly notes: readonly string[] }
  | { readonly type: 'failed'; readonly message: string };
