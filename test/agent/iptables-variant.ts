import { mkdtempSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { AgentWorld } from './agent-world.ts';

/** Makes agents that a world starts from now on find this variant as iptables. */
export function useVariant(world: AgentWorld, variant: 'nft' | 'legacy'): void {
  const folder = mkdtempSync(join(world.folder, 'variant-'));
  for (const family of ['iptables', 'ip6tables']) {
    for (const command of ['', '-save', '-restore'])
      symlinkSync(`/usr/sbin/${family}-${variant}${command}`, join(folder, `${family}${command}`));
  }
  world.environment = { PATH: `${folder}:${process.env.PATH}` };
}
