/** What the lab and the agents of its nodes say to each other, over the channel of a child process. */
import type { AgentOptions } from '../agent/agent.ts';
import type { ClusterChange, ClusterSnapshot } from '../cluster/store.ts';
import type { Pair } from '../traffic/live-traffic.ts';
import type { LabNode } from './scheduling.ts';

/** How the agents of a lab run. */
export interface AgentFlags
  extends Pick<AgentOptions, 'queues' | 'steering' | 'kernelRelease' | 'offload' | 'fail' | 'deny' | 'flowCapacity'> {
  /** @default 'warn' */
  readonly logLevel?: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
}

export type NodeRequest =
  | { readonly type: 'start'; readonly node: LabNode; readonly flags: AgentFlags; readonly snapshot: ClusterSnapshot }
  /** Be the cables of the node's pods instead. */
  | {
      readonly type: 'start-wire';
      readonly nodes: readonly LabNode[];
      readonly cables: readonly Pair[];
      /** Of the kernel, for each interface. */
      readonly bufferBytes: number | undefined;
      readonly snapshot: ClusterSnapshot;
    }
  | { readonly type: 'apply'; readonly changes: readonly ClusterChange[]; readonly cables: readonly Pair[] }
  /** Of an agent, or of cables: whichever was started. */
  | { readonly type: 'counters' }
  | { readonly type: 'stop' };

/** Every request is answered once it is done: `start` and `apply` when the policies are in force. */
export type NodeReply =
  | { readonly request: number; readonly type: 'done'; readonly result: unknown }
  | { readonly request: number; readonly type: 'failed'; readonly message: string };
