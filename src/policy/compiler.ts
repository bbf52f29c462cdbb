/**
 * Compiles cluster records to a RuleTable, change by change. Each part below keeps its piece of the
 * table as it will be published, and updates only what a change concerns. `compile` settles what
 * was left for the end of a batch, and copies the pieces.
 *
 *     pods --> PodSlots, Identities --> PeerGroups        which rules can hold for a peer
 *     policies --> EndpointClasses --> PolicyRules        which rules there are for an endpoint --> PortSets, prefixes
 */

import { modeOf } from '../cluster/mode.ts';
import {
  type NamespaceRecord,
  type PodRecord,
  type PolicyMode,
  type PolicyRecord,
  recordKey,
} from '../cluster/records.ts';
import type { ClusterChange } from '../cluster/store.ts';
import { type AddressWords, addressText, addressWords } from './address-words.ts';
import { type CompiledPolicies, CompiledTable } from './compiled-policies.ts';
import { Concerned } from './concerned.ts';
import { EndpointClasses } from './endpoint-classes.ts';
import { Identities } from './identities.ts';
import { type Identity, type Namespace, NO_GROUP, type Policy } from './model.ts';
import { PeerGroups } from './peer-groups.ts';
import { finish, type Pieces } from './pieces.ts';
import { PodSlots, type SharedAddress } from './pod-slots.ts';
import { BUDGET, type Budget, PolicyBudget, type RefusedPolicy, tooManyBlocksTogether } from './policy-budget.ts';
import { PolicyRules } from './policy-rules.ts';
import { PortNames } from './port-names.ts';
import { PortSets } from './port-set.ts';
import { RuleTable } from './rule-table.ts';
import { matches } from './selector-set.ts';
import { MOST_SHARERS } from './table-layout.ts';
import { TableWriter } from './table-writer.ts';
import { UnknownPortNames } from './unknown-port-names.ts';

export type { CompiledPolicies } from './compiled-policies.ts';

export interface NodeIdentity {
  /** The pods with this `nodeName` are the endpoints. */
  readonly name: string;
  /**
   * The node's own addresses, in text, for reports and for questions about flows. They decide no
   * packet: the kernel does not hand over what the node itself sends or receives.
   */
  readonly addresses: readonly string[];
}

interface Pod {
  readonly slot: number;
  identity: Identity;
  /** Whether it is on this node. */
  isHere: boolean;
  /** Whether it is judged as a pod of this node: it is one, or shares an address with one. */
  endpoint: boolean;
  /** As in the record. */
  addresses: readonly string[];
}

/** A pod's address that could be parsed. */
interface Claim {
  readonly words: AddressWords;
  /** Canonical. */
  readonly text: string;
}

export interface CompilerCounts {
  readonly policies: number;
  readonly identities: number;
  readonly endpoints: number;
  readonly steeredEndpoints: number;
  /** Addresses that several pods of the cluster have. */
  readonly sharedAddresses: number;
}

/** How much unused data may pile up before it is removed. */
export interface Slack {
  /** Peer selectors. */
  readonly peers: number;
  /** Port sets, beyond as many as were in use at the last sweep. */
  readonly portSets: number;
}

export interface CompilerOptions {
  /** `audit` audits every policy, whatever its annotation says. @default enforce */
  readonly mode?: PolicyMode;
  /** @default SLACK */
  readonly slack?: Slack;
  /** @default BUDGET */
  readonly budget?: Budget;
}

const SLACK: Slack = { peers: 256, portSets: 1024 };

export class PolicyCompiler {
  private readonly nodeName: string | undefined;
  private readonly mode: PolicyMode;
  private readonly seed = (Math.random() * 2 ** 32) | 0;
  private readonly portNames = new PortNames();
  private readonly portSets = new PortSets(this.portNames);
  private readonly slots = new PodSlots(this.seed);
  private readonly identities = new Identities(this.portNames);
  private readonly groups: PeerGroups;
  private readonly budget: PolicyBudget;
  private readonly rules: PolicyRules;
  private readonly classes: EndpointClasses;
  /** Covers the policies that select a pod of this node. */
  readonly unknownPortNames: UnknownPortNames;
  private readonly pods = new Map<string, Pod>();
  private readonly podsBySlot: (Pod | undefined)[] = [];
  /** Each with the addresses that it claims, once computed. */
  private readonly endpoints = new Map<Pod, readonly Claim[] | undefined>();
  private readonly policies = new Map<string, Policy>();
  private nextSerial = 0;
  private generation = 0;
  private readonly slack: Slack;
  private readonly mostBlockWords: number;
  private readonly writer: TableWriter;
  private portSetsInUse = 0;
  private steeredEndpoints = 0;
  /** Policies that became refused, or are refused no longer. */
  private readonly turned: PolicyRecord[] = [];
  /** From the changes applied since the last compile. */
  private concerned = new Concerned();

