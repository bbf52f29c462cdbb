/**
 * A cluster that changes all the time: policies, pods, labels and watches. None of the changes
 * affects what the measured traffic is allowed.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type AgentWorld, NODE } from '../../test/agent/agent-world.ts';
import { app, serverHears } from '../../test/agent/policies.ts';
import type { ApiObject } from '../../test/kube/object-history.ts';
import { namespace, pod, policy } from '../../test/kube/objects.ts';
import { expireHistory } from '../watch/expired-history.ts';

/** Number of objects of each kind, at different stages of their lives. */
const OBJECTS = 20;
/**
 * Number of changes between two cuts of the watches. Some cuts also expire the history, so that the
 * agent lists again.
 */
const CUT = 200;
const EXPIRE = 1000;

export class Churn {
  changes = 0;
  cuts = 0;
  readonly #world: AgentWorld;
  readonly #perSecond: number;

  constructor(world: AgentWorld, perSecond: number) {
    this.#world = world;
    this.#perSecond = perSecond;
  }

  /** Runs until the signal; rejects only if the API server is gone. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#change(this.changes++);
      if (this.changes % CUT === 0) this.cuts++;
      if (this.changes % EXPIRE === 0) await expireHistory(this.#world.api);
      else if (this.changes % CUT === 0) await this.#world.api.call('cutWatches');
      await delay(1000 / this.#perSecond, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Creates, edits and deletes object after object. */
  async #change(number: number): Promise<void> {
    const shapes = CHANGING[number % CHANGING.length] ?? [];
    const turn = Math.floor(number / CHANGING.length);
    const stage = Math.floor(turn / OBJECTS) % (shapes.length + 1);
    const object = (shapes[stage] ?? shapes[0])?.(turn % OBJECTS);
    if (object === undefined) return;
    const { kind, metadata } = object;
    if (stage === shapes.length) await this.#world.api.call('delete', kind, metadata.namespace, metadata.name);
    else await this.#world.api.call('set', object);
  }
}

/** The states of each kind of object; after the last one it is deleted. */
const CHANGING: readonly (readonly ((number: number) => ApiObject)[])[] = [
  // Policies on the measured server, for peers that are not measured.
  [(i) => serverHears(`churn-${i}`, app(`nobody-${i}`)), (i) => serverHears(`churn-${i}`, app(`somebody-${i}`))],
  // Policies elsewhere.
  [
    (i) => policy('churn', `policy-${i}`, { podSelector: { matchLabels: { app: `app-${i}` } }, ingress: [] }),
    (i) => policy('churn', `policy-${i}`, { podSelector: {}, policyTypes: ['Egress'] }),
  ],
  // Pods of this node that are isolated and then not.
  [(i) => churned(i, { app: `app-${i}` }), (i) => churned(i, { app: 'other' }), (i) => churned(i, {})],
  // Namespaces.
  [(i) => namespace(`churn-${i}`, { team: 'a' }), (i) => namespace(`churn-${i}`, { team: 'b' })],
];

function churned(number: number, labels: Record<string, string>): ApiObject {
  return pod('churn', `pod-${number}`, { ip: `10.244.2.${number + 1}`, node: NODE, labels });
}
