/** Which mode kube-proxy has, by what it says and by what it leaves in the kernel. */
import type { System } from '../dataplane/steering/run.ts';
import type { ProxyFacts } from '../doctor/kube-proxy.ts';
import type { RuleFacts } from '../doctor/rule-dumps.ts';

/** kube-proxy answers on its metrics port (--metrics-bind-address, 10249 by default), on loopback. */
const PROXY_MODE_URL = 'http://127.0.0.1:10249/proxyMode';
const PROXY_LIMIT = 500;

/** What kube-proxy itself says; undefined where none answers. */
export async function askProxyMode(): Promise<ProxyFacts | undefined> {
  try {
    const response = await fetch(PROXY_MODE_URL, { redirect: 'error', signal: AbortSignal.timeout(PROXY_LIMIT) });
    const mode = (await response.text()).trim();
    if (!response.ok || !/^[a-z]{1,20}$/.test(mode)) return undefined;
    return { mode, by: 'as it says itself', certain: true };
  } catch {
    return undefined;
  }
}

/** Whether IPVS has Services, whoever made them. */
export function hasIpvsServices(system: System): boolean {
  // A header of three lines, then a line a Service (net/netfilter/ipvs/ip_vs_ctl.c).
  return /^(TCP|UDP|SCTP|FWM)/m.test(system.read('/proc/thread-self/net/ip_vs') ?? '');
}

/**
 * By its traces. The interface kube-ipvs0, which no other program makes, outweighs rules:
 * kube-proxy in its mode ipvs keeps a few rules too.
 * @param interfaces names of the node's network interfaces
 */
export function proxyModeByTraces(system: System, rules: RuleFacts, interfaces: readonly string[]): ProxyFacts {
  if (interfaces.includes('kube-ipvs0')) {
    return hasIpvsServices(system)
      ? { mode: 'ipvs', by: 'its interface kube-ipvs0 is there, and /proc/net/ip_vs has Services', certain: true }
      : { mode: 'ipvs', by: 'its interface kube-ipvs0 is there', certain: false };
  }
  if ([...rules.tables].some((table) => /^ip6? kube-proxy$/.test(table))) {
    return { mode: 'nftables', by: 'its table kube-proxy is there', certain: false };
  }
  if (rules.chains.has('KUBE-SERVICES'))
    return { mode: 'iptables', by: 'its chain KUBE-SERVICES is there', certain: false };
  return { mode: undefined };
}
