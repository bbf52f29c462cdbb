/**
 * Other software that enforces NetworkPolicy: how to recognize it, where it decides, and whose
 * verdict counts if podfence runs beside it.
 */

/** The fields of a pod that identify it. */
export interface PodFacts {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly containers: readonly ContainerFacts[];
}

export interface ContainerFacts {
  readonly name: string;
  readonly image: string;
  /** Command and arguments. */
  readonly command: readonly string[];
  /** Bytes; undefined if there is no limit. */
  readonly memoryLimit?: number;
}

/**
 * Where an enforcer decides:
 * - `queue` first packets, by a kernel queue in postrouting, after podfence
 * - `filter` rules of the table filter in the hook forward, after podfence
 * - `ebpf`, `ovs` at the pod's own interface, before podfence or bypassing the hook forward
 */
export type Place = 'queue' | 'filter' | 'ebpf' | 'ovs';

export interface Enforcer {
  readonly name: string;
  readonly place: Place;
  /** Whether the pod runs the enforcer with policies turned on, as far as its spec shows. */
  readonly isPod: (pod: PodFacts) => boolean;
  readonly chains?: RegExp;
  readonly tables?: RegExp;
  /** Names of the processes that read its queue. */
  readonly process?: RegExp;
  /** How to turn it off, as a sentence. */
  readonly off: string;
  readonly note?: string;
}

function image(pattern: RegExp): (pod: PodFacts) => boolean {
  return ({ containers }) => containers.some((container) => pattern.test(container.image));
}

/** The first release of kindnetd that enforces, by the date in its tag: kind 0.24.0. */
const KINDNETD_ENFORCES = 20_240_813;

export const ENFORCERS: readonly Enforcer[] = [
  {
    name: 'kindnetd (kube-network-policies inside)',
    place: 'queue',
    isPod: ({ containers }) =>
      containers.some(
        ({ image, command }) =>
          /(^|\/)kindnetd[:@]/.test(image) &&
          Number(/:v(\d{8})/.exec(image)?.[1] ?? KINDNETD_ENFORCES) >= KINDNETD_ENFORCES &&
          !command.includes('--network-policy=false'),
      ),
    tables: /^inet kindnet-network-policies$/,
    process: /^kindnetd/,
    off: 'Give the cluster a kindnetd that does not enforce (daemonset/kind does), or disableDefaultCNI.',
    note: 'It lets packets pass while it is not running.',
  },
  {
    name: 'kube-network-policies',
    place: 'queue',
    isPod: image(/(^|\/)kube-network-policies[^/]*[:@]/),
    tables: /^inet kube-network-policies$/,
    process: /^(knp|kube-network-po)/,
    off: 'Delete its DaemonSet.',
  },
  {
    name: 'Calico',
    place: 'filter',
    isPod: (pod) =>
      image(/(^|\/)calico\/node[:@]|(^|\/)calico-node[:@]/)(pod) ||
      /^(calico-node|canal)$/.test(pod.labels['k8s-app'] ?? ''),
    chains: /^cali-/,
    tables: /^ip6? calico$/,
    off: 'Calico has no switch for it: use Calico or podfence.',
    note: "Its default mark mask, 0xffff0000, includes podfence's bits: start podfence with --mark-mask and bits that Calico does not use.",
  },
  {
    name: 'Cilium',
    place: 'ebpf',
    isPod: (pod) =>
      (pod.labels['k8s-app'] === 'cilium' && !/operator|envoy/.test(pod.name)) ||
      image(/(^|\/)cilium\/cilium[^/]*[:@]/)(pod),
    chains: /^(OLD_)?CILIUM_/,
    off: 'Cilium enforces unless enable-policy is never.',
    note: "Google's Dataplane V2 (anetd) is Cilium.",
  },
  {
    name: 'Antrea',
    place: 'ovs',
    isPod: image(/(^|\/)antrea-agent[^/]*[:@]|(^|\/)antrea-ubuntu[:@]/),
    chains: /^ANTREA-/,
    off: 'Antrea has no switch for it: use Antrea or podfence.',
  },
  {
    name: 'kube-router',
    place: 'filter',
    isPod: ({ containers }) =>
      containers.some(
        ({ image, command }) => /(^|\/)kube-router[:@]/.test(image) && !command.includes('--run-firewall=false'),
      ),
    chains: /^KUBE-(ROUTER|POD-FW|NWPLCY)-/,
    off: 'kube-router: --run-firewall=false. k3s has it built in: start its servers with --disable-network-policy.',
    note: 'k3s has it built in, without a pod.',
  },
  {
    name: "Amazon's network policy agent",
    place: 'ebpf',
    isPod: ({ containers }) =>
      containers.some(
        ({ image, command }) =>
          /(^|\/)aws-network-policy-agent[:@]/.test(image) && !command.includes('--enable-network-policy=false'),
      ),
    off: 'Set enableNetworkPolicy to "false" in the configuration of the add-on vpc-cni.',
  },
  {
    name: "Azure's network policy manager",
    place: 'filter',
    isPod: image(/(^|\/)azure-npm[:@]/),
    chains: /^AZURE-NPM/,
    off: 'Create the cluster with --network-policy none.',
  },
  {
    name: 'Weave Net',
    place: 'filter',
    isPod: image(/(^|\/)weave-npc[:@]/),
    chains: /^WEAVE-NPC/,
    off: 'Remove the container weave-npc, and set EXPECT_NPC=0.',
  },
  {
    name: 'OVN-Kubernetes',
    place: 'ovs',
    isPod: (pod) => /^ovnkube-node$/.test(pod.labels.app ?? '') || image(/(^|\/)ovn-kube[^/]*[:@]/)(pod),
    chains: /^OVN-KUBE-/,
    off: 'OVN-Kubernetes has no switch for it: use it or podfence.',
  },
  {
    name: 'Kube-OVN',
    place: 'ovs',
    isPod: (pod) => pod.labels.app === 'kube-ovn-cni',
    chains: /^OVN-(MASQUERADE|POSTROUTING|PREROUTING)/,
    off: 'Start its controller with --enable-np=false.',
  },
];

/** Whether podfence enforces here, only audits, or is absent. */
export type Presence = 'enforce' | 'audit' | 'absent';

/** Says whose verdict counts, in sentences. */
export function whoseVerdict({ place }: Enforcer, presence: Presence): string {
  if (presence === 'audit') return 'Its verdict alone counts: podfence is in audit mode, and drops nothing.';
  const would = presence === 'absent' ? 'With podfence beside it' : 'Both judge';
  switch (place) {
    case 'queue':
      return `${would}, podfence in the hook forward and it after that in postrouting: a connection opens only if both allow it, so the stricter verdict counts.`;
    case 'filter':
      return `${would}, podfence in the hook forward and it in the table filter of the same hook: a packet passes only if both allow it, so the stricter verdict counts.`;
    case 'ebpf':
      return "It decides by eBPF at the pod's interface, and may pass packets from pod to pod without the hook forward, where podfence looks: there its verdict alone counts, and elsewhere the stricter one.";
    case 'ovs':
      return 'Open vSwitch carries packets between pods without the hook forward, where podfence looks: its verdict alone counts for them.';
  }
}
