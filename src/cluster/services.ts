/** core/v1 Service, as far as it decides where a connection goes. Packets are judged after its DNAT, so no verdict depends on it. */
import type { Labels, Protocol } from './records.ts';

export type ServiceType = 'ClusterIP' | 'NodePort' | 'LoadBalancer';

export interface ServicePort {
  readonly name?: string;
  readonly protocol: Protocol;
  readonly port: number;
  /** Number, or the name of a container port of the pods behind. */
  readonly targetPort: number | string;
  /** 30000 to 32767; of NodePort and LoadBalancer Services. */
  readonly nodePort?: number;
}

export interface ServiceRecord {
  readonly namespace: string;
  readonly name: string;
  readonly type: ServiceType;
  /** Canonical texts; at most one a family; none where it is headless. */
  readonly clusterIPs: readonly string[];
  readonly ports: readonly ServicePort[];
  /** Pods of its own namespace. Empty: no pods are behind it. */
  readonly selector: Labels;
  readonly headless: boolean;
}
