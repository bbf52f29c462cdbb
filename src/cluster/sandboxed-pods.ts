/**
 * Merges what the API server and the container runtime know of this node's pods.
 *
 * The runtime gives a pod its addresses before its containers start; the API server tells of them a
 * second later, after the kubelet has published them. The API server knows everything else. Both
 * are matched by the pod's uid:
 *
 * - While its sandbox exists, a pod has the addresses that the runtime gave it. A record without
 *   addresses takes none away, and neither does the pod's deletion.
 * - Once its sandbox is gone, a pod has no address, whatever the API's older record says: the
 *   address may be another pod's by then.
 * - A record of the API wins over the runtime's in all but addresses. Without one, the pod has the
 *   labels with which it was created and no container ports.
 * - A list of the sandboxes that exist gives addresses only. Their labels may have changed since.
 * - While the runtime is not connected, addresses of the API win, because the runtime's may be
 *   outdated.
 */
import { isTerminated } from './projection.ts';
import { type Labels, type PodRecord, recordKey } from './records.ts';
import { type ClusterChange, type ClusterSnapshot, sameRecord } from './store.ts';

/** A pod's network namespace and what runs in it, as the runtime describes it. */
export interface Sandbox {
  /** A pod gets another one if its sandbox fails. */
  readonly id: string;
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** As of the pod's creation. */
  readonly labels: Labels;
  /** Canonical. */
  readonly addresses: readonly string[];
}

/** Stopped pods whose records the API server has not deleted yet. */
const MOST_STOPPED = 4096;

interface Running {
  readonly sandbox: Sandbox;
  /** When it started, in whole seconds since 1970; undefined if it was there before. */
  readonly since: number | undefined;
}

export class SandboxedPods {
  readonly #nodeName: string;
  /** Records of the API for pods of this node, by key. */
  readonly #records = new Map<string, PodRecord>();
  /** Keys of pods that the API server has deleted and whose sandboxes exist. */
  readonly #deleted = new Set<string>();
  /** Sandboxes that exist, by the key of their pod. */
  readonly #sandboxes = new Map<string, Running>();
  /** Uids of pods whose sandbox has stopped, the oldest first. */
  readonly #stopped = new Set<string>();
  /** Records of pods on other nodes that have the name of a pod with a sandbox here, by key. */
  readonly #elsewhere = new Map<string, PodRecord>();
  /** What `take` returned last, by key. */
  readonly #taken = new Map<string, PodRecord>();
  readonly #changed = new Set<string>();
  #isConnected = false;

  constructor(nodeName: string) {
    this.#nodeName = nodeName;
  }

  /** Whether a pod of this node is being stopped. */
  get isStopping(): boolean {
    return [...this.#records.values()].some(
      ({ deleting, phase, uid = '' }) => deleting && !isTerminated(phase) && !this.#stopped.has(uid),
    );
  }

