/**
 * The settings of `podfence agent`: one list for the flags, the environment (PODFENCE_…) and the
 * configuration file, whose keys are the flags' names. A flag overrides the variable, and the
 * variable overrides the file.
 */

import { type Command, InvalidArgumentError, Option } from 'commander';
import { DEFAULT_FIRST_QUEUE, DEFAULT_FLOW_CAPACITY } from '../../agent/agent.ts';
import { canonicalAddress } from '../../cluster/addresses.ts';
import type { PolicyMode } from '../../cluster/records.ts';
import { DEFAULT_MARK, type MarkBits } from '../../dataplane/steering/state.ts';
import { DEFAULT_SOCKET_PATH } from '../../nri/socket-path.ts';
import { DEFAULT_QUERY_ADDRESS } from '../../telemetry/agent-routes.ts';
import { parseListenAddress } from '../../telemetry/listen-address.ts';
import { LOG_LEVELS, type LogLevel } from '../../telemetry/logger.ts';

/** The settings after all sources were read. */
export interface AgentSettings {
  readonly nodeName: string;
  readonly nodeAddresses?: readonly string[];
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly manifests?: readonly string[];
  readonly mode: PolicyMode;
  readonly queues?: number;
  readonly firstQueue: number;
  readonly steering: 'auto' | 'nftables' | 'iptables';
  readonly offload: boolean;
  readonly fail: 'closed' | 'open';
  readonly deny: 'drop' | 'reject';
  readonly mark: MarkBits;
  readonly spoofing: 'drop' | 'allow';
  readonly flowCapacity: number;
  /** Seconds. */
  readonly adopt: number;
  readonly metricsAddress: string;
  /** Empty if questions are not answered. */
  readonly queryAddress: string;
  readonly policyMetrics: boolean;
  /** Path of the NRI socket; empty if it is not used. */
  readonly nri: string;
  /** Key of the taint to remove; undefined if none. */
  readonly startupTaint?: string;
  readonly logLevel: LogLevel;
}

const MAX_FLOWS = 1 << 24;
const MAX_QUEUES = 64;
const MAX_QUEUE_NUMBER = 65_535 - MAX_QUEUES;
const MAX_ADOPT = 3600;

export function agentOptions(hostname: string): Option[] {
  return [
    setting('--node-name <name>', 'name of this node, as in spec.nodeName of its pods')
      .argParser(notEmpty)
      .default(hostname, 'host name'),
    setting(
      '--node-addresses <addresses>',
      'addresses of this node, comma-separated, to name and explain flows (default: those of its interfaces)',
    ).argParser(addresses),
    setting(
      '--kubeconfig <file>',
      'kubeconfig file (default: $KUBECONFIG, the service account of the pod, ~/.kube/config)',
    ).argParser(notEmpty),
    setting('--context <name>', 'context of the kubeconfig (default: its current one)').argParser(notEmpty),
    setting(
      '--manifests <paths>',
      'no cluster: enforce these files and folders, comma-separated, and follow their changes',
    ).argParser(list),
    setting('--mode <mode>', 'audit: enforce nothing, judge copies of packets, and report what enforcement would deny')
      .choices(['enforce', 'audit'])
      .default('enforce'),
    setting(
      '--queues <count>',
      'number of queues, each with a thread (default: the number of cores, at most 4)',
    ).argParser(wholeNumber(1, MAX_QUEUES)),
    setting('--first-queue <number>', 'number of the first NFQUEUE; in audit mode, of the NFLOG group')
      .argParser(wholeNumber(0, MAX_QUEUE_NUMBER))
      .default(DEFAULT_FIRST_QUEUE),
    setting('--steering <kind>', 'kernel rules that hand packets to the agent')
      .choices(['auto', 'nftables', 'iptables'])
      .default('auto'),
    setting('--offload <yesno>', 'let the kernel carry a flow once it is allowed')
      .argParser(yesNo)
      .default(true, 'yes'),
    setting('--fail <how>', 'new flows of isolated pods while no agent judges: closed drops them, open lets them pass')
      .choices(['closed', 'open'])
      .default('closed'),
    setting('--deny <how>', 'what a denied sender gets: nothing (drop), or a TCP reset or ICMP error (reject)')
      .choices(['drop', 'reject'])
      .default('drop'),
    markOption(),
    setting('--spoofing <how>', "packets that come in with another pod's address, or the node's: drop or allow")
      .choices(['drop', 'allow'])
      .default('drop'),
    setting('--flow-capacity <flows>', 'flows that each queue tracks, 64 bytes each')
      .argParser(wholeNumber(1, MAX_FLOWS))
      .default(DEFAULT_FLOW_CAPACITY),
    setting(
      '--adopt <seconds>',
      'at the first start on a kernel that tracked nothing, how long connections that are open may go on',
    )
      .argParser(wholeNumber(0, MAX_ADOPT))
      .default(0),
    setting('--metrics-address <address>', 'where to serve /metrics, /healthz, /readyz and /status')
      .argParser(listenAddress)
      .default(':9464'),
    setting(
      '--query-address <address>',
      'where to answer questions about flows, without authentication: /flows, /explain; off for nowhere',
    )
      .argParser((text) => (text === 'off' || text === '' ? '' : listenAddress(text)))
      .default(DEFAULT_QUERY_ADDRESS),
    setting('--policy-metrics <yesno>', 'count allowed and denied flows by policy')
      .argParser(yesNo)
      .default(false, 'no'),
    setting(
      '--nri <socket>',
      "the container runtime's NRI socket, so that the policies of a pod are in force before its containers start; off to use none",
    )
      .argParser((text) => (text === 'off' ? '' : absolutePath(text)))
      .default(DEFAULT_SOCKET_PATH),
    setting(
      '--startup-taint <key>',
      'taint to remove from this node once the policies are in force; needs the right to get and patch nodes',
    ).argParser(taintKey),
    setting('--log-level <level>', 'least urgent level to log').choices(LOG_LEVELS).default('info'),
  ];
}

