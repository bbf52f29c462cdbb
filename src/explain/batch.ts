/**
 * Questions about flows as JSON lines, and their answers: `{"from", "to", "port", "protocol"}`
 * returns the same with `{"egress", "ingress", "verdict", "reason"}`. Memory does not grow with the
 * number of lines.
 */
import { describe, isMap } from '../cluster/field.ts';
import type { Direction } from '../cluster/records.ts';
import type { ServiceRecord } from '../cluster/services.ts';
import type { ClusterSnapshot } from '../cluster/store.ts';
import { ClusterJudge } from './cluster-judge.ts';
import { Ends } from './ends.ts';
import { FlowError } from './flow-error.ts';
import { type FlowProtocol, type Judgement, NO_PORT, type Verdict } from './judgement.ts';
import { checkPort, type PortQuery, parsePort, parseProtocol } from './port-query.ts';
import { waysOf } from './ways.ts';

export interface FlowQuestion {
  /** `namespace/pod`, or an address. */
  readonly from: string;
  /** `namespace/pod`, `namespace/service`, or an address. */
  readonly to: string;
  /** Number or name; `5432/tcp` too. Absent only for ICMP. */
  readonly port?: number | string | undefined;
  /** @default the protocol of the named port, else TCP */
  readonly protocol?: FlowProtocol | undefined;
}

export interface BatchAnswer extends Judgement {
  /** As in the question. */
  readonly from: string;
  readonly to: string;
  readonly port: number | string | undefined;
  readonly protocol: FlowProtocol;
  /** As in Answer. */
  readonly note?: string;
}

export class Batch {
  readonly #ends: Ends;
  readonly #judge: ClusterJudge;

  constructor(snapshot: ClusterSnapshot, services: readonly ServiceRecord[]) {
    this.#ends = new Ends(snapshot, services);
    this.#judge = new ClusterJudge(snapshot);
  }

  /**
   * Answers one line.
   * @throws FlowError for a line that makes no sense; its message is meant for people
   */
  answer(line: string): BatchAnswer {
    return this.judge(readQuestion(line));
  }

  /**
   * Judges a flow. A flow to a Service is allowed only if every way to it is: otherwise some of its
   * connections fail.
   * @throws FlowError for names and ports that do not exist
   */
  judge({ from, to, port, protocol }: FlowQuestion): BatchAnswer {
    const flow = waysOf(this.#ends, from, to, portQuery(port, protocol));
    const { egress, ingress, verdict, reason } = worst(
      flow.ways.map((way) => this.#judge.judge(way.from, way.to, flow.protocol, way.port)),
    );
    const { protocol: asked, note } = flow;
    return {
      from,
      to,
      port,
      protocol: asked,
      egress,
      ingress,
      verdict,
      reason,
      ...(note === undefined ? {} : { note }),
    };
  }
}

function readQuestion(line: string): FlowQuestion {
  const value = parse(line);
  if (!isMap(value)) throw bad(`expected a map with from, to, port and protocol, found ${describe(value)}`);
  const { from, to, port = undefined, protocol = undefined } = value;
  if (typeof from !== 'string') throw bad(`from: expected a pod or an address, found ${describe(from)}`);
  if (typeof to !== 'string') throw bad(`to: expected a pod, a Service or an address, found ${describe(to)}`);
  if (port !== undefined && port !== null && typeof port !== 'number' && typeof port !== 'string') {
    throw bad(`port: expected a number or a name, found ${describe(port)}`);
  }
  if (protocol !== undefined && protocol !== null && typeof protocol !== 'string') {
    throw bad(`protocol: expected TCP, UDP, SCTP or ICMP, found ${describe(protocol)}`);
  }
  return { from, to, port: port ?? undefined, protocol: protocol == null ? undefined : parseProtocol(protocol) };
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw bad(`the line is not JSON: ${(error as Error).message}`);
  }
}

function bad(message: string): FlowError {
  return new FlowError('BAD_LINE', message);
}

/** @throws FlowError, also for a port and a protocol that contradict each other */
export function portQuery(port: number | string | undefined, protocol: FlowProtocol | undefined): PortQuery {
  if (protocol === 'ICMP') return icmpQuery(port);
  if (port === undefined) throw bad('port: missing; only ICMP flows have none');
  if (typeof port === 'number') return { protocol, port: checkPort(port) };
  const query = parsePort(port);
  if (protocol !== undefined && query.protocol !== undefined && query.protocol !== protocol) {
    throw bad(`port ${port} and protocol ${protocol} contradict each other`);
  }
  return { ...query, protocol: protocol ?? query.protocol };
}

function icmpQuery(port: number | string | undefined): PortQuery {
  const query: PortQuery = { protocol: 'ICMP', port: NO_PORT };
  if (port === undefined || (typeof port === 'string' && parsePort(port).port === NO_PORT)) return query;
  throw bad(`port ${port} and protocol ICMP contradict each other: ICMP has no ports`);
}

const GRAVEST_FIRST: readonly Verdict[] = ['deny', 'would_deny', 'allow'];

/**
 * If several ways differ, the first one denied in a direction decides that direction, else the
 * first that audited policies would deny.
 */
function worst(judgements: readonly Judgement[]): Judgement {
  const [first] = judgements as readonly [Judgement];
  if (judgements.length === 1) return first;
  const gravest = (direction: Direction) =>
    GRAVEST_FIRST.flatMap((verdict) => judgements.find((each) => each[direction] === verdict) ?? [])[0] ?? first;
  const [egress, ingress] = [gravest('egress'), gravest('ingress')];
  const rank = (judgement: Judgement, direction: Direction) => GRAVEST_FIRST.indexOf(judgement[direction]);
  const { verdict, reason } = rank(egress, 'egress') <= rank(ingress, 'ingress') ? egress : ingress;
  return { egress: egress.egress, ingress: ingress.ingress, verdict, reason };
}
