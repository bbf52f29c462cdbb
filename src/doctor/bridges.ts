/**
 * Packets between two ports of one bridge pass the packet filter only if br_netfilter hands them
 * over.
 */
import { type Finding, finding } from './finding.ts';

export interface BridgeFacts {
  readonly name: string;
  /** Ports whose other end is in another network namespace: pods and containers. */
  readonly podPorts: number;
  /**
   * The bridge's own switches (IFLA_BR_NF_CALL_IPTABLES). Either these or those of the namespace
   * suffice.
   */
  readonly callIptables: boolean;
  readonly callIp6tables: boolean;
}

/** /proc/sys/net/bridge/bridge-nf-call-…; undefined if the module br_netfilter is not loaded. */
export interface BridgeSwitches {
  readonly iptables: boolean | undefined;
  readonly ip6tables: boolean | undefined;
}

/**
 * Usual names of CNI plugins' bridges: cni0 (bridge plugin, flannel), cbr0 (kubenet), kube-bridge
 * (kube-router). nerdctl and podman use other names.
 */
const POD_BRIDGES = /^(cni\d+|cbr0|kube-bridge|mynet0|cni-podman.*|k3s.*|weave)$/;
/** Containers on these are not pods, unless something connects pods to them. */
const OTHER_BRIDGES = /^(docker0|br-[0-9a-f]{12}|virbr\d+|lxcbr0|lxdbr0|podman\d+|nerdctl0)$/;

export function bridgeFilter(bridges: readonly BridgeFacts[], switches: BridgeSwitches): Finding[] {
  const wired = bridges.filter(({ podPorts }) => podPorts > 0);
  if (wired.length === 0) {
    return [
      finding('bridge-filter', 'ok', 'certain', 'No pod is on a bridge: packets between pods of this node are routed.'),
    ];
  }
  const open = wired.flatMap((bridge) => {
    const missing = [
      ...(bridge.callIptables || switches.iptables ? [] : ['IPv4']),
      ...(bridge.callIp6tables || switches.ip6tables ? [] : ['IPv6']),
    ];
    return missing.length === 0 ? [] : [{ bridge, missing }];
  });
  if (open.length === 0) {
    return [
      finding(
        'bridge-filter',
        'ok',
        'certain',
        `Packets between ports of ${names(wired)} pass the packet filter (bridge-nf-call).`,
      ),
    ];
  }
  return open.map(({ bridge, missing }) => unfiltered(bridge, missing, switches));
}

function unfiltered(
  { name, podPorts }: BridgeFacts,
  missing: readonly string[],
  { iptables, ip6tables }: BridgeSwitches,
): Finding {
  const why =
    iptables === undefined && ip6tables === undefined
      ? 'the module br_netfilter is not loaded'
      : 'bridge-nf-call is off';
  const other = OTHER_BRIDGES.test(name);
  const keys = missing.map((family) => `net.bridge.bridge-nf-call-${family === 'IPv6' ? 'ip6tables' : 'iptables'}=1`);
  return finding(
    'bridge-filter',
    other ? 'info' : 'problem',
    other ? 'possible' : POD_BRIDGES.test(name) ? 'certain' : 'likely',
    `${podPorts} ${podPorts === 1 ? 'pod or container is' : 'pods or containers are'} on the bridge ${name}, and ${missing.join(' and ')} packets between them do not pass the packet filter: ${why}. ` +
      (other
        ? 'If they are pods, policies have no effect between two of them.'
        : 'Policies silently have no effect between two pods of this node.'),
    `modprobe br_netfilter, and sysctl -w ${keys.join(' ')}; keep both in /etc/modules-load.d and /etc/sysctl.d.`,
  );
}

function names(bridges: readonly BridgeFacts[]): string {
  return bridges.map(({ name }) => name).join(', ');
}
