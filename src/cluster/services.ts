/**
 * The fields of a core/v1 Service that decide where a connection goes. Packets are judged after its
 * DNAT, so no verdict depends on them.
 */
import type { Labels, Protocol } from './records.ts';

export type ServiceType = 'ClusterIP' | 'NodePort' | 'LoadBalancer';

export interface ServicePort {
  readonly name?: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** Number, or the name of a container port of the backends. */
  readonly targetPort: number | string;
  /** 30000 to 32767; only for NodePort and LoadBalancer Services. */
  readonly nodePort?: number;
}

export interface ServiceRecord {
  readonly namespace: string;
  readonly name: string;
  readonly type: ServiceType;
  /** Canonical texts, at most one per family; none if the Service is headless. */
  readonly clusterIPs: readonly string[];
  readonly ports: readonly ServicePort[];
  /** Selects pods of its own namespace. An empty selector selects none. */
  readonly selector: Labels;
  readonly headless: boolean;
}
