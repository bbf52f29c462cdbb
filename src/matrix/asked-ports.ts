/** The ports to try so that the answer covers every port that an assertion names. */
import type { PodRecord, PolicyRecord, Protocol } from '../cluster/records.ts';
import type { ServiceRecord } from '../cluster/services.ts';
import type { PortPattern } from './assertion.ts';
import { portBounds, serviceTargets } from './ports.ts';

export interface Port {
  readonly protocol: Protocol;
  readonly port: number;
}

const EVERY_PORT: readonly PortPattern[] = (['TCP', 'UDP', 'SCTP'] as const).map((protocol) => ({
  protocol,
  first: 1,
  last: 65_535,
}));

export class AskedPorts {
  readonly #bounds: readonly number[];

  constructor(policies: readonly PolicyRecord[]) {
    this.#bounds = portBounds(policies);
  }

  /**
   * Returns the ports to try. Of a range these are the first port and each port at which the answer
   * may change: because a policy names its number, or the name that the pod gives it.
   *
   * @param pattern undefined for every port
   * @param pod undefined for an address outside
   */
  of(pattern: PortPattern | undefined, pod: PodRecord | undefined): readonly Port[] {
    const own = pod?.ports ?? [];
    return (pattern === undefined ? EVERY_PORT : [pattern]).flatMap((each): Port[] => {
      const { protocol } = each;
      if ('name' in each) {
        return own.filter(({ name, protocol }) => name === each.name && protocol === each.protocol).map(portOf);
      }
      const { first, last } = each;
      const isAsked = (port: number) => port >= first && port <= last;
      const named = own.filter((port) => port.protocol === protocol).map(({ port }) => port);
      const numbers = new Set([first, ...[...this.#bounds, ...named].filter(isAsked)]);
      return [...numbers].sort((a, b) => a - b).map((port) => ({ port, protocol }));
    });
  }

  /**
   * Returns the pod's ports behind the Service ports that the pattern names; without a pattern, all
   * ports of the pod.
   */
  through(pattern: PortPattern | undefined, pod: PodRecord, services: readonly ServiceRecord[]): readonly Port[] {
    const targets = services.flatMap((service) => serviceTargets(service, pod));
    if (targets.length === 0) return [];
    if (pattern === undefined) return this.of(pattern, pod);
    const found = targets
      .filter(({ target }) => target.protocol === pattern.protocol)
      .filter(({ servicePort, serviceName }) =>
        'name' in pattern ? serviceName === pattern.name : servicePort >= pattern.first && servicePort <= pattern.last,
      );
    return [...new Map(found.map(({ target }) => [target.port, portOf(target)])).values()];
  }
}

function portOf({ port, protocol }: Port): Port {
  return { port, protocol };
}
