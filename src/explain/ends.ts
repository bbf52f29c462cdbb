/** Resolves names to the ends of flows: pods, Services, nodes, addresses. */
import { ownersByAddress } from '../cluster/address-owners.ts';
import { didYouMean } from '../cluster/nearest.ts';
import { type PodRecord, type Protocol, recordKey } from '../cluster/records.ts';
import { isBehind, targetOn } from '../cluster/service-ports.ts';
import type { ServiceRecord } from '../cluster/services.ts';
import type { ClusterSnapshot } from '../cluster/store.ts';
import { canonicalTypedAddress } from '../cluster/typed-addresses.ts';
import type { NodeIdentity } from '../policy/compiler.ts';
import type { FlowEnd } from './flow-end.ts';
import { FlowError } from './flow-error.ts';

/** What a name resolves to: a pod with all its addresses, a Service, or one address. */
export type Named =
  | { readonly kind: 'pod'; readonly pod: PodRecord }
  | { readonly kind: 'service'; readonly service: ServiceRecord }
  | { readonly kind: 'end'; readonly end: FlowEnd };

/** Prefixes that pick the Service or the pod if both have the same name. */
export const SERVICE = 'service/';
export const POD = 'pod/';

export class Ends {
  readonly #pods = new Map<string, PodRecord>();
  readonly #services = new Map<string, ServiceRecord>();
  readonly #byClusterIP = new Map<string, ServiceRecord>();
  /** Pods whose records have an address; see cluster/address-owners.ts. */
  readonly #byAddress: ReadonlyMap<string, readonly PodRecord[]>;
  /** Pods behind each Service that a question named. */
  readonly #behind = new Map<ServiceRecord, readonly PodRecord[]>();

  /** Names of nodes, by address. */
  readonly #nodes = new Map<string, string>();

  /** @param nodes nodes whose addresses do not come from their host-network pods */
  constructor({ pods }: ClusterSnapshot, services: readonly ServiceRecord[], nodes: readonly NodeIdentity[] = []) {
    this.#byAddress = ownersByAddress(pods);
    for (const { name, addresses } of nodes) for (const address of addresses) this.#nodes.set(address, name);
    for (const pod of pods) {
      this.#pods.set(recordKey(pod), pod);
      for (const address of pod.addresses) {
        if (pod.hostNetwork && pod.nodeName !== undefined) this.#nodes.set(address, pod.nodeName);
      }
    }
    for (const service of services) {
      this.#services.set(`${service.namespace}/${service.name}`, service);
      for (const address of service.clusterIPs) this.#byClusterIP.set(address, service);
    }
  }

  /**
   * Resolves `namespace/pod`, `pod/namespace/pod`, a pod's bare name if it is unique,
   * `namespace/service`, `service/namespace/service`, or an address of a pod, node or Service. If a
   * pod and a Service share the name, the pod wins; see destination.ts.
   * @throws FlowError UNKNOWN_END
   */
  named(text: string): Named {
    const pod = this.#pods.get(text) ?? this.#pods.get(text.startsWith(POD) ? text.slice(POD.length) : text);
    if (pod !== undefined) return { kind: 'pod', pod };
    const service = this.#services.get(text.startsWith(SERVICE) ? text.slice(SERVICE.length) : text);
    if (service !== undefined) return { kind: 'service', service };
    const address = canonicalTypedAddress(text);
    if (address !== undefined) return this.#atAddress(address);
    return { kind: 'pod', pod: this.#podByName(text) };
  }

  /** Returns the pod and the Service that share this name, if both exist. */
  sharedName(text: string): { readonly pod: PodRecord; readonly service: ServiceRecord } | undefined {
    const [pod, service] = [this.#pods.get(text), this.#services.get(text)];
    return pod === undefined || service === undefined ? undefined : { pod, service };
  }

  /** Returns the pod's ports that Services send to. */
  portsSentTo(pod: PodRecord): readonly { readonly protocol: Protocol; readonly port: number }[] {
    return [...this.#services.values()]
      .filter((service) => isBehind(service, pod))
      .flatMap(({ ports }) =>
        ports.flatMap(({ protocol, targetPort }) => {
          const port = targetOn(pod, protocol, targetPort);
          return port === undefined ? [] : { protocol, port };
        }),
      );
  }

  /** Returns the end at an address in canonical text. */
  at(address: string): FlowEnd {
    const [pod] = this.#byAddress.get(address) ?? [];
    if (pod !== undefined) return podEnd(pod, address);
    const node = this.#nodes.get(address);
    return node === undefined ? { kind: 'address', address } : { kind: 'node', name: node, address };
  }

  /** The pods that a Service selects. */
  behind(service: ServiceRecord): readonly PodRecord[] {
    const pods = this.#behind.get(service) ?? [...this.#pods.values()].filter((pod) => isBehind(service, pod));
    this.#behind.set(service, pods);
    return pods;
  }

  #atAddress(address: string): Named {
    const service = this.#byClusterIP.get(address);
    return service === undefined ? { kind: 'end', end: this.at(address) } : { kind: 'service', service };
  }

  #podByName(text: string): PodRecord {
    const found = text.includes('/') ? [] : [...this.#pods.values()].filter(({ name }) => name === text);
    const [only, ...others] = found;
    if (only !== undefined && others.length === 0) return only;
    if (only !== undefined) {
      throw new FlowError('UNKNOWN_END', `${text} is in several namespaces: ${found.map(recordKey).join(', ')}`);
    }
    const hint = didYouMean(text, [...this.#pods.keys(), ...this.#services.keys()]);
    const expected = hint ?? 'Give NAMESPACE/POD, NAMESPACE/SERVICE or an IP address.';
    throw new FlowError('UNKNOWN_END', `there is no pod or Service ${JSON.stringify(text.slice(0, 200))}. ${expected}`);
  }
}

export function podEnd({ namespace, name, nodeName }: PodRecord, address: string): FlowEnd {
  return { kind: 'pod', namespace, name, address, node: nodeName };
}
