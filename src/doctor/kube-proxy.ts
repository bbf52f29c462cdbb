/** Where in the kernel Services are translated, and what podfence sees of that. */
import { type Finding, finding } from './finding.ts';

export interface ProxyFacts {
  /**
   * `iptables`, `nftables`, `ipvs`, or another name that kube-proxy uses. Undefined if no
   * kube-proxy is visible.
   */
  readonly mode: string | undefined;
  /** How the mode is known, as the end of a sentence: `by /proc/net/ip_vs`. */
  readonly by?: string;
  readonly certain?: boolean;
  /** Whether IPVS has Services here, from any software. */
  readonly ipvs?: boolean;
}

export function kubeProxy(facts: ProxyFacts): Finding[] {
  const { mode, ipvs = false } = facts;
  if (mode === 'ipvs' || !ipvs) return [modeOfProxy(facts)];
  return [...(mode === undefined ? [] : [modeOfProxy(facts)]), otherIpvs(mode)];
}

/**
 * Reports IPVS without kube-proxy's mode ipvs. kube-router's service proxy and keepalived use IPVS
 * too, and a kube-proxy that ran in this mode before leaves its Services behind.
 */
function otherIpvs(mode: string | undefined): Finding {
  const whose = mode === undefined ? 'no kube-proxy is visible' : `kube-proxy uses ${mode}`;
  return finding(
    'kube-proxy',
    'warning',
    'likely',
    `IPVS is in use here, though ${whose} (/proc/net/ip_vs has Services). A packet of a pod to such a Service never passes the hook forward, where podfence looks: it is not judged on the way there.`,
    'ipvsadm -Ln shows whose Services they are. kube-proxy --cleanup removes what kube-proxy left behind. Instead of kube-router --run-service-proxy, let kube-proxy translate Services in mode nftables or iptables. ' +
      'Services that no pod connects to, such as those of keepalived, do not matter.',
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
    'No kube-proxy is visible. If something else translates Services (an eBPF dataplane), podfence sees only what it sends through the hook forward.',
  );
}
