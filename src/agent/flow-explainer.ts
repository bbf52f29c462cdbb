/** Answers why a flow is allowed or denied, as the agent knows it: by the table that its node judges by, and the records that it came from. */
import type { ClusterSnapshot } from '../cluster/store.ts';
import { Explainer } from '../explain/explain.ts';
import { FlowError } from '../explain/flow-error.ts';
import { vicinityOf } from '../explain/vicinity.ts';
import type { NodeIdentity } from '../policy/compiler.ts';
import type { RuleTable } from '../policy/rule-table.ts';
import type { Explained, FlowQuestion } from '../telemetry/explain-route.ts';

export interface FlowExplainerOptions {
  readonly node: NodeIdentity;
  snapshot(): ClusterSnapshot;
  /** What the node judges by; undefined before there is anything. */
  table(): RuleTable | undefined;
}

export class FlowExplainer {
  readonly #options: FlowExplainerOptions;

  constructor(options: FlowExplainerOptions) {
    this.#options = options;
  }

  explain({ from, to, port }: FlowQuestion): Explained {
    const { node, snapshot, table: inForce } = this.#options;
    const table = inForce();
    if (table === undefined) return { outcome: 'not-ready', message: 'the policies are not in force yet' };
    const explainer = new Explainer({
      snapshot: vicinityOf(snapshot(), [from, to]),
      nodes: [node],
      inForce: { node: node.name, table },
    });
    try {
      return { outcome: 'answer', answer: explainer.answer(from, to, port) };
    } catch (error) {
      if (!(error instanceof FlowError)) throw error;
      const hint =
        error.code === 'UNKNOWN_END' ? ' (the agent knows no Services: name a pod, or give its address)' : '';
      return { outcome: 'mistake', message: `${error.message}${hint}` };
    }
  }
}
