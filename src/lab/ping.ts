/** ICMP echo requests between lab hosts. */
import type { LabHost } from './lab.ts';
import { runIn } from './run-command.ts';

/**
 * Whether an ICMP echo request to the address is answered within a second; `options` are ping(8)'s,
 * such as `-s 4000`.
 */
export async function ping(from: LabHost, address: string, options: readonly string[] = []): Promise<boolean> {
  const { code, stderr } = await runIn(from.netns, ['ping', '-n', '-c', '1', '-W', '1', ...options, address]);
  if (code === null || code > 1) throw new Error(`ping ${address}: ${stderr.trim()}`);
  return code === 0;
}
