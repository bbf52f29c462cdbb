/** The ruling on a packet combines the rulings on its two directions. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AUDITED, isDenied, reasonOf, rule, ruleDirection, together } from '../../src/filter/decide.ts';
import { decode } from '../../src/packet/decode.ts';
import { openingPacket } from '../../src/packet/first-packets.ts';
import { Packet } from '../../src/packet/packet.ts';
import { addressWords } from '../../src/policy/address-words.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';
import { EGRESS, INGRESS } from '../../src/policy/rule-table.ts';
import { ADDRESSES, grownHistory, inModes, NODE, PACKETS } from '../policy/random-cluster.ts';

const SEED = process.env.FC_SEED === undefined ? {} : { seed: Number(process.env.FC_SEED) };

function packetOf(source: string, destination: string, protocol: number, port: number): Packet {
  const ends = { source: addressWords(source) ?? [], destination: addressWords(destination) ?? [] };
  const view = openingPacket({ ...ends, protocol, sourcePort: 40_000, destinationPort: port });
  const packet = new Packet();
  decode(packet, view, 0, view.byteLength);
  return packet;
}

const described = (ruling: number) => ({
  denied: isDenied(ruling),
  audited: (ruling & AUDITED) !== 0,
  reason: reasonOf(ruling),
});

test('holds for any packet of random clusters, even if pods share addresses', () => {
  const seen = { denied: 0, audited: 0, allowed: 0, shared: 0 };
  fc.assert(
    fc.property(inModes(grownHistory), (batches) => {
      const compiler = new PolicyCompiler(NODE.name);
      for (const batch of batches) compiler.apply(batch);
      const { table } = compiler.compile();
      const shared = new Set(compiler.sharedAddresses().map(({ address }) => address));
      let next = 0;
      for (const source of ADDRESSES) {
        for (const destination of ADDRESSES) {
          if (source.includes(':') !== destination.includes(':')) continue;
          const [protocol, port] = PACKETS[next++ % PACKETS.length] as (typeof PACKETS)[number];
          const packet = packetOf(source, destination, protocol, port);
          const whole = described(rule(table, packet));
          const both = described(together(ruleDirection(table, packet, EGRESS), ruleDirection(table, packet, INGRESS)));
          const isShared = shared.has(source) || shared.has(destination);
          // If nothing is denied and pods share the address, the reason depends on which pod is
          // meant.
          const compared = isShared && !whole.denied && !whole.audited ? { ...both, reason: whole.reason } : both;
          expect({ source, destination, protocol, port, ...compared }).toEqual({
            source,
            destination,
            protocol,
            port,
            ...whole,
          });
          seen[whole.denied ? 'denied' : whole.audited ? 'audited' : 'allowed']++;
          if (isShared) seen.shared++;
        }
      }
    }),
    { numRuns: 100, ...SEED },
  );
  console.log(`rulings: ${JSON.stringify(seen)}`);
  expect(Math.min(...Object.values(seen))).toBeGreaterThan(100);
});
