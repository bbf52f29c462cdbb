/**
 * Who can reach whom: judges flows from everywhere to each destination's ports, with the code that
 * judges packets on the nodes.
 */
import { familyOf } from '../cluster/addresses.ts';
import { modeOf } from '../cluster/mode.ts';
import { recordKey } from '../cluster/records.ts';
import type { ServiceRecord } from '../cluster/services.ts';
import type { ClusterSnapshot } from '../cluster/store.ts';
import { ClusterJudge } from '../explain/cluster-judge.ts';
import type { FlowEnd } from '../explain/flow-end.ts';
import { type EnforcedJudgement, type EnforcedVerdict, enforced, type Judgement } from '../explain/judgement.ts';
import { listed } from '../explain/words.ts';
import { addressEnds, type External, type JudgedEnd, type MatrixEnd, podEnds } from './ends.ts';
import { portKey } from './named-ports.ts';
import { byNumber, type MatrixPort } from './ports.ts';

/** `mixed`: allowed in one address family only. */
export type CellVerdict = EnforcedVerdict | 'mixed';

/** For `mixed`, `egress`, `ingress` and `reason` are those of the denied family. */
export interface Cell extends Omit<Judgement, 'verdict'> {
  readonly verdict: CellVerdict;
  /** The verdict before the change; present only in a comparison. */
  readonly before?: CellVerdict;
}

export type CellChange = 'opened' | 'closed';

/** A cell with its place. */
export interface PlacedCell {
  readonly from: MatrixEnd;
  readonly to: MatrixEnd;
  readonly port: MatrixPort;
  readonly cell: Cell;
  /** The arguments of `Reachability.cell` for this cell. */
  readonly at: readonly [from: number, to: number, port: number];
}

export interface MatrixOptions {
  readonly services?: readonly ServiceRecord[];
  /** Addresses outside the cluster to ask about, besides those that the policies tell apart. */
  readonly externals?: readonly External[];
  /**
   * The cluster before the change. All its policies count; of its pods and namespaces only the
   * labels and ports of those that still exist.
   */
  readonly before?: ClusterSnapshot;
}

const PORTS = 65_536;
const PROTOCOLS: Readonly<Record<MatrixPort['protocol'], number>> = { TCP: 0, UDP: 1, SCTP: 2 };
const ORDER: Readonly<Record<CellVerdict, number>> = { deny: 0, mixed: 1, allow: 2 };

export class Reachability {
  readonly ends: readonly MatrixEnd[];
  /** What the matrix leaves out, in sentences without a full stop. */
  readonly notes: readonly string[];
  /** The cluster by which the cells' `before` is judged, if they have one; see asBefore. */
  readonly before: ClusterSnapshot | undefined;
  readonly #judged: readonly JudgedEnd[];
  readonly #classes: readonly number[];
  readonly #classCount: number;
  readonly #judges: readonly ClusterJudge[];
  /** By the classes of both ends and the port. Equal cells share one object, as few differ. */
  readonly #cells = new Map<number, Cell>();
  readonly #distinct = new Map<string, Cell>();

