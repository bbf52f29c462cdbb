/**
 * Questions about flows as lines of JSON, and their answers: `{"from", "to", "port", "protocol"}` gives the same with
 * `{"egress", "ingress", "verdict", "reason"}`. What is kept does not grow with the lines.
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
  /** Number or name; `5432/tcp` too. Only flows of ICMP have none. */
  readonly port?: number | string | undefined;
  /** @default that of the port if it has a name, else TCP */
  readonly protocol?: FlowProtocol | undefined;
}

export interface BatchAnswer extends Judgement {
  /** As they were given. */
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
   * The answer to one line.
   * @throws FlowError, whose message is for people, for a line that makes no sense
   */
  answer(line: string): BatchAnswer {
    return this.judge(readQuestion(line));
  }

  /**
   * A flow to a Service is allowed where every way to it is: otherwise some of its connections fail.
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

/** @throws FlowError, for a port and a protocol that contradict each other too */
export function portQuery(port: number | string | undefined, protocol: FlowProtocol | undefined): PortQuery {
  if (protocol === 'ICMP') return icmpQuery(port);
  if (port === undefined) throw bad('port: it is missing; only flows of ICMP have none');
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

/** Of several ways that are not all allowed, the first that is denied in a direction decides it, or else the first that would be. */
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
