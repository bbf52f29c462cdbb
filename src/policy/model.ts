/**
 * What the compiler keeps of a cluster: namespaces and their identities, the peers that rules name, policies with their rules. Each kind of
 * object is kept by the file that is named after it; they point at one another, which is why they are described together.
 */
import type { LabelSelector, Labels, PolicyMode, PolicyRecord } from '../cluster/records.ts';
import type { Block } from './cidr.ts';
import type { InternedSet, Member } from './interned-sets.ts';
import type { SelectorSet } from './selector-set.ts';

/** A namespace that a record was seen of, or a pod or a policy in it. */
export interface Namespace {
  readonly name: string;
  /** Undefined while its own record is not known: no namespaceSelector matches it then, not even `{}`. See peer-groups.ts. */
  labels: Labels | undefined;
  readonly identities: Map<string, Identity>;
  /** Those of its identities that endpoints of this node have; undefined until there was one. */
  endpoints: Set<Identity> | undefined;
  readonly policies: SelectorSet<Policy>;
  /** Of its record, for policies that have none of their own. */
  mode: PolicyMode | undefined;
  /** The scope of its own policies' podSelectors; undefined while there is none. */
  ownScope: Scope | undefined;
  /** The scopes whose namespaceSelector matches it, the one of all namespaces left out; undefined where none does. */
  scopes: InternedSet<Scope> | undefined;
  /** The labels under which it can be found; see peer-groups.ts. */
  indexed: Labels | undefined;
}

export interface Identity {
  /** Above 0; given to another identity once this one is gone. */
  readonly id: number;
  readonly key: string;
  readonly namespace: Namespace;
  readonly labels: Labels;
  readonly profileKey: string;
  pods: number;
  /** Pods of it on this node. */
  endpoints: number;
  /** Id of its peer group, NO_GROUP until selectors were tried. No reference: V8 would have to look through a hundred thousand of them for each new group. */
  group: number;
  /** The policies that select it; undefined without endpoints. */
  selectedBy: InternedSet<Policy> | undefined;
}

/** The relevant peer selectors that match an identity. */
export type PeerGroup = InternedSet<Peer>;

export const NO_GROUP = -1;

/** The namespaces in which peers are looked for: the one of the policy, or those that a namespaceSelector matches. */
export interface Scope extends Member {
  readonly key: string;
  /** The policy's own namespace, for a peer with a podSelector only. */
  readonly namespace: Namespace | undefined;
  readonly namespaceSelector: LabelSelector;
  readonly peers: SelectorSet<Peer>;
}

/** A namespaceSelector and podSelector of one or more rules. */
export interface Peer extends Member {
  readonly key: string;
  readonly scope: Scope;
  readonly podSelector: LabelSelector;
  /** Rules that name it. Without any it is retired when that is settled next: kept for a while, as a policy may be put back. */
  users: number;
  /** Groups in use that it matches. */
  readonly groups: Set<PeerGroup>;
  /** By the record of a class and direction: the port set that it opens there. endpoint-classes.ts writes it. */
  readonly opens: Map<number, number>;
}

export interface Policy extends Member {
  /** `namespace/name`. */
  readonly key: string;
  readonly record: PolicyRecord;
  readonly mode: PolicyMode;
  readonly namespace: Namespace;
  /** Endpoint classes that it is in: above 0 it is relevant for this node. */
  users: number;
  /** By direction; only while it is relevant. */
  rules: readonly [Rule[], Rule[]] | undefined;
}

export interface Rule {
  /** Port set. */
  readonly ports: number;
  /** Whether it holds for every peer; it has neither peers nor blocks then. */
  readonly anyPeer: boolean;
  readonly peers: readonly Peer[];
  readonly blocks: readonly Block[];
}
