/** Describes a flow that the filter judged: the names of its ends and the policies that decided. */
import { DIRECTIONS, type Direction } from '../cluster/records.ts';
import type { FlowEnd } from '../explain/flow-end.ts';
import { FIRST_DENY, MID_STREAM, REASONS } from '../filter/reasons.ts';
import { verdictOf } from '../filter/verdict.ts';
import { hasPorts, ICMP, ICMPV6, SCTP, TCP, UDP } from '../packet/protocols.ts';
import { addressText } from '../policy/address-words.ts';
import type { AttributedFlow, Attribution } from '../policy/attribution.ts';
import type { Flow, FlowPolicy } from './flow.ts';
import type { FlowEvent } from './flow-events.ts';
import type { FlowSighting } from './flow-log.ts';

const PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [TCP, 'TCP'],
  [UDP, 'UDP'],
  [SCTP, 'SCTP'],
  [ICMP, 'ICMP'],
  [ICMPV6, 'ICMPv6'],
]);

export interface FlowDescriptionOptions {
  readonly attribution: Attribution;
  /** Finds the pod, node or bare address of an address in canonical text. */
  readonly endAt: (address: string) => FlowEnd;
  /** Whether the directions of this pod are enforced where the flow was seen. */
  readonly isHere: (pod: FlowEnd & { kind: 'pod' }) => boolean;
}

export class FlowDescription {
  readonly #options: FlowDescriptionOptions;

  constructor(options: FlowDescriptionOptions) {
    this.#options = options;
  }

  /** Returns what a flow log needs. The flow is described only when the log calls `describe`. */
  sighting(event: FlowEvent): FlowSighting {
    const { protocol, source, destination, reason, direction, audited } = event;
    const isWithPort = hasPorts(protocol) && event.destinationPort >= 0;
    const [sourcePort, port] = isWithPort ? [event.sourcePort, event.destinationPort] : [null, null];
    return {
      key: `${reason} ${audited ? 'audited' : ''} ${direction} ${protocol} ${source} ${destination} ${port}`,
      verdict: verdictOf(reason, audited),
      sourcePort,
      describe: () => this.#describe(event, port),
    };
  }

  #describe(event: FlowEvent, port: number | null): Flow {
    const { reason, protocol } = event;
    const from = this.#options.endAt(addressText(event.source));
    const to = this.#options.endAt(addressText(event.destination));
    const direction = event.direction === 0 ? 'egress' : 'ingress';
    const flow = { source: from.address, destination: to.address, protocol, port: port ?? -1 };
    const isHere = (side: Direction) => {
      const own = side === 'egress' ? from : to;
      return own.kind === 'pod' && this.#options.isHere(own);
    };
    return {
      verdict: verdictOf(reason, event.audited),
      direction,
      reason: REASONS[reason] ?? String(reason),
      protocol: PROTOCOLS.get(protocol) ?? String(protocol),
      ...{ port, from, to },
      policies:
        reason < FIRST_DENY
          ? DIRECTIONS.filter(isHere).flatMap((side) => this.#allowing(flow, side))
          : reason === MID_STREAM
            ? []
            : this.#isolating(direction === 'egress' ? from.address : to.address, direction),
    };
  }

  #allowing(flow: AttributedFlow, direction: Direction): FlowPolicy[] {
    const first = new Map<string, FlowPolicy>();
    for (const { policy, rule } of this.#options.attribution.allowingRules(flow, direction)) {
      const { namespace, name } = policy;
      const field = `spec.${direction}[${rule}]`;
      if (!first.has(name)) first.set(name, { direction, namespace, name, rule: rule + 1, field });
    }
    return [...first.values()].sort(byName);
  }

  #isolating(address: string, direction: Direction): FlowPolicy[] {
    return this.#options.attribution
      .isolating(address, direction)
      .map(({ namespace, name }) => ({ direction, namespace, name, rule: null, field: null }))
      .sort(byName);
  }
}

/** Orders policies of one namespace. */
function byName(a: FlowPolicy, b: FlowPolicy): number {
  return a.name < b.name ? -1 : 1;
}
