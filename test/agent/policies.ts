/**
 * The policies of these tests. All of them select the server for ingress, unless they say
 * otherwise.
 */
import type { ApiObject } from '../kube/object-history.ts';
import { policy } from '../kube/objects.ts';

/** A peer in a policy: pods with this `app` in the policy's own namespace. */
export const app = (name: string) => ({ podSelector: { matchLabels: { app: name } } });
/** A peer in a policy: pods of namespaces with this `team`. */
export const team = (name: string) => ({ namespaceSelector: { matchLabels: { team: name } } });

/** Lets one peer talk to the server, on all ports or on these. */
export function serverHears(name: string, peer: object, ports?: readonly object[]): ApiObject {
  const rule = { from: [peer], ...(ports === undefined ? {} : { ports }) };
  return policy('shop', name, { podSelector: { matchLabels: { app: 'server' } }, ingress: [rule] });
}

/** Isolates the server, and keeps it isolated when other policies are deleted. */
export const FRIEND_ALLOWED = serverHears('friend', app('friend'));
export const CLIENT_ALLOWED = serverHears('client', app('client'));
