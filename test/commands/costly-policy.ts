/** Returns a NetworkPolicy `costly`, as JSON, that asks for more of the rule table than one may. */
export function costlyPolicy(namespace: string): string {
  const ingress = Array.from({ length: 2000 }, (_, i) => ({
    from: [{ ipBlock: { cidr: '20.0.0.0/8', except: [`20.${i >> 8}.${i & 255}.7/32`] } }],
    ports: [{ port: 2 * i + 1 }],
  }));
  return JSON.stringify({
    ...{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'costly', namespace } },
    spec: { podSelector: {}, ingress },
  });
}
