/**
 * Finds named ports in policies that no pod in question has: the API server accepts them, and they
 * open nothing. A policy that selects an endpoint of this node is checked once, and again after
 * identities changed; that is cheap while an identity with the port (the witness) is still there.
 */
import {
  type ContainerPort,
  DIRECTIONS,
  type Direction,
  type PolicyRecord,
  type PolicyRule,
  type Protocol,
} from '../cluster/records.ts';
import type { Identities } from './identities.ts';
import type { Identity, Policy } from './model.ts';
import type { Pieces } from './pieces.ts';
import type { PortNames } from './port-names.ts';
import { EGRESS } from './rule-table.ts';
import { matches } from './selector-set.ts';

/** `policy[direction][rule].ports[port]`. */
interface NamedPort {
  readonly direction: Direction;
  readonly rule: number;
  readonly port: number;
  readonly protocol: Protocol;
  readonly name: string;
}

/**
 * The same object for as long as the name is unknown and the policy unchanged, so that it can be
 * reported once.
 */
export interface UnknownPortName extends NamedPort {
  readonly policy: PolicyRecord;
  /** Named ports that the pods in question do have, up to MOST_KNOWN. */
  readonly known: readonly ContainerPort[];
}

/** A named port, and the result of its last check. */
interface Entry {
  readonly named: NamedPort;
  /** An identity that had such a port at the last check. */
  witness: Identity | undefined;
  found: UnknownPortName | undefined;
}

interface Watched {
  readonly entries: readonly Entry[];
  /** `Identities.version` at the last check. */
  version: number;
}

const MOST_KNOWN = 64;

export class UnknownPortNames {
  private readonly identities: Identities;
  private readonly portNames: PortNames;
  private readonly watched = new Map<Policy, Watched>();

  constructor(identities: Identities, portNames: PortNames) {
    this.identities = identities;
    this.portNames = portNames;
  }

  /** Adds a policy that is relevant for this node. */
  add(policy: Policy): void {
    const entries = namedEntries(policy.record);
    if (entries.length > 0) this.watched.set(policy, { entries, version: -1 });
  }

  /** Removes a policy that is no longer relevant. */
  remove(policy: Policy): void {
    this.watched.delete(policy);
  }

  /**
   * Checks what may have changed since the last call, one policy per piece. Not while changes are
   * being compiled.
   */
  *look(): Pieces {
    for (const [policy, watched] of this.watched) {
      const { version } = this.identities;
      if (watched.version === version) continue;
      watched.version = version;
      for (const entry of watched.entries) this.lookAt(policy, entry);
      yield;
    }
  }

  /** Returns the findings of the last check. */
  *found(): Iterable<UnknownPortName> {
    for (const { entries } of this.watched.values()) for (const { found } of entries) if (found) yield found;
  }

  private lookAt(policy: Policy, entry: Entry): void {
    const isMeant = this.pods(policy, entry.named);
    if (isMeant === undefined) return;
    const { named, witness } = entry;
    const isNamed = ({ name, protocol }: ContainerPort) => name === named.name && protocol === named.protocol;
    if (witness !== undefined && this.identities.isKnown(witness) && isMeant(witness)) return;
    entry.witness = undefined;
    let isAny = false;
    const known = new Map<string, ContainerPort>();
    for (const identity of this.candidates(policy, entry.named)) {
      if (identity === undefined || !isMeant(identity)) continue;
      isAny = true;
      if (this.portsOf(identity).some(isNamed)) {
        entry.witness = identity;
        entry.found = undefined;
        return;
      }
      if (known.size < MOST_KNOWN)
        for (const port of this.portsOf(identity)) known.set(`${port.protocol} ${port.port} ${port.name}`, port);
    }
    entry.found = isAny
      ? Object.assign(entry.found ?? {}, { policy: policy.record, ...named, known: [...known.values()] })
      : undefined;
  }

  /** Returns the identities to search for those that the entry is about. */
  private candidates({ namespace }: Policy, { direction }: NamedPort): Iterable<Identity | undefined> {
    return direction === 'ingress' ? namespace.identities.values() : this.identities.allIdentities();
  }

  /**
   * Returns a test for the identities that the entry is about; undefined if a peer is an ipBlock,
   * because the pods with addresses in it are not looked up.
   */
  private pods(policy: Policy, { direction, rule }: NamedPort): ((identity: Identity) => boolean) | undefined {
    const { record, rules } = policy;
    if (direction === 'ingress') return ({ labels }) => matches(record.podSelector, labels);
    const compiled = rules?.[EGRESS][rule];
    if (
      compiled === undefined ||
      (record.egress[rule] as PolicyRule).peers.some(({ ipBlock }) => ipBlock !== undefined)
    )
      return undefined;
    if (compiled.anyPeer) return () => true;
    const groups = new Set<number>();
    for (const peer of compiled.peers) for (const { id } of peer.groups) groups.add(id);
    return ({ group }) => groups.has(group);
  }

  private portsOf({ profileKey }: Identity): readonly ContainerPort[] {
    return this.portNames.portsOf(profileKey);
  }
}

function namedEntries(record: PolicyRecord): Entry[] {
  if (record.error !== undefined) return [];
  return DIRECTIONS.flatMap((direction) =>
    record.isolates.includes(direction)
      ? record[direction].flatMap(({ ports }, rule) =>
          ports.flatMap((each, port): Entry[] =>
            typeof each.port === 'string'
              ? [entryOf({ direction, rule, port, protocol: each.protocol, name: each.port })]
              : [],
          ),
        )
      : [],
  );
}

function entryOf(named: NamedPort): Entry {
  return { named, witness: undefined, found: undefined };
}
