/**
 * Identities by a label: a new peer selector that requires `k8s-app=kube-dns` anywhere in the cluster looks at the identities that have it,
 * not at all of them. A key is indexed when it is first asked for, since most label keys never are.
 */
import type { Identity } from './model.ts';

/** Keys that are indexed; one more, and the one indexed first goes. */
const MAX_KEYS = 64;
const NONE: ReadonlySet<Identity> = new Set();

export class LabelIndex {
  private readonly byKey = new Map<string, Map<string, Set<Identity>>>();

  add(identity: Identity): void {
    for (const [key, byValue] of this.byKey) enter(byValue, key, identity);
  }

  remove(identity: Identity): void {
    for (const [key, byValue] of this.byKey) {
      const value = identity.labels[key] as string;
      const identities = byValue.get(value);
      if (identities?.delete(identity) && identities.size === 0) byValue.delete(value);
    }
  }

  /** The identities with a label; `all` gives those to index where the key is new. */
  find(key: string, value: string, all: () => Iterable<Identity>): ReadonlySet<Identity> {
    let byValue = this.byKey.get(key);
    if (byValue === undefined) {
      const [oldest] = this.byKey.keys();
      if (this.byKey.size >= MAX_KEYS && oldest !== undefined) this.byKey.delete(oldest);
      byValue = new Map();
      this.byKey.set(key, byValue);
      for (const identity of all()) enter(byValue, key, identity);
    }
    return byValue.get(value) ?? NONE;
  }
}

function enter(byValue: Map<string, Set<Identity>>, key: string, identity: Identity): void {
  if (!Object.hasOwn(identity.labels, key)) return;
  const value = identity.labels[key] as string;
  const identities = byValue.get(value);
  if (identities === undefined) byValue.set(value, new Set([identity]));
  else identities.add(identity);
}
