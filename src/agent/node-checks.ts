/**
 * The checks of doctor that cost little, made by a running agent now and then: they delay nothing,
 * and what they find is told and changes nothing.
 */
import type { Logger } from 'pino';
import { system } from '../dataplane/steering/run.ts';
import { type Finding, finding } from '../doctor/finding.ts';
import { nodeFindings } from '../doctor/node.ts';
import type { QueueRange } from '../doctor/queues.ts';
import { cheapNode } from '../machine/node-facts.ts';

export interface NodeChecks {
  readonly mode: 'enforce' | 'audit';
  /** In force. */
  readonly steering: 'nftables' | 'iptables';
  /** Whether first packets are judged before routing, in force. */
  readonly beforeRouting?: boolean;
  /** Of this agent. */
  readonly queues: QueueRange;
  /** Of the whole cluster. */
  readonly pods: number;
  readonly policies: number;
}

/**
 * Logs warnings and problems that are new, and those that are gone.
 * @param before what the last look found
 */
export async function lookAtNode(
  { mode, steering, beforeRouting, ...rest }: NodeChecks,
  before: readonly Finding[],
  log: Logger,
): Promise<readonly Finding[]> {
  const steers = finding('steering', 'ok', 'certain', `podfence steers by ${steering}.`);
  const facts = await cheapNode({ system: system(), presence: mode, ...rest });
  const inForce = { chosen: steering, ...(beforeRouting !== undefined && { beforeRouting }) };
  const findings = [...nodeFindings(mode === 'audit' ? facts : { ...facts, inForce }), steers];
  tellChanges(before, findings, log);
  return findings;
}

export function tellChanges(before: readonly Finding[], now: readonly Finding[], log: Logger): void {
  const known = new Set(before.map(identity));
  const there = new Set(now.map(identity));
  for (const each of now.filter(isLogged)) {
    const { code, check, severity, certainty, advice, message } = each;
    if (!known.has(identity(each))) log.warn({ code, check, severity, certainty, advice }, message);
  }
  for (const each of before.filter(isLogged)) {
    const { code, check, message } = each;
    if (!there.has(identity(each))) log.info({ code, check }, `no longer so: ${message}`);
  }
}

function isLogged({ severity }: Finding): boolean {
  return severity === 'warning' || severity === 'problem';
}

/**
 * Numbers go up and down with the pods of the node and the cluster, and what is so stays the same.
 */
function identity({ code, severity, message }: Finding): string {
  return `${code} ${severity} ${message.replaceAll(/\b\d[\d,]*\b/g, 'n').replace('n pod or container is', 'n pods or containers are')}`;
}