  /** Returns the API's records with the runtime's addresses. `take` returns what changes later. */
  baseline({ namespaces, pods, policies }: ClusterSnapshot): ClusterSnapshot {
    const elsewhere = pods.filter((pod) => pod.nodeName !== this.#nodeName);
    this.#records.clear();
    for (const pod of pods) if (pod.nodeName === this.#nodeName) this.#records.set(recordKey(pod), pod);
    this.#taken.clear();
    for (const key of [...this.#records.keys(), ...this.#sandboxes.keys()]) this.#changed.add(key);
    const here = this.#takeChanged().flatMap(({ type, record }) => (type === 'set' ? [record as PodRecord] : []));
    return { namespaces, pods: [...elsewhere, ...here], policies };
  }

  /** Returns these records of the API with the runtime's addresses. Changes nothing. */
  snapshot({ namespaces, pods, policies }: ClusterSnapshot): ClusterSnapshot {
    const merged = new Map(pods.map((pod): [string, PodRecord | undefined] => [recordKey(pod), pod]));
    for (const pod of pods)
      if (pod.nodeName === this.#nodeName) merged.set(recordKey(pod), this.#merged(recordKey(pod), pod));
    for (const key of this.#sandboxes.keys()) if (!merged.has(key)) merged.set(key, this.#merged(key));
    return { namespaces, pods: [...merged.values()].filter((pod) => pod !== undefined), policies };
  }

  /** Merges changes of the API. Returns what to apply, and what `take` would return besides. */
  merge(changes: readonly ClusterChange[]): readonly ClusterChange[] {
    const passed = changes.filter((change) => !this.#isOurs(change));
    const own = this.#takeChanged();
    // Deletes come first: an address of a deleted pod may belong to a new one.
    return [...passed, ...own].sort((a, b) => Number(a.type === 'set') - Number(b.type === 'set'));
  }

  /** Takes what changed since the last call, deletes first. */
  take(): readonly ClusterChange[] {
    return this.merge([]);
  }

  /**
   * The runtime has started a pod's sandbox; none of its containers has started.
   * @param now in whole seconds since 1970
   */
  started(sandbox: Sandbox, now: number): void {
    const key = keyOf(sandbox);
    this.#isConnected = true;
    this.#stopped.delete(sandbox.uid);
    this.#sandboxes.set(key, { sandbox, since: now });
    this.#changed.add(key);
  }

  /** The pod has a sandbox whose addresses the runtime does not know: the API's count. */
  startedUnaddressed({ uid, namespace, name }: Pick<Sandbox, 'uid' | 'namespace' | 'name'>): void {
    this.#stopped.delete(uid);
    this.#changed.add(keyOf({ namespace, name }));
  }

  /** The containers of the pod have ended, and its addresses are about to be given back. */
  stopped(sandbox: Pick<Sandbox, 'id' | 'uid' | 'namespace' | 'name'>): void {
    const key = keyOf(sandbox);
    const present = this.#sandboxes.get(key)?.sandbox;
    // A failed sandbox is stopped after the pod has got another.
    if (present?.uid === sandbox.uid && present.id !== sandbox.id) return;
    this.#stopped.add(sandbox.uid);
    const [oldest] = this.#stopped;
    if (oldest !== undefined && this.#stopped.size > MOST_STOPPED) this.#stopped.delete(oldest);
    if (present?.id === sandbox.id) this.#remove(key);
    this.#changed.add(key);
  }

  /** The runtime has connected, and lists the sandboxes that exist. */
  listed(sandboxes: readonly Sandbox[]): void {
    this.#isConnected = true;
    const before = new Map(this.#sandboxes);
    const byKey = Map.groupBy(sandboxes, keyOf);
    // CRI-O lists a pod's failed sandboxes, too: then nothing shows which of them the pod has.
    const clear = sandboxes.filter((sandbox) => byKey.get(keyOf(sandbox))?.length === 1);
    const listed = new Set(clear.map(keyOf));
    for (const key of before.keys()) if (!listed.has(key)) this.#remove(key);
    for (const sandbox of clear) {
      const key = keyOf(sandbox);
      const known = before.get(key);
      const since = known?.sandbox.id === sandbox.id ? known.since : undefined;
      this.#sandboxes.set(key, { sandbox, since });
    }
    for (const key of [...this.#records.keys(), ...before.keys(), ...listed]) this.#changed.add(key);
  }

  /** The runtime is gone, or restarts: sandboxes may come and go unseen. */
  disconnected(): void {
    this.#isConnected = false;
    for (const key of [...this.#records.keys(), ...this.#sandboxes.keys()]) this.#changed.add(key);
    for (const key of [...this.#deleted]) this.#remove(key);
  }

  /** Takes in a change that decides about a pod of this node. Returns whether it does. */
  #isOurs({ type, record }: ClusterChange): boolean {
    if (record.kind !== 'Pod') return false;
    const key = recordKey(record);
    const running = this.#sandboxes.get(key);
    if (record.nodeName !== this.#nodeName) {
      // A pod of this name has a sandbox here. The record of a pod elsewhere replaces it only if
      // that pod is newer; otherwise it counts once the sandbox is gone.
      if (running?.since !== undefined && !(type === 'set' && isNewer(record, running))) {
        if (type === 'set') this.#elsewhere.set(key, record);
        else this.#elsewhere.delete(key);
        return true;
      }
      for (const map of [this.#records, this.#sandboxes, this.#elsewhere, this.#taken]) map.delete(key);
      return false;
    }
    this.#elsewhere.delete(key);
    this.#changed.add(key);
    this.#deleted.delete(key);
    if (type === 'set') this.#records.set(key, record);
    else this.#deleteHere(key, running?.sandbox.uid === record.uid);
    return true;
  }

  #deleteHere(key: string, hasSandbox: boolean): void {
    if (hasSandbox && this.#isConnected) {
      this.#deleted.add(key);
      return;
    }
    this.#records.delete(key);
    if (hasSandbox) this.#sandboxes.delete(key);
  }

  #remove(key: string): void {
    this.#sandboxes.delete(key);
    if (this.#deleted.delete(key)) this.#records.delete(key);
  }

  #takeChanged(): ClusterChange[] {
    const changes: ClusterChange[] = [];
    for (const key of this.#changed) {
      const before = this.#taken.get(key);
      const after = this.#merged(key);
      if (sameRecord(after, before)) continue;
      if (after !== undefined) {
        this.#taken.set(key, after);
        changes.push({ type: 'set', record: after });
      } else if (before !== undefined) {
        this.#taken.delete(key);
        changes.push({ type: 'delete', record: before });
      }
    }
    this.#changed.clear();
    return changes;
  }

  #merged(key: string, record = this.#records.get(key)): PodRecord | undefined {
    const running = this.#sandboxes.get(key);
    if (running !== undefined && running.sandbox.uid !== record?.uid) {
      // The API's record is about to come, or it is of another pod of that name, which has no
      // sandbox.
      return running.since === undefined ? record : this.#newPod(running.sandbox, running.since);
    }
    if (record === undefined && running === undefined) return this.#elsewhere.get(key);
    // CRI-O lists the sandboxes of pods that have ended, too.
    if (record === undefined || record.hostNetwork || isTerminated(record.phase)) return record;
    if (running !== undefined) {
      const isKnown = this.#isConnected || record.addresses.length === 0;
      return isKnown ? withAddresses(record, running.sandbox.addresses) : record;
    }
    return this.#isConnected && this.#stopped.has(record.uid ?? '') ? withAddresses(record, []) : record;
  }

  #newPod({ uid, namespace, name, labels, addresses }: Sandbox, created: number): PodRecord {
    return {
      ...{ kind: 'Pod', namespace, name, uid, created, phase: 'Pending', labels },
      ...{ nodeName: this.#nodeName, addresses, hostNetwork: false, ports: [] },
    };
  }
}

function keyOf({ namespace, name }: Pick<Sandbox, 'namespace' | 'name'>): string {
  return `${namespace}/${name}`;
}

/** Whether the pod, which is on another node, was created after the sandbox had started. */
function isNewer({ nodeName, created = 0 }: PodRecord, { since }: Running): boolean {
  return nodeName !== undefined && (since === undefined || created > since);
}

function withAddresses(record: PodRecord, addresses: readonly string[]): PodRecord {
  const { length } = addresses;
  if (length === record.addresses.length && addresses.every((each, i) => each === record.addresses[i])) return record;
  return { ...record, addresses };
}
