import type { Packet } from '../packet/packet.ts';
import type { FlowEvent } from './flow-events.ts';

/**
 * Returns the event that a queue worker would report for a packet.
 * @param reversed the packet runs from the destination of its flow to the source
 */
export function packetEvent(
  packet: Packet,
  reason: number,
  direction: number,
  audited: boolean,
  reversed: boolean,
): FlowEvent {
  const { family, protocol, src0, src1, src2, src3, dst0, dst1, dst2, dst3, srcPort, dstPort } = packet;
  const from = family === 4 ? [src0] : [src0, src1, src2, src3];
  const to = family === 4 ? [dst0] : [dst0, dst1, dst2, dst3];
  return {
    family: family === 6 ? 6 : 4,
    protocol,
    ...(reversed
      ? { source: to, destination: from, sourcePort: dstPort, destinationPort: srcPort }
      : { source: from, destination: to, sourcePort: srcPort, destinationPort: dstPort }),
    ...{ reason, direction, audited },
  };
}
