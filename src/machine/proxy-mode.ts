/** kube-proxy's mode, from its own answer or from its traces in the kernel. */
import type { System } from '../dataplane/steering/run.ts';
import type { ProxyFacts } from '../doctor/kube-proxy.ts';
import type { RuleFacts } from '../doctor/rule-dumps.ts';

/**
 * kube-proxy answers on its metrics port (--metrics-bind-address, by default 10249 on loopback).
 */
const PROXY_MODE_URL = 'http://127.0.0.1:10249/proxyMode';
const PROXY_LIMIT = 500;

/** Returns kube-proxy's own answer; undefined if there is none. */
export async function askProxyMode(): Promise<ProxyFacts | undefined> {
  try {
    const response = await fetch(PROXY_MODE_URL, { redirect: 'error', signal: AbortSignal.timeout(PROXY_LIMIT) });
    const mode = (await response.text()).trim();
    if (!response.ok || !/^[a-z]{1,20}$/.test(mode)) return undefined;
    return { mode, by: 'as it reports itself', certain: true };
  } catch {
    return undefined;
  }
}

/** Whether IPVS has Services, from any software. */
export function hasIpvsServices(system: System): boolean {
  // Three lines of header, then a line per Service (net/netfilter/ipvs/ip_vs_ctl.c).
  return /^(TCP|UDP|SCTP|FWM)/m.test(system.read('/proc/thread-self/net/ip_vs') ?? '');
}

/**
 * Infers the mode from traces. The interface kube-ipvs0, which no other program creates, outweighs
 * rules: kube-proxy keeps a few rules in mode ipvs too.
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
