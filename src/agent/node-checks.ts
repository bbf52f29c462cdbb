/**
 * Runs the cheap checks of doctor in a running agent. They delay nothing; their findings are
 * reported and change nothing.
 */
import type { Logger } from 'pino';
import { system } from '../dataplane/steering/run.ts';
import { type Finding, finding } from '../doctor/finding.ts';
import { nodeFindings } from '../doctor/node.ts';
import type { QueueRange } from '../doctor/queues.ts';
import { cheapNode } from '../machine/node-facts.ts';

export interface NodeChecks {
  readonly mode: 'enforce' | 'audit';
  /** The kind of steering in force. */
  readonly steering: 'nftables' | 'iptables';
  /** Whether first packets are judged before routing; undefined in audit mode. */
  readonly beforeRouting?: boolean;
  /** The queues of this agent. */
  readonly queues: QueueRange;
  /** Pods of the whole cluster; `policies` likewise. */
  readonly pods: number;
  readonly policies: number;
}

/**
 * Checks the node. Logs warnings and problems that are new, and those that are gone.
 * @param before the findings of the last check
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
 * Ignores numbers: they vary with the pods of the node and the cluster while the finding stays the
 * same.
 */
function identity({ code, severity, message }: Finding): string {
  return `${code} ${severity} ${message.replaceAll(/\b\d[\d,]*\b/g, 'n').replace('n pod or container is', 'n pods or containers are')}`;
}
