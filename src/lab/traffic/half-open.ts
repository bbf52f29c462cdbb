/**
 * Finds TCP connections whose SYN arrived but whose last handshake packet did not. They are the
 * only trace of a connection that was let in while its answer was lost: no listener ever sees it.
 */
import { readFileSync } from 'node:fs';
import { runInNetns } from '../../sys/netns.ts';
import { socketAddress } from '../../sys/sockets.ts';

const SYN_RECV = '03';

/**
 * Returns the connections in SYN_RECV of a namespace as `${local port} ${peer address} ${peer
 * port}`, in the form of `halfOpenKey`.
 */
export function halfOpen(netns: number): ReadonlySet<string> {
  const tables = runInNetns(netns, () => ['tcp', 'tcp6'].map(readTable));
  const found = new Set<string>();
  for (const line of tables.join('').split('\n')) {
    // "   0: 0100007F:1F90 0200007F:C350 03 …": number, local address, peer address, state
    // (Documentation/networking/proc_net_tcp.rst).
    const [, local, peer, state] = line.trim().split(/\s+/);
    if (state === SYN_RECV && local && peer) found.add(`${local.slice(local.indexOf(':') + 1)} ${peer}`);
  }
  return found;
}

export function halfOpenKey(localPort: number, peer: string, peerPort: number): string {
  return `${hexPort(localPort)} ${hexAddress(peer)}:${hexPort(peerPort)}`;
}

function readTable(name: string): string {
  try {
    return readFileSync(`/proc/thread-self/net/${name}`, 'latin1');
  } catch {
    return ''; // no IPv6 in this kernel
  }
}

/**
 * The kernel prints each 32-bit word of an address in the machine's byte order, here little-endian.
 */
function hexAddress(address: string): string {
  const bytes = socketAddress(address, 0);
  const view = new DataView(bytes.buffer);
  const [start, end] = bytes.length === 16 ? [4, 8] : [8, 24];
  let text = '';
  for (let offset = start; offset < end; offset += 4) text += hex(view.getUint32(offset, true), 8);
  return text;
}

function hexPort(port: number): string {
  return hex(port, 4);
}

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0');
}
