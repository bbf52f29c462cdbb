/**
 * The container runtime's Node Resource Interface: it reports a pod, with its addresses, before any
 * of its containers starts.
 */
import { type Finding, finding } from './finding.ts';

export interface RuntimeFacts {
  /**
   * As in a Kubernetes node's containerRuntimeVersion: `containerd://2.2.9`. Undefined if it is not
   * known.
   */
  readonly runtime?: string | undefined;
  /** Path of the socket; null if it does not exist; undefined if it could not be looked for. */
  readonly socket?: string | null;
}

/**
 * The versions that first have NRI, and first have it on by default. containerd: 1.7 and 2.0.
 * CRI-O: 1.26 and 1.30 (their release notes).
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
  "A pod's first packets can pass before the API server reports its address, usually for a second at most.";
const USED = "With it, podfence has the runtime hold back a pod's containers until its policies are in force.";

export function nri({ runtime, socket }: RuntimeFacts): Finding[] {
  if (runtime === undefined && socket === undefined) return [];
  const name = runtime === undefined ? 'The container runtime' : runtime.replace('://', ' ');
  if (typeof socket === 'string') {
    return [finding('nri', 'info', 'certain', `${name} offers NRI at ${socket}. ${USED}`)];
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
    return [finding('nri', 'info', 'likely', `${name} offers NRI, unless it was turned off. ${USED}`)];
  const is = default_ ? 'has NRI turned off' : 'can offer NRI, but it is not turned on';
  return [
    finding(
      'nri',
      'info',
      socket === null ? 'certain' : 'likely',
      `${name} ${is}. ${WITHOUT}`,
      `To turn it on: ${setting}.`,
    ),
  ];
}

function knownRuntime(runtime: string) {
  const [, name = '', version = ''] = /^([a-z-]+):\/\/v?(\d+\.\d+)/.exec(runtime) ?? [];
  const known = RUNTIMES[name];
  return known === undefined ? undefined : { version, ...known };
}

/** `since` is 1.07 for 1.7, and 1.26 for 1.26. */
function atLeast(version: string, since: number): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major + minor / 100 >= since;
}
