import { describe, expect, it } from 'vitest';
import { KernelFlow } from '../../../src/dataplane/ctnetlink/kernel-flow.ts';
import { Packet } from '../../../src/packet/packet.ts';

/**
 * Attributes of IPCTNL_MSG_CT_NEW as a 6.18 kernel dumped them: an echo request 10.0.1.2 ->
 * 10.0.2.2, id 0x1c50, mark 0x1000000.
 */
const ECHO = Buffer.from(
  `3c000180 14000180 080001000a000102 080002000a000202 24000280 0500010001000000 060004001c500000 0500050008000000 0500060000000000
   3c000280 14000180 080001000a000202 080002000a000102 24000280 0500010001000000 060004001c500000 0500050000000000 0500060000000000
   080003000000018a 0800080001000000 08000c004380d093 08000b0000000001 080007000000001b`.replaceAll(/\s/g, ''),
  'hex',
);

/**
 * The same layout by hand: TCP 10.0.1.2:40000 -> Service 10.96.0.1:80, which DNAT sends to
 * 10.0.2.2:8080.
 */
const SERVICE = Buffer.from(
  `34000180 14000180 080001000a000102 080002000a600001 1c000280 0500010006000000 060002009c400000 0600030000500000
   34000280 14000180 080001000a000202 080002000a000102 1c000280 0500010006000000 060002001f900000 060003009c400000
   0600120000070000`.replaceAll(/\s/g, ''),
  'hex',
);

function view(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function opening(flow: KernelFlow): Packet {
  const packet = new Packet();
  flow.opening(packet);
  return packet;
}

describe('an entry of the connection table', () => {
  it('is read with its addresses, ICMP id and mark', () => {
    const flow = new KernelFlow();
    expect(flow.read(view(ECHO), 0, ECHO.length, 2)).toBe(true);
    expect(flow.mark).toBe(0x1000000);
    expect(opening(flow)).toMatchObject({
      ...{ family: 4, protocol: 1, icmpType: 8 },
      ...{ src0: 0x0a000102, dst0: 0x0a000202, srcPort: 0x1c50, dstPort: 0x1c50 },
    });
  });

  it('has the address behind the Service as its destination, and is found again by what the client sent', () => {
    const flow = new KernelFlow();
    expect(flow.read(view(SERVICE), 0, SERVICE.length, 2)).toBe(true);
    expect(flow.zone).toBe(7);
    expect(opening(flow)).toMatchObject({ dst0: 0x0a000202, srcPort: 40000, dstPort: 8080 });
    expect(Buffer.from(flow.originalTuple()).toString('hex')).toContain('0a600001');
  });

  it.each([
    ['echo', ECHO],
    ['Service', SERVICE],
  ])('is never read past its end: %s, truncated at every length', (_, bytes) => {
    const flow = new KernelFlow();
    for (let length = 0; length < bytes.length; length++) {
      const exact = Buffer.from(Uint8Array.from(bytes.subarray(0, length)).buffer);
      const whole = flow.read(view(exact), 0, length, 2);
      // The first two attributes contain both tuples.
      const tuples = view(bytes).getUint16(0, true) * 2;
      expect(whole).toBe(length >= tuples);
    }
  });

  it.each([
    ['established', 3, false],
    ['half closed', 5, false],
    ['last ACK', 6, true],
    ['time-wait', 7, true],
  ])('that is %s is known to be over or not', (_, state, over) => {
    const info = Buffer.from(`100004800c00018005000100${state.toString().padStart(2, '0')}000000`, 'hex');
    const bytes = Buffer.concat([SERVICE, info]);
    const flow = new KernelFlow();
    expect(flow.read(view(bytes), 0, bytes.length, 2)).toBe(true);
    expect(flow.isOver).toBe(over);
    expect(flow.read(view(ECHO), 0, ECHO.length, 2)).toBe(true);
    expect(flow.isOver).toBe(false);
  });

  it.each([
    ['its beginning', '03', false],
    // IP_CT_TCP_FLAG_SACK_PERM and IP_CT_TCP_FLAG_BE_LIBERAL.
    ['its middle', '0a', true],
    ['its beginning, and that a flow table carries', '0b', false],
  ])('shows whether the kernel saw %s of a TCP connection', (_, flags, pickedUp) => {
    const info = Buffer.from(`1800048014000180050001000300000006000400${flags}000000`, 'hex');
    const bytes = Buffer.concat([SERVICE, info]);
    const flow = new KernelFlow();
    expect(flow.read(view(bytes), 0, bytes.length, 2)).toBe(true);
    expect(flow.isPickedUp).toBe(pickedUp);
    expect(flow.isOver).toBe(false);
    expect(flow.read(view(ECHO), 0, ECHO.length, 2)).toBe(true);
    expect(flow.isPickedUp).toBe(false);
  });

  it('is left out if it is not an IP connection', () => {
    expect(new KernelFlow().read(view(ECHO), 0, ECHO.length, 16)).toBe(false);
  });
});
