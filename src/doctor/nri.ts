/** The container runtime's Node Resource Interface: it tells of a pod, with its addresses, before any of its containers starts. */
import { type Finding, finding } from './finding.ts';

export interface RuntimeFacts {
  /** As a Kubernetes node has it in containerRuntimeVersion: `containerd://2.2.9`. Undefined where it is not known. */
  readonly runtime?: string | undefined;
  /** Path of the socket; null where it was looked for and is not there; undefined where nobody could look. */
  readonly socket?: string | null;
}

/**
 * Since when NRI is there, and on without a setting. containerd: 1.7 has the switch, 2.0 has it on. CRI-O: 1.26 has the switch, 1.30 has it on (their release notes).
 */
const RUNTIMES: Readonly<Record<string, { readonly there: number; readonly on: number; readonly setting: string }>> = {
  containerd: {
    there: 1.07,
    on: 2,
    setting: 'disable = false in [plugins."io.containerd.nri.v1.nri"] of /etc/containerd/config.toml',
  },
  'cri-o': { there: 1.26, on: 1.3, setting: 'enable_nri = true in [crio.nri] of /etc/crio/crio.conf' },
};

const WITHOUT =
  "A pod's first packets can pass before the API server tells of its address, for a second at most as a rule.";
const NOT_USED = `This version of podfence does not use it. ${WITHOUT}`;

export function nri({ runtime, socket }: RuntimeFacts): Finding[] {
  if (runtime === undefined && socket === undefined) return [];
  const name = runtime === undefined ? 'The container runtime' : runtime.replace('://', ' ');
  if (typeof socket === 'string') {
    return [finding('nri', 'info', 'certain', `${name} offers NRI at ${socket}. ${NOT_USED}`)];
  }
  const known = runtime === undefined ? undefined : knownRuntime(runtime);
  if (known === undefined) {
    if (socket === null) return [finding('nri', 'info', 'certain', `${name} has no NRI socket. ${WITHOUT}`)];
    return [finding('nri', 'info', 'possible', `Whether ${name} offers NRI is not known. ${WITHOUT}`)];
  }
  const { version, there, on, setting } = known;
  const [offered, default_] = [atLeast(version, there), atLeast(version, on)];
  if (!offered) return [finding('nri', 'info', 'certain', `${name} is too old for NRI. ${WITHOUT}`)];
  if (socket === undefined && default_)
    return [finding('nri', 'info', 'likely', `${name} offers NRI, unless it was turned off. ${NOT_USED}`)];
  const is = default_ ? 'has NRI turned off' : 'can offer NRI, and does not as it stands';
  return [
    finding(
      'nri',
      'info',
      socket === null ? 'certain' : 'likely',
      `${name} ${is}. ${NOT_USED}`,
      `To turn it on: ${setting}.`,
    ),
  ];
}

function knownRuntime(runtime: string) {
  const [, name = '', version = ''] = /^([a-z-]+):\/\/v?(\d+\.\d+)/.exec(runtime) ?? [];
  const known = RUNTIMES[name];
  return known === undefined ? undefined : { version, ...known };
}

/** `since` as 1.07 for 1.7, 1.26 for 1.26. */
function atLeast(version: string, since: number): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major + minor / 100 >= since;
}
