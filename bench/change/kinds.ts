/**
 * Every kind of change that opens or closes the path from the client to the server, with the
 * cluster's state in both cases.
 */
import { CLIENT, type Differences, relabelled, SERVER, webPorts } from '../../test/agent/agent-world.ts';
import { app, CLIENT_ALLOWED, FRIEND_ALLOWED, serverHears, team } from '../../test/agent/policies.ts';
import type { ApiObject } from '../../test/kube/object-history.ts';
import { namespace, pod, policy } from '../../test/kube/objects.ts';

/** The server's named UDP port. */
export const PORT = 7002;
const CLIENT_ADDRESS = '10.244.1.2';

export interface ClusterState {
  readonly policies: readonly ApiObject[];
  readonly differences?: Differences;
}

export interface Kind {
  /** What closes the path, and what opens it. */
  readonly closing: string;
  readonly opening: string;
  readonly closed: ClusterState;
  readonly open: ClusterState;
}

const instead = (without: ApiObject, other: ApiObject): Differences => ({ without: [without], others: [other] });
const hearsBlock = (...except: string[]) =>
  serverHears('block', { ipBlock: { cidr: '10.244.1.0/24', ...(except.length > 0 && { except }) } });
const both = [FRIEND_ALLOWED, CLIENT_ALLOWED];
const ofTeam = [FRIEND_ALLOWED, serverHears('team', team('shop'))];
const byName = [FRIEND_ALLOWED, serverHears('named', app('client'), [{ port: 'web-udp', protocol: 'UDP' }])];
/** Does not select the server until it has the label. */
const QUIET_ISOLATED = policy('shop', 'quiet', {
  podSelector: { matchLabels: { quiet: 'yes' } },
  policyTypes: ['Ingress'],
});

export const KINDS: readonly Kind[] = [
  {
    closing: 'policy added, which isolates',
    opening: 'policy deleted, which isolated',
    closed: { policies: [FRIEND_ALLOWED] },
    open: { policies: [] },
  },
  {
    closing: 'policy deleted, which allowed',
    opening: 'policy added, which allows',
    closed: { policies: [FRIEND_ALLOWED] },
    open: { policies: both },
  },
  {
    closing: 'policy edited to deny',
    opening: 'policy edited to allow',
    closed: { policies: [FRIEND_ALLOWED, serverHears('edited', app('nobody'))] },
    open: { policies: [FRIEND_ALLOWED, serverHears('edited', app('client'))] },
  },
  {
    closing: 'ipBlock edited to leave the client out',
    opening: 'ipBlock edited to hold the client',
    closed: { policies: [FRIEND_ALLOWED, hearsBlock(`${CLIENT_ADDRESS}/32`)] },
    open: { policies: [FRIEND_ALLOWED, hearsBlock()] },
  },
  {
    closing: "client's label removed",
    opening: "client's label added",
    closed: { policies: both, differences: instead(CLIENT, relabelled(CLIENT, { app: 'retired' })) },
    open: { policies: both },
  },
  {
    closing: "server's label added, by which it is isolated",
    opening: "server's label removed, by which it was isolated",
    closed: {
      policies: [QUIET_ISOLATED],
      differences: { others: [relabelled(SERVER, { app: 'server', quiet: 'yes' })] },
    },
    open: { policies: [QUIET_ISOLATED] },
  },
  {
    closing: 'namespace label removed',
    opening: 'namespace label added',
    closed: { policies: ofTeam, differences: { others: [namespace('shop', { team: 'strange' })] } },
    open: { policies: ofTeam },
  },
  {
    closing: 'namespace deleted',
    opening: 'namespace added',
    closed: { policies: ofTeam, differences: { without: [namespace('shop')] } },
    open: { policies: ofTeam },
  },
  {
    closing: "client's address changed to another",
    opening: "client's address changed back",
    closed: { policies: both, differences: { others: [pod('shop', 'client', { ip: '10.244.1.99' })] } },
    open: { policies: both },
  },
  {
    closing: "pod gone, its address another pod's",
    opening: 'pod with that address again',
    closed: { policies: both, differences: instead(CLIENT, pod('shop', 'impostor', { ip: CLIENT_ADDRESS })) },
    open: { policies: both },
  },
  {
    closing: 'named port changed to another',
    opening: 'named port changed back',
    closed: {
      policies: byName,
      differences: instead(SERVER, pod('shop', 'server', { ip: '10.244.1.1', ports: webPorts(7101) })),
    },
    open: { policies: byName },
  },
];
