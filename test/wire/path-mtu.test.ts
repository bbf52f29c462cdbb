import { describe, expect, it } from 'vitest';
import { decode } from '../../src/packet/decode.ts';
import { Packet } from '../../src/packet/packet.ts';
import { PathMtu } from '../../src/wire/path-mtu.ts';
import { icmpError, ip, tcp, viewOf } from '../packet/build.ts';

function decoded(bytes: Uint8Array): Packet {
  const packet = new Packet();
  decode(packet, viewOf(bytes), 0, bytes.length);
  return packet;
}

const SENT = ip('10.0.0.1', '192.0.2.9', tcp(1, 2, 'A'));
const OTHER = ip('10.0.0.1', '192.0.2.8', tcp(1, 2, 'A'));

describe('the MTU of a path', () => {
  it('is learnt from an ICMP error on its way back, for a while and for that destination only', () => {
    const paths = new PathMtu();
    const error = ip('10.9.9.9', '10.0.0.1', icmpError(3, 4, SENT));
    new DataView(error.buffer).setUint16(26, 1400);
    paths.learn(decoded(error), viewOf(error), 20, 0);
    expect(paths.towards(decoded(SENT), 1500, 1)).toBe(1400);
    expect(paths.towards(decoded(SENT), 1300, 1)).toBe(1300);
    expect(paths.towards(decoded(OTHER), 1500, 1)).toBe(1500);
    expect(paths.towards(decoded(SENT), 1500, 600_001)).toBe(1500);
  });

  it('is not learnt from other errors, nor from absurd values', () => {
    const paths = new PathMtu();
    const unreachable = ip('10.9.9.9', '10.0.0.1', icmpError(3, 1, SENT));
    new DataView(unreachable.buffer).setUint16(26, 1400);
    paths.learn(decoded(unreachable), viewOf(unreachable), 20, 0);
    const absurd = ip('10.9.9.9', '10.0.0.1', icmpError(3, 4, SENT));
    new DataView(absurd.buffer).setUint16(26, 60);
    paths.learn(decoded(absurd), viewOf(absurd), 20, 0);
    expect(paths.towards(decoded(SENT), 1500, 1)).toBe(1500);
  });
});
