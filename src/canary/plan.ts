/**
 * Which pods a canary runs, who probes whom, and what each pair proves. Pure: nodes in, plan out.
 */
import type { Direction } from '../cluster/records.ts';

export type Family = 'IPv4' | 'IPv6';
export type Protocol = 'TCP' | 'UDP';
export type Place = 'one node' | 'between nodes';

/**
 * - `server` is isolated for ingress: only clients may reach it
 * - `client` is isolated for egress: it may reach only the server
 * - `stranger` is not isolated, and not allowed to reach the server
 * - `control-server` and `control-client` are isolated by no policy
 * - `newcomer` starts after the policy that denies it all egress was created
 */
export type Role = 'server' | 'control-server' | 'client' | 'stranger' | 'control-client' | 'newcomer';

export interface CanaryPod {
  readonly name: string;
  readonly role: Role;
  readonly node: string;
}

/** A pod that probes an address of another pod, or its own. */
export interface Pair {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly protocol: Protocol;
  readonly family: Family;
  /** Whether one connection stays open and is used again, instead of a new one for each attempt. */
  readonly held: boolean;
  /** Milliseconds between two attempts. */
  readonly interval: number;
}

/** A line of the report, and the pairs that it rests on. */
export interface Check {
  readonly direction: Direction;
  readonly place: Place;
  readonly protocol: Protocol;
  readonly family: Family;
  readonly denied: Pair;
  readonly deniedHeld: Pair;
  readonly allowed: Pair;
  readonly allowedHeld: Pair;
  /**
   * Pairs on the same path that no policy isolates, open throughout if all is well: the control
   * pair, and the server of the denied pair probing itself.
   */
  readonly witnesses: readonly Pair[];
  /** The same for the allowed pair. */
  readonly allowedWitnesses: readonly Pair[];
}

/** Connections of a new pod, each to the control server. */
export interface NewPodCheck {
  readonly place: Place;
  readonly pair: Pair;
  readonly witnesses: readonly Pair[];
}

export interface Plan {
  /** Servers start first, because clients need their addresses. */
  readonly servers: readonly CanaryPod[];
  readonly clients: readonly CanaryPod[];
  readonly newcomers: readonly CanaryPod[];
  readonly pairs: readonly Pair[];
  readonly checks: readonly Check[];
  readonly newPods: readonly NewPodCheck[];
}

export const PORT = 8080;

/**
 * Milliseconds between attempts. Pairs that a policy denies are probed most often: the interval is
 * the resolution of the reported times.
 */
const INTERVAL = { denied: 100, held: 250, allowed: 250, control: 250, self: 500, newcomer: 20 } as const;

/**
 * @param nodes one or two names: servers run on the first, clients on each
 * @param round from 1: each round has its own new pods
 */
export function makePlan(nodes: readonly string[], families: readonly Family[], round: number): Plan {
  const [home = ''] = nodes;
  const onEach = (role: Role): CanaryPod[] =>
    nodes.map((node, index) => ({ name: `${role}-${index + 1}`, role, node }));
  const checks = nodes.flatMap((_, index) => checksFrom(index + 1, families));
  const suffix = round === 1 ? '' : `-${round}`;
  const newPods = nodes.map((_, index) => newPodCheck(index + 1, suffix, families[0] ?? 'IPv4'));
  const pairs = new Map<string, Pair>();
  for (const { denied, deniedHeld, allowed, allowedHeld, witnesses, allowedWitnesses } of checks) {
    const all = [denied, deniedHeld, allowed, allowedHeld, ...witnesses, ...allowedWitnesses];
    for (const pair of all) pairs.set(pair.id, pair);
  }
  for (const { pair } of newPods) pairs.set(pair.id, pair);
  return {
    servers: (['server', 'control-server'] as const).map((role) => ({ name: role, role, node: home })),
    clients: (['client', 'stranger', 'control-client'] as const).flatMap(onEach),
    newcomers: onEach('newcomer').map((pod) => ({ ...pod, name: `${pod.name}${suffix}` })),
    pairs: [...pairs.values()],
    checks,
    newPods,
  };
}

/**
 * Returns the pairs by which a server probes its own addresses, which are not known yet, to show
 * that it is alive.
 */
export function selfPairs(server: string): readonly Pair[] {
  return (['IPv4', 'IPv6'] as const).flatMap((family) =>
    (['TCP', 'UDP'] as const).map((protocol) => pairOf(server, server, protocol, family, 'self')),
  );
}

function checksFrom(number: number, families: readonly Family[]): Check[] {
  const directions = ['ingress', 'egress'] as const;
  return directions.flatMap((direction) =>
    families.flatMap((family) =>
      (['TCP', 'UDP'] as const).map((protocol): Check => {
        const [from, to] =
          direction === 'ingress' ? [`stranger-${number}`, 'server'] : [`client-${number}`, 'control-server'];
        return {
          direction,
          place: placeOf(number),
          protocol,
          family,
          denied: pairOf(from, to, protocol, family, 'denied'),
          deniedHeld: pairOf(from, to, protocol, family, 'held'),
          allowed: pairOf(`client-${number}`, 'server', protocol, family, 'allowed'),
          allowedHeld: pairOf(`client-${number}`, 'server', protocol, family, 'held'),
          witnesses: witnesses(number, to, protocol, family),
          allowedWitnesses: witnesses(number, 'server', protocol, family),
        };
      }),
    ),
  );
}

function newPodCheck(number: number, suffix: string, family: Family): NewPodCheck {
  return {
    place: placeOf(number),
    pair: pairOf(`newcomer-${number}${suffix}`, 'control-server', 'TCP', family, 'newcomer'),
    witnesses: witnesses(number, 'control-server', 'TCP', family),
  };
}

function witnesses(number: number, server: string, protocol: Protocol, family: Family): Pair[] {
  return [
    pairOf(`control-client-${number}`, 'control-server', protocol, family, 'control'),
    pairOf(server, server, protocol, family, 'self'),
  ];
}

function placeOf(number: number): Place {
  return number === 1 ? 'one node' : 'between nodes';
}

function pairOf(from: string, to: string, protocol: Protocol, family: Family, use: keyof typeof INTERVAL): Pair {
  const held = use === 'held';
  const id = `${from} > ${to} ${protocol} ${family}${held ? ' held' : ''}`;
  return { id, from, to, protocol, family, held, interval: INTERVAL[use] };
}