  /**
   * @param nodeName the pods of this node are the endpoints; if undefined, the pods of every node
   */
  constructor(
    nodeName: string | undefined,
    { mode = 'enforce', slack = SLACK, budget = BUDGET }: CompilerOptions = {},
  ) {
    this.nodeName = nodeName;
    this.mode = mode;
    this.slack = slack;
    this.mostBlockWords = budget.endpointBlockWords;
    this.groups = new PeerGroups(this.identities, slack.peers);
    this.groups.keepEverything();
    this.budget = new PolicyBudget(this.identities, this.groups, budget);
    this.unknownPortNames = new UnknownPortNames(this.identities, this.portNames);
    this.rules = new PolicyRules(this.groups, this.portSets, this.unknownPortNames);
    this.classes = new EndpointClasses(this.rules, this.portSets, this.seed, budget.endpointBlockWords);
    this.writer = new TableWriter(this.seed, {
      addresses4: this.slots.addresses4,
      addresses6: this.slots.addresses6,
      slots: this.slots.words,
      sharers: this.slots.sharers,
      groups: this.groups.words,
      classes: this.classes.words,
      profiles: this.identities.profiles,
      directions: this.classes.directions,
      groupRules: this.classes.groupRules,
      prefixes4: this.classes.prefixes4,
      prefixes6: this.classes.prefixes6,
      portSets: this.portSets,
      namedPorts: this.portNames,
    });
  }

  /** Applies changes in order. Setting what is set and deleting what is unknown change nothing. */
  apply(changes: readonly ClusterChange[]): void {
    for (const { type, record } of changes) {
      switch (record.kind) {
        case 'Namespace':
          this.setNamespace(record.name, type === 'set' ? record : undefined);
          break;
        case 'Pod':
          if (type === 'set' && !record.hostNetwork && record.addresses.length > 0) this.setPod(record);
          else this.deletePod(recordKey(record));
          break;
        case 'NetworkPolicy':
          this.deletePolicy(recordKey(record));
          this.budget.delete(record);
          if (type === 'set') {
            this.budget.set(record);
            this.setPolicy(record);
          }
          break;
      }
    }
  }

  /**
   * Does the work of the next `compile` for everything applied so far, in pieces of a fraction of a
   * millisecond, so that neither a large cluster nor a policy that concerns much of it delays other
   * work. Nothing may be applied or compiled between the pieces.
   */
  *settleInPieces(): Pieces {
    for (const slot of this.slots.takeResettled()) this.setEndpoint(this.podsBySlot[slot] as Pod);
    this.identities.settle((identity) => this.groups.remove(identity));
    for (const record of yield* this.budget.review()) {
      this.replacePolicy(record);
      this.turned.push(record);
      yield;
    }
    yield* this.classes.prepare();
    yield* this.groups.settleInPieces(
      (group) => this.classes.groupLeft(group),
      (group) => this.classes.groupEntered(group),
    );
    yield;
    yield* this.classes.settleInPieces();
    if (this.portSets.size > 2 * this.portSetsInUse + this.slack.portSets) this.sweepPortSets();
  }

  /** Returns a new table of everything applied so far. */
  compile(): CompiledPolicies {
    finish(this.settleInPieces());
    this.steeredEndpoints = [...this.endpoints.keys()].filter((pod) => pod.isHere && this.isSteered(pod)).length;
    const table = new RuleTable(this.writer.write(++this.generation));
    const policies = new Map([...this.classes.all()].map((each) => [each.id, each.policies]));
    const concerned = this.concerned;
    this.concerned = new Concerned();
    return new CompiledTable(table, this.steered(), concerned, this.slots.snapshotNames(), policies);
  }

  /**
   * Takes back a table that no thread reads any more and whose CompiledPolicies nobody will ask,
   * and reuses its memory. This saves most of the cost of compiling a small change of a large
   * cluster; without it the memory is left to the garbage collector.
   */
  recycle(table: RuleTable): void {
    this.writer.recycle(table.buffer);
  }

  /**
   * Counts what was applied so far: policies and identities of the whole cluster, pods of this
   * node. Steered endpoints are those of the last compile.
   */
  counts(): CompilerCounts {
    const { identities, endpoints, policies, steeredEndpoints } = this;
    const sharedAddresses = this.slots.sharedAddresses().length;
    return {
      ...{ policies: policies.size, identities: identities.size, endpoints: endpoints.size },
      ...{ steeredEndpoints, sharedAddresses },
    };
  }

  /**
   * Returns the addresses that several pods share because the records do not show whose they are.
   */
  sharedAddresses(): readonly SharedAddress[] {
    return this.slots.shared();
  }

