/** All targets by name. A target's code is loaded only when it runs. */
import type { Target } from './target.ts';

type Load = () => Promise<{ readonly target: Target }>;

export const TARGETS: Readonly<Record<string, Load>> = {
  'packet-decoder': () => import('./targets/packet-decoder.ts'),
  'packet-filter': () => import('./targets/packet-filter.ts'),
  'queued-packet': () => import('./targets/queued-packet.ts'),
  'kernel-flow': () => import('./targets/kernel-flow.ts'),
  links: () => import('./targets/links.ts'),
  pcap: () => import('./targets/pcap.ts'),
  pcapng: () => import('./targets/pcapng.ts'),
  manifests: () => import('./targets/manifests.ts'),
  'api-answers': () => import('./targets/api-answers.ts'),
  'api-objects': () => import('./targets/api-objects.ts'),
};

export async function loadTarget(name: string): Promise<Target> {
  const load = Object.hasOwn(TARGETS, name) ? TARGETS[name] : undefined;
  if (load === undefined) throw new Error(`there is no target ${name}; targets are ${Object.keys(TARGETS).join(', ')}`);
  return (await load()).target;
}
