/** Messages between the lab and the agents of its nodes, over the child process's channel. */
import type { AgentOptions } from '../agent/agent.ts';
import type { ClusterChange, ClusterSnapshot } from '../cluster/store.ts';
import type { Pair } from '../traffic/live-traffic.ts';
import type { LabNode } from './scheduling.ts';

/** Settings of a lab's agents. */
export interface AgentFlags
  extends Pick<AgentOptions, 'queues' | 'steering' | 'kernelRelease' | 'offload' | 'fail' | 'deny' | 'flowCapacity'> {
  /** @default 'warn' */
  readonly logLevel?: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
}

export type NodeRequest =
  | { readonly type: 'start'; readonly node: LabNode; readonly flags: AgentFlags; readonly snapshot: ClusterSnapshot }
  /** Carry the node's pods by cables instead of running an agent. */
  | {
      readonly type: 'start-wire';
      readonly nodes: readonly LabNode[];
      readonly cables: readonly Pair[];
      /** Size of the kernel's buffer for each interface. */
      readonly bufferBytes: number | undefined;
      readonly snapshot: ClusterSnapshot;
    }
  | { readonly type: 'apply'; readonly changes: readonly ClusterChange[]; readonly cables: readonly Pair[] }
  /** Counters of the agent or of the cables, whichever was started. */
  | { readonly type: 'counters' }
  | { readonly type: 'stop' };

/** A request is answered when it is done: `start` and `apply` when the policies are in force. */
export type NodeReply =
  | { readonly request: number; readonly type: 'done'; readonly result: unknown }
  | { readonly request: number; readonly type: 'failed'; readonly message: string };
