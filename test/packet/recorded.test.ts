import { expect, test } from 'vitest';
import { decode } from '../../src/packet/decode.ts';
import { OK, Packet } from '../../src/packet/packet.ts';
import { fromHex, viewOf, word, words } from './build.ts';
import { RECORDED } from './recorded.ts';

type Name = keyof typeof RECORDED;

test.each<[Name, Partial<Packet>, number?]>([
  ['tcp4Syn', { protocol: 6, srcPort: 49937, dstPort: 8080, tcpFlags: 0x02 }],
  ['tcp4SynAck', { protocol: 6, srcPort: 8080, dstPort: 49937, tcpFlags: 0x12, dst0: word('10.244.1.5') }],
  ['tcp4Data', { protocol: 6, srcPort: 49937, dstPort: 8080, tcpFlags: 0x18 }],
  ['tcp4Fin', { protocol: 6, srcPort: 49937, dstPort: 8080, tcpFlags: 0x11 }],
  ['tcp4Reset', { protocol: 6, srcPort: 81, dstPort: 49919, tcpFlags: 0x14 }],
  [
    'tcp6Syn',
    { family: 6, protocol: 6, srcPort: 42207, dstPort: 8080, tcpFlags: 0x02, dst3: words('fd00:244::7')[3] as number },
  ],
  [
    'udp4',
    { protocol: 17, srcPort: 54133, dstPort: 53, src0: word('10.244.1.5'), dst0: word('10.244.2.7'), hopLimit: 64 },
  ],
  ['udp6', { family: 6, protocol: 17, srcPort: 43652, dstPort: 53, src0: words('fd00:244::5')[0] as number }],
  [
    'udp4Unreachable',
    {
      icmpType: 3,
      icmpCode: 3,
      quotesFlow: true,
      qProtocol: 17,
      qSrc0: word('10.244.1.5'),
      qSrcPort: 54133,
      qDstPort: 9999,
    },
  ],
  [
    'udp6Unreachable',
    {
      icmpType: 1,
      icmpCode: 4,
      quotesFlow: true,
      qProtocol: 17,
      qDst3: words('fd00:244::7')[3] as number,
      qSrcPort: 43652,
      qDstPort: 9999,
    },
  ],
  ['udp4FirstFragment', { isFragment: true, isLaterFragment: false, srcPort: 54133, dstPort: 53 }, 1500],
  ['udp4LaterFragment', { isFragment: true, isLaterFragment: true, srcPort: -1, protocol: 17 }, 1500],
  ['udp6FirstFragment', { isFragment: true, isLaterFragment: false, srcPort: 43652, dstPort: 53 }, 1496],
  ['udp6LaterFragment', { isFragment: true, isLaterFragment: true, srcPort: -1, protocol: 17 }, 1496],
  ['recordRoute', { protocol: 17, srcPort: 46402, dstPort: 53, isFragment: false }],
  ['ping4', { protocol: 1, icmpType: 8, srcPort: 0x4242, dstPort: 0x4242 }],
  ['pong4', { protocol: 1, icmpType: 0, srcPort: 0x4242, dstPort: 0x4242 }],
  ['ping6', { protocol: 58, icmpType: 128, srcPort: 0x4242, dstPort: 0x4242 }],
  ['pong6', { protocol: 58, icmpType: 129, srcPort: 0x4242, dstPort: 0x4242 }],
  ['hopByHopAndDestinationOptions', { family: 6, protocol: 17, srcPort: 53006, dstPort: 53 }],
])('decodes the recorded packet %s', (name, fields, total) => {
  const bytes = fromHex(RECORDED[name]);
  const packet = new Packet();
  decode(packet, viewOf(bytes), 0, bytes.length, total ?? bytes.length);
  expect(packet).toMatchObject({ status: OK, ...fields });
});