  constructor(snapshot: ClusterSnapshot, { services = [], externals = [], before }: MatrixOptions = {}) {
    this.before = before && asBefore(snapshot, before);
    const worlds = this.before === undefined ? ([snapshot] as const) : ([snapshot, this.before] as const);
    const outside = addressEnds(worlds, externals);
    this.#judged = [...podEnds(worlds, services), ...outside.ends];
    this.#judges = worlds.map((world) => new ClusterJudge(world));
    const classes = new Map<string, number>();
    this.#classes = this.#judged.map(({ judgedAs }) => {
      const known = classes.get(judgedAs) ?? classes.size;
      classes.set(judgedAs, known);
      return known;
    });
    this.#classCount = classes.size;
    this.ends = this.#endsWithTellingPorts();
    this.notes = notesOn(snapshot, this.ends, outside.omitted);
  }

  /**
   * Returns whether `ends[from]` can open a connection to `ends[to].ports[port]`. Undefined if
   * there is nothing to judge: a pod and itself, two ends outside the cluster, ends without a
   * common address family.
   */
  cell(from: number, to: number, port: number): Cell | undefined {
    const asked = this.ends[to]?.ports[port];
    return asked && this.#cellOn(asked, from, to);
  }

  /** Yields all cells, row by row. */
  *cells(): Generator<PlacedCell> {
    for (const [i, from] of this.ends.entries()) {
      for (const [j, to] of this.ends.entries()) {
        for (const [k, port] of to.ports.entries()) {
          const cell = this.cell(i, j, k);
          if (cell !== undefined) yield { from, to, port, cell, at: [i, j, k] };
        }
      }
    }
  }

  /** Returns the flow that explains a cell: if the address families differ, a denied one. */
  flow(from: number, to: number, port: number): readonly [from: FlowEnd, to: FlowEnd] | undefined {
    const flows = this.#flows(from, to);
    const asked = this.ends[to]?.ports[port];
    if (asked === undefined || flows.length < 2) return flows[0];
    const isDenied = ([source, destination]: readonly [FlowEnd, FlowEnd]) =>
      this.#judges[0]?.judge(source, destination, asked.protocol, asked.port).verdict === 'deny';
    return flows.find(isDenied) ?? flows[0];
  }

  /**
   * Returns the ends. Each gets those ports beyond its own on which something changed, or on which
   * some end reaches everything that it could listen on.
   */
  #endsWithTellingPorts(): readonly MatrixEnd[] {
    const telling = new Map<string, boolean>();
    return this.#judged.map(({ end, beyond }, to) => {
      const shown = beyond.filter((port) => {
        const key = `${this.#classes[to]} ${portKey(port)} ${port.other}`;
        const tells = telling.get(key) ?? this.#tells(port, to);
        telling.set(key, tells);
        return tells;
      });
      return shown.length === 0 ? end : { ...end, ports: [...end.ports, ...shown].sort(byNumber) };
    });
  }

  #tells(port: MatrixPort, to: number): boolean {
    return this.#judged.some((_, from) => {
      const cell = this.#cellOn(port, from, to);
      if (cell === undefined) return false;
      return changeOf(cell) !== undefined || (port.other && port.protocol === 'TCP' && cell.verdict !== 'deny');
    });
  }

  #cellOn(asked: MatrixPort, from: number, to: number): Cell | undefined {
    if (this.#pair(from, to) === undefined) return undefined;
    const pair = (this.#classes[from] ?? 0) * this.#classCount + (this.#classes[to] ?? 0);
    const key = (pair * 3 + PROTOCOLS[asked.protocol]) * PORTS + asked.port;
    let cell = this.#cells.get(key);
    if (cell === undefined) {
      cell = this.#judge(this.#flows(from, to), asked);
      if (cell !== undefined) this.#cells.set(key, cell);
    }
    return cell;
  }

  /** Returns the flows that stand for a cell, one for each address family that both ends have. */
  #flows(from: number, to: number): readonly (readonly [from: FlowEnd, to: FlowEnd])[] {
    const [sources, destinations] = this.#pair(from, to) ?? [[], []];
    return sources.flatMap((source) => {
      const destination = destinations.find(({ address }) => familyOf(address) === familyOf(source.address));
      return destination === undefined ? [] : [[source, destination] as const];
    });
  }

  #pair(from: number, to: number): readonly [readonly FlowEnd[], readonly FlowEnd[]] | undefined {
    const source = this.#judged[from];
    const destination = this.#judged[to];
    if (source?.end.kind === 'addresses' && destination?.end.kind === 'addresses') return undefined;
    const target = destination?.members[from === to ? 1 : 0];
    return source?.members[0] === undefined || target === undefined ? undefined : [source.members[0], target];
  }

  #judge(flows: readonly (readonly [FlowEnd, FlowEnd])[], { protocol, port }: MatrixPort): Cell | undefined {
    const [now, before] = this.#judges.map((judge) =>
      combined(flows.map(([from, to]) => enforced(judge.judge(from, to, protocol, port)))),
    );
    if (now === undefined) return undefined;
    const cell: Cell = before === undefined ? now : { ...now, before: before.verdict };
    const key = `${cell.verdict} ${cell.egress} ${cell.ingress} ${cell.reason} ${cell.before}`;
    const known = this.#distinct.get(key) ?? cell;
    this.#distinct.set(key, known);
    return known;
  }
}

/** Returns what a change of policies did to a cell. */
export function changeOf({ verdict, before = verdict }: Cell): CellChange | undefined {
  if (verdict === before) return undefined;
  return ORDER[verdict] > ORDER[before] ? 'opened' : 'closed';
}

/** Combines the verdicts of the address families into one. */
function combined(judgements: readonly EnforcedJudgement[]): Cell | undefined {
  const denied = judgements.find(({ verdict }) => verdict === 'deny');
  if (denied === undefined) return judgements[0];
  return judgements.every(({ verdict }) => verdict === 'deny') ? denied : { ...denied, verdict: 'mixed' };
}

/**
 * Returns the current pods and namespaces with their former labels and ports, and the old policies.
 */
function asBefore(now: ClusterSnapshot, before: ClusterSnapshot): ClusterSnapshot {
  const pods = new Map(before.pods.map((pod) => [recordKey(pod), pod]));
  const namespaces = new Map(before.namespaces.map((each) => [each.name, each]));
  return {
    namespaces: now.namespaces.map((each) => namespaces.get(each.name) ?? each),
    pods: now.pods.map((pod) => {
      const { labels, ports } = pods.get(recordKey(pod)) ?? pod;
      return { ...pod, labels, ports };
    }),
    policies: before.policies,
  };
}

function notesOn(
  { namespaces, pods, policies }: ClusterSnapshot,
  ends: readonly MatrixEnd[],
  omittedBlocks: number,
): readonly string[] {
  const shown = new Set(ends.flatMap((end) => (end.kind === 'pods' ? end.pods : [])));
  const hidden = pods.filter((pod) => !shown.has(recordKey(pod)));
  const inHostNetwork = hidden.filter(({ hostNetwork }) => hostNetwork).map(recordKey);
  const others = hidden.filter(({ hostNetwork }) => !hostNetwork).map(recordKey);
  const modes = new Map(namespaces.map((each) => [each.name, each]));
  const audited = policies.filter((each) => modeOf(each, modes.get(each.namespace)) === 'audit').map(recordKey);
  return [
    ...(inHostNetwork.length > 0 ? [`in their node's network, where no policy applies: ${listed(inHostNetwork)}`] : []),
    ...(others.length > 0 ? [`without an address of their own: ${listed(others)}`] : []),
    ...(audited.length > 0 ? [`audited and not enforced, what they deny counts as allowed: ${listed(audited)}`] : []),
    ...(omittedBlocks > 0 ? [`${omittedBlocks} more address blocks that policies name`] : []),
  ];
}
