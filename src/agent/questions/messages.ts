/** Messages to and from the thread that answers questions about flows. */
import type { PolicyMode } from '../../cluster/records.ts';
import type { ClusterSnapshot } from '../../cluster/store.ts';
import type { NodeIdentity } from '../../policy/compiler.ts';
import type { Explained, ExplainQuery } from '../../telemetry/explain-route.ts';

export interface AnswerRequest {
  readonly question: ExplainQuery;
  /** The part of the cluster that the question is about. */
  readonly snapshot: ClusterSnapshot;
  readonly node: NodeIdentity;
  readonly mode: PolicyMode;
  /** A copy of the table in force, because the compiler recycles the table's own memory. */
  readonly table: SharedArrayBuffer;
}

export type AnswerResponse =
  | { readonly explained: Explained; readonly failure?: undefined }
  | { readonly explained?: undefined; readonly failure: string };
