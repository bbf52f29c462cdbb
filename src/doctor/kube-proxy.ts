/** Where in the kernel Services are translated, and what podfence's place in it sees of that. */
import { type Finding, finding } from './finding.ts';

export interface ProxyFacts {
  /** `iptables`, `nftables`, `ipvs`; others as kube-proxy calls them. Undefined where there is no kube-proxy to be seen. */
  readonly mode: string | undefined;
  /** How it is known, as the end of a sentence: `by /proc/net/ip_vs`. */
  readonly by?: string;
  readonly certain?: boolean;
  /** Whether IPVS has Services here, whoever made them. */
  readonly ipvs?: boolean;
}

export function kubeProxy(facts: ProxyFacts): Finding[] {
  const { mode, ipvs = false } = facts;
  if (mode === 'ipvs' || !ipvs) return [modeOfProxy(facts)];
  return [...(mode === undefined ? [] : [modeOfProxy(facts)]), otherIpvs(mode)];
}

/**
 * kube-router's service proxy and keepalived use it too, and a kube-proxy that had this mode before
 * leaves its Services there.
 */
function otherIpvs(mode: string | undefined): Finding {
  const whose = mode === undefined ? 'no kube-proxy is to be seen' : `kube-proxy uses ${mode}`;
  return finding(
    'kube-proxy',
    'warning',
    'likely',
    `IPVS is in use here, though ${whose} (/proc/net/ip_vs has Services). A packet of a pod to such a Service never passes the hook forward, where podfence looks: it is not judged on the way there.`,
    'ipvsadm -Ln shows whose Services they are. What kube-proxy left behind goes by kube-proxy --cleanup; in place of kube-router --run-service-proxy, kube-proxy translates Services in mode nftables or iptables. ' +
      'Those that no pod connects to, such as addresses of keepalived, do not matter.',
  );
}

function modeOfProxy({ mode, by = '', certain = false }: ProxyFacts): Finding {
  const certainty = certain ? 'certain' : 'likely';
  const known = by === '' ? '' : ` (${by})`;
  if (mode === 'ipvs') {
    return finding(
      'kube-proxy',
      'problem',
      certainty,
      `kube-proxy uses IPVS${known}. A packet of a pod to a Service then goes from the hook input, where IPVS takes it, to output and postrouting, and never passes the hook forward, where podfence ` +
        'looks: connections through a Service are not judged on the way there, and their answers, which do pass forward, belong to no connection that podfence knows. Packets from pod to pod by their own addresses are judged.',
      'Switch kube-proxy to mode nftables or iptables, then restart it on every node and run kube-proxy --cleanup once.',
    );
  }
  if (mode === 'iptables' || mode === 'nftables') {
    return finding(
      'kube-proxy',
      'ok',
      certainty,
      `kube-proxy uses ${mode}${known}: Services are translated in prerouting, before the hook forward, so that podfence judges the pod that a connection goes to.`,
    );
  }
  if (mode !== undefined) {
    return finding(
      'kube-proxy',
      'warning',
      'likely',
      `kube-proxy uses the mode ${mode}${known}, which podfence does not know.`,
    );
  }
  return finding(
    'kube-proxy',
    'info',
    'likely',
    'No kube-proxy is to be seen. Where something else translates Services (an eBPF dataplane), podfence sees only what it sends through the hook forward.',
  );
}