  /** Returns the policies that ask for too much of the table, sorted. */
  refusedPolicies(): readonly RefusedPolicy[] {
    const reason = tooManyBlocksTogether(this.mostBlockWords);
    const together = [...this.classes.tooMany()].map(
      ({ key }): RefusedPolicy => ({ policy: key, reason, refuses: 'blocks' }),
    );
    return [...this.budget.refused(), ...together].sort((a, b) => (a.policy < b.policy ? -1 : 1));
  }

  /**
   * Returns the compiled records of the policies that became refused, or are refused no longer,
   * since the last call. A policy that was set again and is still refused is among them.
   */
  takeTurned(): PolicyRecord[] {
    const turned = this.turned.splice(0).filter((record) => this.policies.has(recordKey(record)));
    return turned.map((record) => this.budget.compiled(record));
  }

  private setNamespace(name: string, record: NamespaceRecord | undefined): void {
    const namespace = this.identities.namespace(name);
    if (this.identities.setLabels(namespace, record?.labels)) {
      this.groups.relabel(namespace);
      for (const { id } of namespace.identities.values()) this.concerned.addIdentity(id);
      // A shared address has no identity.
      for (const address of this.slots.sharedAddresses()) this.concerned.addAddress(address);
    } else this.identities.forgetIfEmpty(namespace);
    if (namespace.mode !== record?.mode) this.setMode(namespace, record?.mode);
  }

  private setMode(namespace: Namespace, mode: PolicyMode | undefined): void {
    namespace.mode = mode;
    const changed = [...this.policies.values()].filter(
      (policy) => policy.namespace === namespace && policy.mode !== this.effectiveMode(policy.record, namespace),
    );
    for (const { record } of changed) this.replacePolicy(record);
  }

  /** Compiles the policy anew, because it is audited or refused now and was not, or the reverse. */
  private replacePolicy(record: PolicyRecord): void {
    this.deletePolicy(recordKey(record));
    this.setPolicy(this.budget.compiled(record));
  }

  private effectiveMode(record: PolicyRecord, namespace: Namespace): PolicyMode {
    return this.mode === 'audit' ? 'audit' : modeOf(record, namespace);
  }

  private setPod(record: PodRecord): void {
    const key = recordKey(record);
    const namespace = this.identities.namespace(record.namespace);
    // Before the old identity is released, which may be the same.
    const identity = this.identities.retain(namespace, record.labels, record.ports);
    if (identity.group === NO_GROUP) this.groups.add(identity);
    const isHere = this.nodeName === undefined || record.nodeName === this.nodeName;
    let pod = this.pods.get(key);
    if (pod === undefined) {
      pod = { slot: this.slots.take(key, record), identity, isHere, endpoint: isHere, addresses: [] };
      this.pods.set(key, pod);
      this.podsBySlot[pod.slot] = pod;
      if (isHere) this.addEndpoint(pod);
    } else {
      for (const address of this.slots.rank(pod.slot, record, distinctAddresses(pod.addresses)))
        this.concerned.addAddress(address);
      this.setIdentity(pod, identity);
      if (pod.isHere !== isHere) this.move(pod, isHere);
    }
    this.slots.describe(pod.slot, identity.id, pod.endpoint);
    this.setAddresses(pod, record.addresses);
  }

  private setIdentity(pod: Pod, identity: Identity): void {
    const before = pod.identity;
    if (before !== identity) {
      this.concernPod(pod);
      if (pod.endpoint) this.removeEndpoint(pod);
      pod.identity = identity;
      if (pod.endpoint) this.addEndpoint(pod);
    }
    this.identities.release(before);
  }

  private move(pod: Pod, isHere: boolean): void {
    pod.isHere = isHere;
    for (const each of [pod, ...this.sharersOf(pod)]) this.setEndpoint(each);
  }

  /** Judges a pod that shares an address with a pod of this node as one of this node. */
  private setEndpoint(pod: Pod): void {
    const endpoint = pod.isHere || this.sharersOf(pod).some(({ isHere }) => isHere);
    if (endpoint === pod.endpoint) return;
    this.concernPod(pod);
    pod.endpoint = endpoint;
    if (endpoint) this.addEndpoint(pod);
    else this.removeEndpoint(pod);
    this.slots.describe(pod.slot, pod.identity.id, endpoint);
  }

  /** Returns the pods that share an address with the pod, itself included; none if no pod does. */
  private sharersOf({ slot, addresses }: Pod): readonly Pod[] {
    return distinctAddresses(addresses)
      .map((address) => this.slots.sharersOf(address))
      .filter((sharers) => sharers.includes(slot))
      .flatMap((sharers) => sharers.map((each) => this.podsBySlot[each] as Pod));
  }

