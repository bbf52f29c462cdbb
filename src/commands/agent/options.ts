/**
 * The settings of `podfence agent`: one list for the flags, the environment (PODFENCE_…) and the configuration file, whose keys are the
 * flags' names. The first of the three that names a setting decides it.
 */

import { type Command, InvalidArgumentError, Option } from 'commander';
import { DEFAULT_FIRST_QUEUE, DEFAULT_FLOW_CAPACITY } from '../../agent/agent.ts';
import { canonicalAddress } from '../../cluster/addresses.ts';
import type { PolicyMode } from '../../cluster/records.ts';
import { DEFAULT_MARK, type MarkBits } from '../../dataplane/steering/state.ts';
import { DEFAULT_QUERY_ADDRESS } from '../../telemetry/agent-routes.ts';
import { parseListenAddress } from '../../telemetry/listen-address.ts';
import { LOG_LEVELS, type LogLevel } from '../../telemetry/logger.ts';

/** The settings as they are when all sources are read. */
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
  readonly flowCapacity: number;
  /** Seconds. */
  readonly adopt: number;
  readonly metricsAddress: string;
  /** Empty where no questions are answered. */
  readonly queryAddress: string;
  readonly policyMetrics: boolean;
  /** Key of a taint; undefined where none is taken away. */
  readonly startupTaint?: string;
  readonly logLevel: LogLevel;
}

const MAX_FLOWS = 1 << 24;
const MAX_QUEUES = 64;
const MAX_QUEUE_NUMBER = 65_535 - MAX_QUEUES;
const MAX_ADOPT = 3600;

export function agentOptions(hostname: string): Option[] {
  return [
    setting('--node-name <name>', "this node's name, as pods have it in spec.nodeName")
      .argParser(notEmpty)
      .default(hostname, 'host name'),
    setting(
      '--node-addresses <addresses>',
      'addresses of this node, with commas, to name and explain flows by (default: those of its interfaces)',
    ).argParser(addresses),
    setting(
      '--kubeconfig <file>',
      'kubeconfig file (default: $KUBECONFIG, the service account of the pod, ~/.kube/config)',
    ).argParser(notEmpty),
    setting('--context <name>', 'context of the kubeconfig (default: its current one)').argParser(notEmpty),
    setting(
      '--manifests <paths>',
      'no cluster: enforce these files and folders, with commas, and follow their changes',
    ).argParser(list),
    setting('--mode <mode>', 'audit: enforce nothing, judge copies of packets, and tell what enforcement would deny')
      .choices(['enforce', 'audit'])
      .default('enforce'),
    setting('--queues <count>', 'queues, each with a thread (default: the number of cores, 4 at most)').argParser(
      wholeNumber(1, MAX_QUEUES),
    ),
    setting('--first-queue <number>', 'number of the first NFQUEUE; in audit mode of the NFLOG group')
      .argParser(wholeNumber(0, MAX_QUEUE_NUMBER))
      .default(DEFAULT_FIRST_QUEUE),
    setting('--steering <kind>', 'kernel rules that hand packets over')
      .choices(['auto', 'nftables', 'iptables'])
      .default('auto'),
    setting('--offload <yesno>', 'let the kernel carry a flow on once it is allowed')
      .argParser(yesNo)
      .default(true, 'yes'),
    setting('--fail <how>', 'isolated pods while no agent judges: closed drops new flows, open lets them pass')
      .choices(['closed', 'open'])
      .default('closed'),
    setting('--deny <how>', 'what a denied sender gets: nothing, or a TCP reset or ICMP error')
      .choices(['drop', 'reject'])
      .default('drop'),
    markOption(),
    setting('--flow-capacity <flows>', 'flows that each queue tracks, 64 bytes each')
      .argParser(wholeNumber(1, MAX_FLOWS))
      .default(DEFAULT_FLOW_CAPACITY),
    setting(
      '--adopt <seconds>',
      'at the first start on a kernel that tracked nothing, let connections go on that are already open',
    )
      .argParser(wholeNumber(0, MAX_ADOPT))
      .default(0),
    setting('--metrics-address <address>', 'where /metrics, /healthz, /readyz and /status are served')
      .argParser(listenAddress)
      .default(':9464'),
    setting(
      '--query-address <address>',
      'where questions about flows are answered, without authentication: /flows, /explain; off for nowhere',
    )
      .argParser((text) => (text === 'off' || text === '' ? '' : listenAddress(text)))
      .default(DEFAULT_QUERY_ADDRESS),
    setting('--policy-metrics <yesno>', 'count allowed and denied flows by policy')
      .argParser(yesNo)
      .default(false, 'no'),
    setting(
      '--startup-taint <key>',
      'taint of this node to take away once the policies are in force; it needs the right to get and patch nodes',
    ).argParser(taintKey),
    setting('--log-level <level>', 'least urgent line of the log').choices(LOG_LEVELS).default('info'),
  ];
}

/** Where the settings that neither a flag nor a variable names stand. */
export function configOption(): Option {
  return setting('--config <file>', 'configuration file, YAML').argParser(notEmpty);
}

/** What is wrong with `text` as the value of an option, in a sentence or two, if anything. */
export function refusalOf(option: Option, text: string): string | undefined {
  try {
    option.parseArg?.(text, undefined);
    return undefined;
  } catch (error) {
    return `${JSON.stringify(text)} is not accepted. ${(error as Error).message}`;
  }
}

/** The marks that podfence uses; for `podfence cleanup` too. */
export function markOption(): Option {
  return setting('--mark-mask <bits>', 'bits of the packet and connection marks that are podfence’s, at least two')
    .argParser(mark)
    .default(DEFAULT_MARK, '0x3000000');
}

/** The flag `--node-name` is PODFENCE_NODE_NAME in the environment and node-name in the file. */
function setting(flags: string, description: string): Option {
  const option = new Option(flags, description);
  return option.env(`PODFENCE_${option.name().toUpperCase().replaceAll('-', '_')}`);
}

/** Reads a command's options, as they are after flags, environment and file. */
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
  if (items.includes('')) throw new InvalidArgumentError('It must be a list with commas and no empty places.');
  return items;
}

/** They come from the API server as a rule (`status.hostIPs`), and are read as it reads them. */
function addresses(text: string): readonly string[] {
  return list(text).map((item) => {
    const address = canonicalAddress(item);
    if (address === undefined) throw new InvalidArgumentError(`${JSON.stringify(item)} is not an IP address.`);
    return address;
  });
}

function listenAddress(text: string): string {
  try {
    parseListenAddress(text);
    return text;
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

/** A qualified name, as the API has it (https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set). */
function taintKey(text: string): string {
  const [name = '', prefix, ...more] = text.split('/').reverse();
  const isName = name.length <= 63 && /^[a-z\d]([\w.-]*[a-z\d])?$/i.test(name);
  const isPrefix = prefix === undefined || (prefix.length <= 253 && /^[a-z\d]([a-z\d.-]*[a-z\d])?$/.test(prefix));
  if (isName && isPrefix && more.length === 0) return text;
  const hint = /[:=]/.test(text) ? ' Leave its value and effect out: every taint of the key is meant.' : '';
  throw new InvalidArgumentError(`It must be the key of a taint, such as podfence.io/agent-not-ready.${hint}`);
}

/** The lowest bit of the mask says judged, the next one reject. */
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
