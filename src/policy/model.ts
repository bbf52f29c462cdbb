/**
 * What the compiler keeps of a cluster: namespaces and their identities, the peers that rules name,
 * policies with their rules. The file that is named after a kind maintains its objects; they refer
 * to one another, so their types stand together here.
 */
import type { LabelSelector, Labels, PolicyMode, PolicyRecord } from '../cluster/records.ts';
import type { Block } from './cidr.ts';
import type { InternedSet, Member } from './interned-sets.ts';
import type { SelectorSet } from './selector-set.ts';

/** A namespace with a record of its own, or with a pod or a policy. */
export interface Namespace {
  readonly name: string;
  /**
   * Undefined while its record is unknown: then no namespaceSelector matches it, not even `{}`. See
   * peer-groups.ts.
   */
  labels: Labels | undefined;
  readonly identities: Map<string, Identity>;
  /** The identities of its endpoints on this node; undefined until there is one. */
  endpoints: Set<Identity> | undefined;
  readonly policies: SelectorSet<Policy>;
  /** From its record, for policies without a mode of their own. */
  mode: PolicyMode | undefined;
  /** The scope of its own policies' podSelectors; undefined while there is none. */
  ownScope: Scope | undefined;
  /**
   * The scopes whose namespaceSelector matches it, but for the scope of all namespaces; undefined
   * if there are none.
   */
  scopes: InternedSet<Scope> | undefined;
  /** The labels under which peer-groups.ts has indexed it. */
  indexed: Labels | undefined;
}

export interface Identity {
  /** Above 0; reused once this identity is gone. */
  readonly id: number;
  readonly key: string;
  readonly namespace: Namespace;
  readonly labels: Labels;
  readonly profileKey: string;
  pods: number;
  /** Its pods on this node. */
  endpoints: number;
  /**
   * Id of its peer group; NO_GROUP until selectors were tried. Not a reference, because V8 would
   * have to scan a hundred thousand of them for each new group.
   */
  group: number;
  /** The policies that select it; undefined without endpoints. */
  selectedBy: InternedSet<Policy> | undefined;
}

/** The relevant peer selectors that match an identity. */
export type PeerGroup = InternedSet<Peer>;

export const NO_GROUP = -1;

/**
 * The namespaces in which a peer selects pods: the policy's own, or those that a namespaceSelector
 * matches.
 */
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
  /**
   * Number of rules that name it. At 0 the next settling retires it; it is kept for a while,
   * because the policy may come back.
   */
  users: number;
  /** The groups in use that it matches. */
  readonly groups: Set<PeerGroup>;
  /**
   * The port set that it opens, by the record of a class and direction. Set by endpoint-classes.ts.
   */
  readonly opens: Map<number, number>;
}

export interface Policy extends Member {
  /** `namespace/name`. */
  readonly key: string;
  readonly record: PolicyRecord;
  readonly mode: PolicyMode;
  readonly namespace: Namespace;
  /** Number of endpoint classes with this policy; above 0 the policy is relevant for this node. */
  users: number;
  /** By direction; set only while the policy is relevant. */
  rules: readonly [Rule[], Rule[]] | undefined;
}

export interface Rule {
  /** Port set. */
  readonly ports: number;
  /** Whether it matches every peer; then it has neither peers nor blocks. */
  readonly anyPeer: boolean;
  readonly peers: readonly Peer[];
  readonly blocks: readonly Block[];
}
