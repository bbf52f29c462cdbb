/**
 * What doctor wants to know of this node, gathered: everything by `podfence doctor`, what costs
 * little by a running agent.
 */
import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { BOUND_QUEUES, parseBoundQueues } from '../dataplane/netlink/bound-queues.ts';
import type { System } from '../dataplane/steering/run.ts';
import type { BridgeSwitches } from '../doctor/bridges.ts';
import type { Presence } from '../doctor/enforcers.ts';
import type { ProxyFacts } from '../doctor/kube-proxy.ts';
import { readMemoryLimit } from '../doctor/memory.ts';
import type { NodeFacts } from '../doctor/node.ts';
import type { QueueRange, ReadQueue } from '../doctor/queues.ts';
import type { RuleFacts } from '../doctor/rule-dumps.ts';
import { runtimeFacts } from './container-runtime.ts';
import { tryKernel } from './kernel-trials.ts';
import { bridgesOf, type Link, readLinks } from './links.ts';
import { readRuleNames, readRules } from './node-rules.ts';
import { netlinkHolders } from './processes.ts';
import { askProxyMode, hasIpvsServices, proxyModeByTraces } from './proxy-mode.ts';

/** A pod's service account; where it is, /run is the pod's own. */
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io';

/** Where to look. Both are about the same network namespace. */
interface Place {
  readonly system: System;
  /** @default the namespace of the calling thread */
  readonly links?: () => Promise<Link[]>;
  /** @default kube-proxy is asked, in the namespace of the process */
  readonly askProxy?: () => Promise<ProxyFacts | undefined>;
}

export interface WholeNodeOptions extends Place {
  /** Where the node's /run is mounted, in a pod. */
  readonly run?: string | undefined;
  readonly inPod?: boolean;
  /** Where parts of the kernel are tried. @default a network namespace of its own */
  readonly trials?: System;
}

/** Needs root, or CAP_NET_ADMIN and CAP_NET_RAW. Throws nothing for a part that cannot be looked at: it is among the failures. */
export async function wholeNode(options: WholeNodeOptions): Promise<NodeFacts> {
  const { system, run, inPod = existsSync(SERVICE_ACCOUNT) } = options;
  const seen = await seenRules(system);
  const trials = await tryKernel(system, options.trials);
  const failures = [...seen.failures, ...trials.failures];
  const runtime = await runtimeFacts({ run, inPod });
  return { ...(await kernelFacts(options, seen, failures)), ...trials, ...seen, runtime, failures };
}

export type SeenRules = Required<
  Pick<NodeFacts, 'rules' | 'rulesComplete' | 'unread' | 'queues' | 'presence' | 'failures'>
>;

/** All rules, who reads the queues of the kernel, and what of podfence is there. */
export async function seenRules(system: System): Promise<SeenRules> {
  const read = await readRules(system);
  return {
    ...read,
    rulesComplete: true,
    queues: queuesWithReaders(system),
    presence: presenceByRules(read.rules),
  };
}

export interface AgentLook extends Place {
  readonly presence: Presence;
  /** Of the agent. */
  readonly queues: QueueRange;
  /** Of the whole cluster. */
  readonly pods: number;
  readonly policies: number;
}

/** What an agent can look at in passing: no rule is dumped, nothing is tried. */
export async function cheapNode(options: AgentLook): Promise<NodeFacts> {
  const { system, presence, queues, pods, policies } = options;
  const read = await readRuleNames(system);
  const failures = [...read.failures];
  return {
    ...(await kernelFacts(options, read, failures)),
    ...read,
    presence,
    rulesComplete: false,
    queues: queuesInUse(system),
    ourQueues: queues,
    memory: { limit: readMemoryLimit(readIfThere), pods, policies },
    failures,
  };
}

async function kernelFacts(
  { system, links: read = readLinks, askProxy = askProxyMode }: Place,
  { rules, unread }: Pick<SeenRules, 'rules' | 'unread'>,
  failures: string[],
): Promise<Pick<NodeFacts, 'release' | 'proxy' | 'bridges'>> {
  const links = await read().catch((error: unknown) => {
    failures.push(`The network interfaces could not be read: ${error instanceof Error ? error.message : error}.`);
    return undefined;
  });
  const names = links?.map(({ name }) => name) ?? [];
  const ipvs = hasIpvsServices(system);
  const proxy = (await askProxy()) ?? proxyModeByTraces(system, rules, names);
  // Where not everything could be read, kube-proxy may be there all the same.
  const isKnown = proxy.mode !== undefined || ipvs || (links !== undefined && unread.size === 0);
  return {
    release: release(),
    ...(isKnown && { proxy: { ...proxy, ipvs } }),
    ...(links !== undefined && { bridges: { bridges: bridgesOf(links), switches: bridgeSwitches(system) } }),
  };
}

/** The switches of the whole network namespace. */
function bridgeSwitches(system: System): BridgeSwitches {
  const value = (name: string) => {
    const text = system.read(`/proc/sys/net/bridge/${name}`);
    return text === undefined ? undefined : text.trim() !== '0';
  };
  return { iptables: value('bridge-nf-call-iptables'), ip6tables: value('bridge-nf-call-ip6tables') };
}

function queuesInUse(system: System): ReadQueue[] {
  return parseBoundQueues(system.read(BOUND_QUEUES) ?? '').map(
    ({ queue, port, waiting, droppedByKernel, droppedByUser }) => ({
      queue,
      port,
      waiting,
      dropped: droppedByKernel + droppedByUser,
    }),
  );
}

/** Looks through all processes, which takes a while. */
function queuesWithReaders(system: System): ReadQueue[] {
  const read = queuesInUse(system);
  if (read.length === 0) return [];
  const holders = netlinkHolders(system);
  return read.map((queue) => {
    const process = holders.get(queue.port);
    return process === undefined ? queue : { ...queue, process };
  });
}

/** podfence by its rules: those that queue enforce, those that only copy do not. */
function presenceByRules({ tables, chains, queues }: RuleFacts): Presence {
  if (queues.some(({ ours }) => ours)) return 'enforce';
  const there = tables.has('inet podfence') || [...chains].some((chain) => chain.startsWith('PODFENCE-'));
  return there ? 'audit' : 'absent';
}

function readIfThere(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}
