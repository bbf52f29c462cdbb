/** Reads a valid NetworkPolicy without a single check: only for objects without mistakes. */
import type { PolicyRecord } from '../../src/cluster/records.ts';

// biome-ignore lint/suspicious/noExplicitAny: what is read was checked by the code under test, and nothing here is
type Raw = any;

export function naivePolicy(raw: Raw): Pick<PolicyRecord, 'podSelector' | 'isolates' | 'ingress' | 'egress'> {
  const spec = raw.spec ?? {};
  const types: readonly string[] = spec.policyTypes ?? [];
  const defaults = ['Ingress', ...(spec.egress?.length > 0 ? ['Egress'] : [])];
  const meant = types.length > 0 ? types : defaults;
  return {
    podSelector: selector(spec.podSelector),
    isolates: (['ingress', 'egress'] as const).filter((each) => meant.some((type) => type.toLowerCase() === each)),
    ingress: list(spec.ingress).map((rule) => ({
      peers: list(rule?.from).map(peer),
      ports: list(rule?.ports).map(port),
    })),
    egress: list(spec.egress).map((rule) => ({ peers: list(rule?.to).map(peer), ports: list(rule?.ports).map(port) })),
  };
}

function list(raw: Raw): Raw[] {
  return raw ?? [];
}

function selector(raw: Raw) {
  const labels = Object.entries<string | null>(raw?.matchLabels ?? {}).map(([key, value]) => [key, value ?? '']);
  return {
    matchLabels: Object.fromEntries(labels),
    matchExpressions: list(raw?.matchExpressions).map(({ key, operator, values }) => ({
      key,
      operator,
      values: list(values).map((value) => value ?? ''),
    })),
  };
}

function peer(raw: Raw) {
  const { podSelector, namespaceSelector, ipBlock } = raw;
  return {
    ...(podSelector != null && { podSelector: selector(podSelector) }),
    ...(namespaceSelector != null && { namespaceSelector: selector(namespaceSelector) }),
    ...(ipBlock != null && { ipBlock: { cidr: ipBlock.cidr, except: list(ipBlock.except) } }),
  };
}

function port(raw: Raw) {
  return {
    protocol: raw?.protocol ?? 'TCP',
    ...(raw?.port != null && { port: raw.port }),
    ...(raw?.endPort != null && { endPort: raw.endPort }),
  };
}
