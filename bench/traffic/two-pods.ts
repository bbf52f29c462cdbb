import { runChecked } from '../../src/lab/run-command.ts';
import type { Host } from '../../src/lab/topology.ts';

/** Measured traffic goes from the client to the server. */
export interface TwoPods {
  readonly client: Host;
  readonly server: Host;
}

/** Returns an address of the server. */
export function serverAddress({ server }: TwoPods): string {
  return server.addresses[0] ?? '';
}

/**
 * Runs a program in a pod or on a node; returns its output, and rejects if it fails. The program
 * dies with this process.
 */
export function runIn({ netns }: Host, command: readonly string[]): Promise<string> {
  return runChecked(netns, ['setpriv', '--pdeathsig', 'KILL', ...command]);
}
