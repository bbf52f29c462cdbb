/** The two ends of a flow: the names that people use, and the addresses that the table uses. */

/** One end of a flow. Addresses are canonical text (`canonicalAddress` of cluster/addresses.ts). */
export type FlowEnd =
  | {
      readonly kind: 'pod';
      readonly namespace: string;
      readonly name: string;
      readonly address: string;
      /** Undefined while the pod's node is not known. */
      readonly node: string | undefined;
    }
  | { readonly kind: 'node'; readonly name: string; readonly address: string }
  | { readonly kind: 'address'; readonly address: string };

/** `namespace/name`, `node NAME`, or the address. */
export function endName(end: FlowEnd): string {
  switch (end.kind) {
    case 'pod':
      return `${end.namespace}/${end.name}`;
    case 'node':
      return `node ${end.name}`;
    case 'address':
      return end.address;
  }
}
