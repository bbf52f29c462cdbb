import { describe, expect, test } from 'vitest';
import type { PolicyRecord } from '../../src/cluster/records.ts';
import { reasonOf, rule as rulingOf } from '../../src/filter/decide.ts';
import { REASONS, type ReasonName } from '../../src/filter/reasons.ts';
import { decode } from '../../src/packet/decode.ts';
import { Packet } from '../../src/packet/packet.ts';
import * as b from '../packet/build.ts';
import {
  DB,
  DB6,
  FAR,
  FAR6,
  from,
  IDLE,
  NODE,
  NODE6,
  OUTSIDE,
  OUTSIDE6,
  policy,
  port,
  rule,
  Scene,
  WEB,
  WEB6,
} from './scene.ts';

function reason(policies: readonly PolicyRecord[], bytes: Uint8Array): ReasonName {
  const packet = new Packet();
  decode(packet, b.viewOf(bytes), 0, bytes.length);
  return REASONS[reasonOf(rulingOf(new Scene(policies).filter.table, packet))] as ReasonName;
}

const nothing = [policy('web', { egress: [], ingress: [] }), policy('db', { egress: [], ingress: [] })];
const dbFromWeb = [policy('db', { ingress: [rule([from('web')], [port(5432)])] })];
const webToAll = [policy('web', { egress: [rule()] })];
const syn = b.tcp(40000, 5432, 'S');

describe('the policies alone', () => {
  test.each<[string, readonly PolicyRecord[], Uint8Array, ReasonName]>([
    ['no policy', [], b.ip(WEB, DB, syn), 'not-isolated'],
    ['a policy on the pod that does not decide', nothing, b.ip(IDLE, OUTSIDE, syn), 'not-isolated'],
    ['isolated only for the other direction', dbFromWeb, b.ip(DB, OUTSIDE, syn), 'not-isolated'],
    [
      'a pod of another node is not isolated here',
      [policy('far', { ingress: [] })],
      b.ip(WEB, FAR, syn),
      'not-isolated',
    ],
    ['ingress allowed', dbFromWeb, b.ip(WEB, DB, syn), 'allowed-by-policy'],
    ['ingress allowed in IPv6', dbFromWeb, b.ip(WEB6, DB6, syn), 'allowed-by-policy'],
    ['ingress from the wrong pod', dbFromWeb, b.ip(FAR, DB, syn), 'ingress-denied'],
    ['ingress from the wrong pod in IPv6', dbFromWeb, b.ip(FAR6, DB6, syn), 'ingress-denied'],
    ['ingress from outside', dbFromWeb, b.ip(OUTSIDE, DB, syn), 'ingress-denied'],
    ['ingress to the wrong port', dbFromWeb, b.ip(WEB, DB, b.tcp(5432, 80, 'S')), 'ingress-denied'],
    ['ingress of the wrong protocol', dbFromWeb, b.ip(WEB, DB, b.udp(40000, 5432)), 'ingress-denied'],
    ['egress allowed', webToAll, b.ip(WEB, OUTSIDE, syn), 'allowed-by-policy'],
    ['egress denied', nothing, b.ip(WEB, OUTSIDE, syn), 'egress-denied'],
    ['egress denied in IPv6', nothing, b.ip(WEB6, OUTSIDE6, syn), 'egress-denied'],
    ['both deny: the reason is that of egress', nothing, b.ip(WEB, DB, syn), 'egress-denied'],
    [
      'egress allows, ingress denies',
      [...webToAll, policy('db', { ingress: [] })],
      b.ip(WEB, DB, syn),
      'ingress-denied',
    ],
    [
      'egress allows, ingress denies in IPv6',
      [...webToAll, policy('db', { ingress: [] })],
      b.ip(WEB6, DB6, syn),
      'ingress-denied',
    ],
    ['both allow', [...webToAll, ...dbFromWeb], b.ip(WEB, DB, syn), 'allowed-by-policy'],
    ['a pod to itself', nothing, b.ip(WEB, WEB, syn), 'same-pod'],
    ['a pod to itself in IPv6', nothing, b.ip(WEB6, WEB6, syn), 'same-pod'],
    ['an unknown address to itself', nothing, b.ip(OUTSIDE, OUTSIDE, syn), 'same-pod'],
    ['an unknown address to itself in IPv6', nothing, b.ip(OUTSIDE6, OUTSIDE6, syn), 'same-pod'],
    // The node's own packets are not forwarded: only a forged packet would have its address here.
    ['from the address of the node', nothing, b.ip(NODE, WEB, syn), 'ingress-denied'],
    ['to the address of the node', nothing, b.ip(WEB, NODE, syn), 'egress-denied'],
    ['from the address of the node in IPv6', nothing, b.ip(NODE6, WEB6, syn), 'ingress-denied'],
    ['a rule without ports allows ICMP', webToAll, b.ip(WEB, OUTSIDE, b.echoRequest(5432)), 'allowed-by-policy'],
    ['the identifier of an ICMP echo is no port', dbFromWeb, b.ip(WEB, DB, b.echoRequest(5432)), 'ingress-denied'],
    ['a first fragment has its ports', dbFromWeb, b.ip(WEB, DB, syn, { more: true }), 'allowed-by-policy'],
    ['a later fragment if the rule has a port', dbFromWeb, b.ip(WEB, DB, syn, { offset: 800 }), 'fragment'],
    [
      'a later fragment if the rule has no port',
      webToAll,
      b.ip(WEB, OUTSIDE, syn, { offset: 800 }),
      'allowed-by-policy',
    ],
    ['a later IPv6 fragment if the rule has a port', dbFromWeb, b.ip(WEB6, DB6, syn, { offset: 800 }), 'fragment'],
    [
      'a later fragment of a protocol without ports',
      nothing,
      b.ip(WEB, DB, b.raw(1), { offset: 800 }),
      'egress-denied',
    ],
    ['neighbour solicitation', nothing, b.ip(WEB6, DB6, b.icmp(135), { ttl: 255 }), 'neighbour-discovery'],
    ['router advertisement', nothing, b.ip(OUTSIDE6, DB6, b.icmp(134), { ttl: 255 }), 'neighbour-discovery'],
    [
      'neighbour solicitation that a router has passed on',
      nothing,
      b.ip(WEB6, DB6, b.icmp(135), { ttl: 254 }),
      'egress-denied',
    ],
    [
      'an ICMPv6 echo is no neighbour discovery',
      nothing,
      b.ip(WEB6, DB6, b.echoRequest(1), { ttl: 255 }),
      'egress-denied',
    ],
    ['nor is ICMP type 135 in IPv4', nothing, b.ip(WEB, DB, b.icmp(135), { ttl: 255 }), 'egress-denied'],
  ])('%s', (_, policies, bytes, expected) => {
    expect(reason(policies, bytes)).toBe(expected);
  });
});