/** The file for settings that neither a flag nor a variable sets. */
export function configOption(): Option {
  return setting('--config <file>', 'configuration file, YAML').argParser(notEmpty);
}

/**
 * Returns what is wrong with `text` as the value of an option, in a sentence or two; undefined if
 * nothing is.
 */
export function refusalOf(option: Option, text: string): string | undefined {
  try {
    option.parseArg?.(text, undefined);
    return undefined;
  } catch (error) {
    return `${JSON.stringify(text)} is not accepted. ${(error as Error).message}`;
  }
}

/** The marks that podfence uses. `podfence cleanup` takes them too. */
export function markOption(): Option {
  return setting('--mark-mask <bits>', 'bits of packet and connection marks that podfence uses, at least two')
    .argParser(mark)
    .default(DEFAULT_MARK, '0x3000000');
}

/** The flag `--node-name` is PODFENCE_NODE_NAME in the environment and node-name in the file. */
function setting(flags: string, description: string): Option {
  const option = new Option(flags, description);
  return option.env(`PODFENCE_${option.name().toUpperCase().replaceAll('-', '_')}`);
}

/** Returns a command's settings after flags, environment and file were read. */
export function settingsOf(command: Command): AgentSettings {
  const { markMask, ...others } = command.opts();
  return { ...others, mark: markMask } as AgentSettings;
}

function notEmpty(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('It must not be empty.');
  return text;
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(number >= least && number <= most))
      throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
    return number;
  };
}

function yesNo(text: string): boolean {
  if (text === 'yes' || text === 'true') return true;
  if (text === 'no' || text === 'false') return false;
  throw new InvalidArgumentError('It must be yes or no.');
}

function list(text: string): readonly string[] {
  const items = text.split(',').map((item) => item.trim());
  if (items.includes('')) throw new InvalidArgumentError('It must be a comma-separated list without empty items.');
  return items;
}

/** They usually come from the API server (`status.hostIPs`), so they are read as it reads them. */
function addresses(text: string): readonly string[] {
  return list(text).map((item) => {
    const address = canonicalAddress(item);
    if (address === undefined) throw new InvalidArgumentError(`${JSON.stringify(item)} is not an IP address.`);
    return address;
  });
}

function absolutePath(text: string): string {
  if (!text.startsWith('/')) throw new InvalidArgumentError('It must be a path that begins with /, or off.');
  return text;
}

function listenAddress(text: string): string {
  try {
    parseListenAddress(text);
    return text;
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/**
 * A qualified name, as the API defines it
 * (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/).
 */
function taintKey(text: string): string {
  const [name = '', prefix, ...more] = text.split('/').reverse();
  const isName = name.length <= 63 && /^[a-z\d]([\w.-]*[a-z\d])?$/i.test(name);
  const isPrefix = prefix === undefined || (prefix.length <= 253 && /^[a-z\d]([a-z\d.-]*[a-z\d])?$/.test(prefix));
  if (isName && isPrefix && more.length === 0) return text;
  const hint = /[:=]/.test(text) ? ' Leave out value and effect: the key stands for every taint that has it.' : '';
  throw new InvalidArgumentError(`It must be the key of a taint, such as podfence.io/agent-not-ready.${hint}`);
}

/** The lowest bit of the mask means judged, the next one reject. */
function mark(text: string): MarkBits {
  const mask = /^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(text) ? Number(text) : 0;
  const judged = lowestBit(mask);
  const reject = lowestBit(mask - judged);
  if (mask > 0xffffffff || judged === 0 || reject === 0) {
    throw new InvalidArgumentError('It must be a 32-bit number with at least two bits set, such as 0x3000000.');
  }
  return { judged, reject, mask };
}

function lowestBit(bits: number): number {
  return Number(BigInt(bits) & -BigInt(bits));
}
