import type { FlowKey } from '../../src/conntrack/flow-key.ts';
import type { FlowTable } from '../../src/conntrack/flow-table.ts';
import type { Packet } from '../../src/packet/packet.ts';

/**
 * Returns the key of the packet's flow in this table. Throws for a packet that cannot have a flow.
 */
export function keyOf(table: FlowTable, packet: Packet): FlowKey {
  const key = table.createKey();
  if (!key.set(packet)) throw new Error(`ICMP type ${packet.icmpType} has no flow`);
  return key;
}
