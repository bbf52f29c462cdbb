/** The policies of most cases, all about the pod `db`, and the packets between `web` and `db`. */
import * as b from '../packet/build.ts';
import { DB, from, policy, port, rule, WEB } from './scene.ts';

export const dbFromWeb = policy('db', {
  ingress: [rule([from('web')], [port(5432), port(53, 'UDP'), port(36412, 'SCTP')])],
});
export const dbFromNobody = policy('db', { ingress: [] });
export const dbSilent = policy('db', { egress: [] });
export const dbWithWeb = policy('db', { ingress: [rule([from('web')])] });
export const there = (flags: string, address = WEB) => b.ip(address, DB, b.tcp(40000, 5432, flags));
export const back = (flags: string, address = WEB) => b.ip(DB, address, b.tcp(5432, 40000, flags));
export const udpThere = b.ip(WEB, DB, b.udp(40000, 53));
export const udpBack = b.ip(DB, WEB, b.udp(53, 40000));
