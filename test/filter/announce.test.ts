/** Packets that are announced before they are judged, as in batches for a large flow table. */
import { expect, test } from 'vitest';
import * as b from '../packet/build.ts';
import { viewOf } from '../packet/build.ts';
import { DB, DB6, FAR, Scene, WEB, WEB6 } from './scene.ts';
import { back, dbFromWeb, there, udpBack, udpThere } from './traffic.ts';

const PACKETS = [
  there('S'),
  back('SA'),
  there('A'),
  udpThere,
  udpBack,
  b.ip(FAR, DB, b.tcp(1, 5432, 'S')),
  b.ip(WEB6, DB6, b.tcp(7, 5432, 'S')),
  b.ip(DB6, WEB6, b.tcp(5432, 7, 'SA')),
  b.ip(WEB, DB, b.echoRequest(5)),
  b.ip(DB, WEB, b.tooBig(there('A'))),
  b.ip(WEB, DB, b.udp(9, 53, { length: 3 })),
  b.ip(WEB, DB, b.udp(9, 53), { offset: 64 }),
  Uint8Array.of(0x45, 0, 0),
  new Uint8Array(0),
];

test('announced packets are judged as if they had not been, whichever and however many are announced', () => {
  const seed = Math.trunc(Math.random() * 0x7fffffff);
  let drawn = seed;
  const draw = (below: number) => {
    drawn = (Math.imul(drawn, 1_664_525) + 1_013_904_223) | 0;
    return (drawn >>> 8) % below;
  };
  const [announced, plain] = [new Scene([dbFromWeb]), new Scene([dbFromWeb])];
  const packet = () => PACKETS[draw(PACKETS.length)] as Uint8Array;
  const verdicts = new Set<string>();
  for (let round = 0; round < 300; round++) {
    const batch = Array.from({ length: draw(100) }, packet);
    const also = Array.from({ length: draw(100) }, packet);
    for (const each of draw(4) === 0 ? also : batch) {
      const view = viewOf(each);
      announced.filter.announce(view, 0, each.length, each.length);
    }
    announced.filter.flows.lookahead.read();
    const expected = plain.judgeAll(...batch);
    expect(announced.judgeAll(...batch), `seed ${seed}, round ${round}`).toEqual(expected);
    for (const verdict of expected) verdicts.add(verdict);
  }
  expect(announced.filter.flows.size).toBe(plain.filter.flows.size);
  expect([...verdicts]).toEqual(expect.arrayContaining(['established', 'related', 'ingress-denied', 'malformed']));
});
