import { describe, expect, test } from 'vitest';
import {
  eventOf,
  nextState,
  OPENER,
  OTHER,
  openingState,
  opensFlow,
  STATES,
  worthOf,
} from '../../src/conntrack/states.ts';
import { decode } from '../../src/packet/decode.ts';
import { Packet } from '../../src/packet/packet.ts';
import * as b from '../packet/build.ts';

function packet(payload: b.Payload, version: 4 | 6 = 4): Packet {
  const bytes = version === 4 ? b.ip('10.0.0.1', '10.0.0.2', payload) : b.ip('fd00::1', 'fd00::2', payload);
  const decoded = new Packet();
  decode(decoded, b.viewOf(bytes), 0, bytes.length);
  return decoded;
}

/**
 * Returns the state after packets such as 'S> SA<': flags or a chunk type, and the sender, with >
 * for the opener. The first one opens the flow.
 */
function stateAfter(history: string, payload: (what: string) => b.Payload): string {
  const steps = history.split(' ');
  let state = openingState(packet(payload((steps[0] as string).slice(0, -1))).protocol);
  for (const each of steps.slice(1)) {
    state = nextState(state, each.endsWith('>') ? OPENER : OTHER, eventOf(packet(payload(each.slice(0, -1)))));
  }
  return STATES[state] as string;
}

describe('TCP', () => {
  test.each([
    ['S>', 'tcp-syn-sent'],
    ['S> S>', 'tcp-syn-sent'],
    ['S> A<', 'tcp-syn-sent'],
    ['S> SA<', 'tcp-syn-received'],
    ['S> S<', 'tcp-syn-received'],
    ['S> S< SA> A<', 'tcp-syn-received'],
    ['S> SA< A<', 'tcp-syn-received'],
    ['S> SA< A>', 'tcp-established'],
    ['S> SA< PA>', 'tcp-established'],
    ['S> SA< A> S>', 'tcp-established'],
    ['S> SA< A> SA<', 'tcp-established'],
    ['S> SA< A> FA>', 'tcp-half-closed-by-opener'],
    ['S> SA< A> FA> A< PA< A> FA>', 'tcp-half-closed-by-opener'],
    ['S> SA< A> FA<', 'tcp-half-closed-by-other'],
    ['S> SA< FA>', 'tcp-half-closed-by-opener'],
    ['S> SA< A> FA> FA<', 'tcp-closing'],
    ['S> SA< A> FA< FA>', 'tcp-closing'],
    ['S> SA< A> FA> FA< A>', 'tcp-time-wait'],
    ['S> SA< A> FA> FA< A> A< FA<', 'tcp-time-wait'],
    ['S> RA<', 'tcp-closed'],
    ['S> SA< R>', 'tcp-closed'],
    ['S> SA< A> R<', 'tcp-closed'],
    ['S> SA< A> FA> FA< A> R>', 'tcp-closed'],
    ['S> SA< A> R< A> A<', 'tcp-closed'],
    ['S> RS<', 'tcp-closed'],
  ])('%s is %s', (history, state) => {
    expect(stateAfter(history, (flags) => b.tcp(1, 2, flags))).toBe(state);
  });
});

describe('SCTP', () => {
  test.each([
    ['1>', 'sctp-init-sent'],
    ['1> 2<', 'sctp-init-sent'],
    ['1> 2< 10>', 'sctp-cookie-echoed'],
    ['1> 2< 10> 11<', 'sctp-established'],
    ['1> 2< 10> 3<', 'sctp-established'],
    ['1> 2< 10> 11< 0> 4< 1>', 'sctp-established'],
    ['1> 2< 10> 11< 7>', 'sctp-shutdown'],
    ['1> 2< 10> 11< 7> 8<', 'sctp-shutdown'],
    ['1> 2< 10> 11< 7> 8< 14>', 'sctp-closed'],
    ['1> 6<', 'sctp-closed'],
    ['1> 2< 10> 11< 6>', 'sctp-closed'],
  ])('chunks %s are %s', (history, state) => {
    expect(stateAfter(history, (chunk) => b.sctp(1, 2, Number(chunk)))).toBe(state);
  });
});

test('UDP, ICMP queries and other protocols are replied once the other side has answered', () => {
  expect(stateAfter('u> u>', () => b.udp(1, 2))).toBe('udp-unreplied');
  expect(stateAfter('u> u< u>', () => b.udp(1, 2))).toBe('udp-replied');
  expect(stateAfter('q>', () => b.echoRequest(1))).toBe('icmp-unreplied');
  expect(stateAfter('q> r<', (what) => (what === 'q' ? b.echoRequest(1) : b.echoReply(1)))).toBe('icmp-replied');
  expect(stateAfter('g> g<', () => b.raw(47))).toBe('other-replied');
});

test('only a SYN, an INIT, a query, or a protocol without a handshake opens a flow', () => {
  const opens = (payload: b.Payload, version: 4 | 6 = 4) => {
    const decoded = packet(payload, version);
    return opensFlow(decoded.protocol, eventOf(decoded));
  };
  expect(['S', 'SE', 'SF', 'SP'].map((flags) => opens(b.tcp(1, 2, flags)))).toEqual([true, true, true, true]);
  expect(['SA', 'A', 'F', 'R', 'SR', '', 'PA'].map((flags) => opens(b.tcp(1, 2, flags)))).not.toContain(true);
  expect([0, 2, 3, 4, 6, 7, 10, 11, 14, 255].map((chunk) => opens(b.sctp(1, 2, chunk)))).not.toContain(true);
  expect(opens(b.sctp(1, 2, 1))).toBe(true);
  expect([8, 13, 15, 17].map((type) => opens(b.icmp(type)))).not.toContain(false);
  expect([0, 14, 16, 18].map((type) => opens(b.icmp(type)))).not.toContain(true);
  expect([opens(b.echoRequest(1), 6), opens(b.echoReply(1), 6)]).toEqual([true, false]);
  expect([opens(b.udp(1, 2)), opens(b.raw(47))]).toEqual([true, true]);
});

test('closed flows are worth least, unreplied ones more, replied ones most', () => {
  const byWorth = (worth: number) => STATES.filter((_, state) => state > 0 && worthOf(state) === worth);
  expect(byWorth(0)).toEqual(['tcp-closing', 'tcp-time-wait', 'tcp-closed', 'sctp-shutdown', 'sctp-closed']);
  expect(byWorth(1)).toEqual([
    'tcp-syn-sent',
    'tcp-syn-received',
    'udp-unreplied',
    'icmp-unreplied',
    'sctp-init-sent',
    'sctp-cookie-echoed',
    'other-unreplied',
  ]);
  expect(byWorth(2)).toEqual([]);
});
