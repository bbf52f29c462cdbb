/**
 * Named ports of policies that none of the pods in question has: accepted by the API server, and open to nobody. Of the policies that select an endpoint of this node each is looked at
 * once, and again where what it was found by is gone, or where there are other identities than at the last look: what a pod has had before it is replaced costs nothing.
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

/** The same object for as long as it is so, and the policy is not changed: who tells of it can tell once. */
export interface UnknownPortName extends NamedPort {
  readonly policy: PolicyRecord;
  /** Named ports that the pods in question have, up to MOST_KNOWN. */
  readonly known: readonly ContainerPort[];
}

/** As it was seen last. */
interface Entry {
  readonly named: NamedPort;
  /** Has such a port, while it is there. */
  witness: Identity | undefined;
  found: UnknownPortName | undefined;
}

interface Watched {
  readonly entries: readonly Entry[];
  /** Of the identities when it was last looked at. */
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

  /** The policy is relevant for this node from now on. */
  add(policy: Policy): void {
    const entries = namedEntries(policy.record);
    if (entries.length > 0) this.watched.set(policy, { entries, version: -1 });
  }

  /** It is not any more. */
  remove(policy: Policy): void {
    this.watched.delete(policy);
  }

  /** Looks at what may have changed since the last time, a policy a piece. Not while changes are being compiled. */
  *look(): Pieces {
    for (const [policy, watched] of this.watched) {
      const { version } = this.identities;
      if (watched.version === version) continue;
      watched.version = version;
      for (const entry of watched.entries) this.lookAt(policy, entry);
      yield;
    }
  }

  /** As of the last look. */
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

  /** Among these are the pods that the entry is about. */
  private candidates({ namespace }: Policy, { direction }: NamedPort): Iterable<Identity | undefined> {
    return direction === 'ingress' ? namespace.identities.values() : this.identities.allIdentities();
  }

  /** Which those are; undefined where an ipBlock is among the peers: which pods have addresses in it is not looked up. */
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
