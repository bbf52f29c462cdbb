/**
 * Gathers doctor's facts about this node: everything for `podfence doctor`, only what costs little
 * for a running agent.
 */
import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import type { System } from '../dataplane/steering/run.ts';
import type { BridgeSwitches } from '../doctor/bridges.ts';
import type { Presence } from '../doctor/enforcers.ts';
import type { ProxyFacts } from '../doctor/kube-proxy.ts';
import { readMemoryLimit } from '../doctor/memory.ts';
import type { NodeFacts } from '../doctor/node.ts';
import type { QueueRange, ReadQueue } from '../doctor/queues.ts';
import type { RuleFacts } from '../doctor/rule-dumps.ts';
import { BOUND_QUEUES, parseBoundQueues } from '../netlink/bound-queues.ts';
import { runtimeFacts } from './container-runtime.ts';
import { tryKernel } from './kernel-trials.ts';
import { bridgesOf, type Link, readLinks } from './links.ts';
import { readRuleNames, readRules } from './node-rules.ts';
import { netlinkHolders } from './processes.ts';
import { askProxyMode, hasIpvsServices, proxyModeByTraces } from './proxy-mode.ts';

/** A pod's service account; if it exists, /run is the pod's own. */
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io';

/** Where to look. `system` and `links` must be of the same network namespace. */
interface Place {
  readonly system: System;
  /** @default the namespace of the calling thread */
  readonly links?: () => Promise<Link[]>;
  /** @default asks kube-proxy, in the process's namespace */
  readonly askProxy?: () => Promise<ProxyFacts | undefined>;
}

export interface WholeNodeOptions extends Place {
  /** Where a pod mounts the node's /run. */
  readonly run?: string | undefined;
  readonly inPod?: boolean;
  /** Where to try what the kernel can do. @default a new network namespace */
  readonly trials?: System;
}

/**
 * Gathers everything. Needs root, or CAP_NET_ADMIN and CAP_NET_RAW. Does not throw if a part cannot
 * be checked: `failures` has it.
 */
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

/** Reads all rules, the processes that read the kernel's queues, and whether podfence is there. */
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
  /** The agent's queues. */
  readonly queues: QueueRange;
  /** Counts of the whole cluster. */
  readonly pods: number;
  readonly policies: number;
}

/** Gathers what costs an agent little: dumps no rule, tries nothing. */
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
  // If a part could not be read, a missing kube-proxy proves nothing.
  const isKnown = proxy.mode !== undefined || ipvs || (links !== undefined && unread.size === 0);
  return {
    release: release(),
    ...(isKnown && { proxy: { ...proxy, ipvs } }),
    ...(links !== undefined && { bridges: { bridges: bridgesOf(links), switches: bridgeSwitches(system) } }),
  };
}

/** Reads the switches of the network namespace. */
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

/** Searches all processes, which takes a while. */
function queuesWithReaders(system: System): ReadQueue[] {
  const read = queuesInUse(system);
  if (read.length === 0) return [];
  const holders = netlinkHolders(system);
  return read.map((queue) => {
    const process = holders.get(queue.port);
    return process === undefined ? queue : { ...queue, process };
  });
}

/** Infers podfence's mode from its rules: those that queue enforce, those that only copy do not. */
function presenceByRules({ tables, chains, queues }: RuleFacts): Presence {
  if (queues.some(({ ours }) => ours)) return 'enforce';
  const there = tables.has('inet podfence') || [...chains].some((chain) => chain.startsWith('PODFENCE-'));
  return there ? 'audit' : 'absent';
}

function readIfThere(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}