  private deletePod(key: string): void {
    const pod = this.pods.get(key);
    if (pod === undefined) return;
    this.setAddresses(pod, []);
    if (pod.endpoint) this.removeEndpoint(pod);
    this.identities.release(pod.identity);
    this.slots.giveBack(pod.slot);
    this.podsBySlot[pod.slot] = undefined;
    this.pods.delete(key);
  }

  private setAddresses(pod: Pod, texts: readonly string[]): void {
    if (texts.length === pod.addresses.length && texts.every((text, i) => text === pod.addresses[i])) return;
    const before = distinctAddresses(pod.addresses);
    const after = distinctAddresses(texts);
    for (const address of before) {
      if (includes(after, address)) continue;
      this.slots.release(address, pod.slot);
      this.concerned.addAddress(address);
    }
    for (const address of after) {
      if (includes(before, address)) continue;
      if (pod.endpoint || this.slots.isClaimed(address)) this.concerned.addAddress(address);
      this.slots.claim(address, pod.slot);
    }
    pod.addresses = texts;
    if (this.endpoints.has(pod)) this.endpoints.set(pod, undefined);
  }

  private concernPod({ addresses }: Pod): void {
    for (const address of distinctAddresses(addresses)) this.concerned.addAddress(address);
  }

  /** Notes the endpoints that a new or deleted policy selects. */
  private concernSelected(identities: readonly Identity[]): void {
    if (identities.length === 0) return;
    const selected = new Set(identities);
    for (const pod of this.endpoints.keys()) if (selected.has(pod.identity)) this.concernPod(pod);
  }

  private addEndpoint(pod: Pod): void {
    this.endpoints.set(pod, undefined);
    if (pod.identity.endpoints++ === 0) this.classes.add(pod.identity);
  }

  private removeEndpoint(pod: Pod): void {
    this.endpoints.delete(pod);
    if (--pod.identity.endpoints === 0) this.classes.remove(pod.identity);
  }

  private setPolicy(record: PolicyRecord): void {
    const namespace = this.identities.namespace(record.namespace);
    const policy: Policy = {
      key: recordKey(record),
      serial: this.nextSerial++,
      record,
      mode: this.effectiveMode(record, namespace),
      namespace,
      users: 0,
      rules: undefined,
    };
    this.policies.set(policy.key, policy);
    namespace.policies.add(policy);
    const selected = selectedEndpoints(policy, namespace);
    this.classes.select(policy, selected);
    this.concernSelected(selected);
  }

  private deletePolicy(key: string): void {
    const policy = this.policies.get(key);
    if (policy === undefined) return;
    this.policies.delete(key);
    policy.namespace.policies.delete(policy);
    const selected = selectedEndpoints(policy, policy.namespace);
    this.classes.unselect(policy, selected);
    this.concernSelected(selected);
    this.identities.forgetIfEmpty(policy.namespace);
  }

  private steered(): string[] {
    const steered = new Set<string>();
    for (const [pod, known] of this.endpoints) {
      if (!this.isSteered(pod)) continue;
      const claims = known ?? distinctAddresses(pod.addresses).map((words) => ({ words, text: addressText(words) }));
      if (known === undefined) this.endpoints.set(pod, claims);
      for (const { words, text } of claims) if (this.slots.owns(pod.slot, words)) steered.add(text);
    }
    for (const address of this.slots.sharedAddresses()) {
      const sharers = this.slots.sharersOf(address);
      const isHere = sharers.some((slot) => this.podsBySlot[slot]?.isHere);
      if (isHere && sharers.length > MOST_SHARERS) steered.add(addressText(address));
    }
    return [...steered].sort();
  }

  private isSteered({ identity }: Pod): boolean {
    return this.classes.classOf(identity)?.directions.some(({ isolation }) => isolation !== 0) ?? false;
  }

  private sweepPortSets(): void {
    const live = new Set<number>();
    this.rules.markPortSets(live);
    this.classes.markPortSets(live);
    this.portSets.sweep(live);
    this.portSetsInUse = this.portSets.size;
  }
}

function selectedEndpoints(policy: Policy, namespace: Namespace): Identity[] {
  return [...(namespace.endpoints ?? [])].filter(({ labels }) => matches(policy.record.podSelector, labels));
}

/** Returns the addresses that can be parsed, each once. */
function distinctAddresses(texts: readonly string[]): AddressWords[] {
  const addresses: AddressWords[] = [];
  for (const text of texts) {
    const address = addressWords(text);
    if (address !== undefined && !includes(addresses, address)) addresses.push(address);
  }
  return addresses;
}

function includes(addresses: readonly AddressWords[], address: AddressWords): boolean {
  return addresses.some((each) => each.length === address.length && each.every((word, i) => word === address[i]));
}
