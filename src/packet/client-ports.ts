/** Which end of a flow opened it, as far as its ports show. */
import type { Packet } from './packet.ts';

/** First ephemeral port of Linux (net.ipv4.ip_local_port_range). Few servers listen there. */
const FIRST_EPHEMERAL = 32_768;

/** Whether a packet looks like a server's to a client: only its destination port is ephemeral. */
export function looksLikeReply({ srcPort, dstPort }: Packet): boolean {
  return srcPort < FIRST_EPHEMERAL && dstPort >= FIRST_EPHEMERAL;
}

/** Whether a packet looks like a client's to a server: only its source port is ephemeral. */
export function looksLikeRequest({ srcPort, dstPort }: Packet): boolean {
  return srcPort >= FIRST_EPHEMERAL && dstPort < FIRST_EPHEMERAL;
}
