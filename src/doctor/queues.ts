/** The kernel's queues: which rules hand packets to them, and which processes read them. */
import { ENFORCERS, type Enforcer, type Presence, whoseVerdict } from './enforcers.ts';
import { type Finding, finding } from './finding.ts';
import type { RuleQueue } from './rule-dumps.ts';

/** A queue that a process reads: a line of /proc/net/netfilter/nfnetlink_queue. */
export interface ReadQueue {
  readonly queue: number;
  /**
   * Netlink port of the reader. Do not take it for a process id: in a container it is the id inside
   * the container.
   */
  readonly port: number;
  /** Packets waiting now. */
  readonly waiting: number;
  /** Packets that the kernel dropped because the queue or the reader's buffer was full. */
  readonly dropped: number;
  /** The process that holds the reader's socket, if visible. */
  readonly process?: { readonly pid: number; readonly name: string };
}

/** Queues by number, both included. */
export interface QueueRange {
  readonly first: number;
  readonly last: number;
}

export interface QueueFacts {
  readonly read: readonly ReadQueue[];
  /** Undefined if rules were not read. */
  readonly rules?: readonly RuleQueue[];
  /** The queues of an agent that checks its own node. If undefined, podfence's rules show them. */
  readonly ours?: QueueRange;
  readonly presence: Presence;
}

export function queues({ read, rules = [], ours, presence }: QueueFacts): Finding[] {
  const ourRules = rules.filter((rule) => rule.ours);
  const ourRanges: readonly QueueRange[] = ours === undefined ? ourRules : [ours];
  const foreign = rules.filter((rule) => !rule.ours);
  const found = [
    ...unreadOurs(ourRules, read),
    ...foreign.map((rule) => foreignRule(rule, read, ourRanges, presence)),
    ...read
      .filter(({ queue }) => ![...ourRanges, ...foreign].some((range) => isIn(queue, range)))
      .map((queue) => readBy(`Queue ${queue.queue} is`, queue, presence)),
  ];
  if (found.length > 0) return distinct(found);
  const ourReaders = read.filter(({ queue }) => ourRanges.some((range) => isIn(queue, range)));
  return [
    finding(
      'queues',
      'ok',
      'certain',
      ourReaders.length === 0
        ? 'No queue of the kernel is in use.'
        : `podfence reads its ${ourReaders.length === 1 ? 'queue' : 'queues'} (${rangesText(ourReaders.map(({ queue }) => ({ first: queue, last: queue })))}), and no other process reads any.`,
    ),
  ];
}

function unreadOurs(rules: readonly RuleQueue[], read: readonly ReadQueue[]): Finding[] {
  const unread = rules.filter(({ first, last }) => {
    for (let queue = first; queue <= last; queue++) if (!read.some((each) => each.queue === queue)) return true;
    return false;
  });
  const [rule] = unread;
  if (rule === undefined) return [];
  return [
    finding(
      'queues',
      'problem',
      'certain',
      `Rules of podfence hand packets to ${rangesText(unread)}, which no process reads: no agent judges here. ` +
        (rule.bypass
          ? 'They let packets pass meanwhile (--fail open): nothing is enforced.'
          : 'New connections of isolated pods are dropped meanwhile (--fail closed).'),
      'Start the agent; its log says why it stopped. Or remove the rules: podfence cleanup.',
    ),
  ];
}

function foreignRule(
  rule: RuleQueue,
  read: readonly ReadQueue[],
  ours: readonly QueueRange[],
  presence: Presence,
): Finding {
  const readers = read.filter(({ queue }) => isIn(queue, rule));
  const what = `A rule that is not podfence's (${rule.place}) hands packets to ${rangesText([rule])}`;
  if (ours.some(({ first, last }) => first <= rule.last && last >= rule.first)) {
    return finding(
      'queues',
      'problem',
      'certain',
      `${what}, which is podfence's own: podfence judges packets that are not meant for it.`,
      'Give podfence other queues: --first-queue.',
    );
  }
  const [reader] = readers;
  if (reader !== undefined) return readBy(`${what},`, reader, presence);
  return rule.bypass
    ? finding('queues', 'info', 'certain', `${what}, which no process reads; its packets pass.`)
    : finding(
        'queues',
        'warning',
        'certain',
        `${what}, which no process reads: its packets are dropped, whatever podfence allows.`,
        'Start the program that reads it, or remove the rule.',
      );
}

/** @param what start of a sentence that continues with "read by" */
function readBy(what: string, reader: ReadQueue, presence: Presence): Finding {
  const enforcer = enforcerOf(reader);
  const verdict =
    enforcer === undefined
      ? 'A packet that both judge passes only if both allow it.'
      : whoseVerdict(enforcer, presence);
  return finding(
    'queues',
    enforcer !== undefined && presence === 'enforce' ? 'warning' : 'info',
    'certain',
    `${what} read by ${readerText(reader, enforcer)}. ${verdict}`,
    enforcer === undefined ? undefined : `Keep one of the two. ${enforcer.off}`,
  );
}

function enforcerOf({ process }: ReadQueue): Enforcer | undefined {
  return ENFORCERS.find((enforcer) => process !== undefined && enforcer.process?.test(process.name));
}

function readerText({ process, port }: ReadQueue, enforcer: Enforcer | undefined): string {
  if (process === undefined) return `a process that is not visible from here (netlink port ${port})`;
  const name = `${process.name} (process ${process.pid})`;
  return enforcer === undefined ? name : `${name}, which is ${enforcer.name}`;
}

function rangesText(ranges: readonly QueueRange[]): string {
  const texts = [...new Set(ranges.map(({ first, last }) => (first === last ? `${first}` : `${first} to ${last}`)))];
  const many = texts.length > 1 || ranges.some(({ first, last }) => first !== last);
  return `${many ? 'queues' : 'queue'} ${texts.join(', ')}`;
}

function isIn(queue: number, { first, last }: QueueRange): boolean {
  return queue >= first && queue <= last;
}

/** The same rule may exist for IPv4 and for IPv6. */
function distinct(findings: readonly Finding[]): Finding[] {
  return [...new Map(findings.map((each) => [each.message, each])).values()];
}
