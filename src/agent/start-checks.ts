/** The checks of doctor that cost little, once after the policies are in force: they delay nothing, and what they find is told and changes nothing. */
import type { Logger } from 'pino';
import { system } from '../dataplane/steering/run.ts';
import { type Finding, finding } from '../doctor/finding.ts';
import { nodeFindings } from '../doctor/node.ts';
import type { QueueRange } from '../doctor/queues.ts';
import { cheapNode } from '../machine/node-facts.ts';

export interface StartChecks {
  readonly mode: 'enforce' | 'audit';
  /** In force. */
  readonly steering: 'nftables' | 'iptables';
  /** Of this agent. */
  readonly queues: QueueRange;
  /** Of the whole cluster. */
  readonly pods: number;
  readonly policies: number;
}

/** Logs warnings and problems. Throws nothing. */
export async function checkAtStart({ mode, steering, ...rest }: StartChecks, log: Logger): Promise<readonly Finding[]> {
  const steers = finding('steering', 'ok', 'certain', `podfence steers by ${steering}.`);
  const findings = [...(await findingsOf(mode, rest)), steers];
  for (const { severity, code, check, certainty, message, advice } of findings) {
    if (severity === 'warning' || severity === 'problem')
      log.warn({ code, check, severity, certainty, advice }, message);
  }
  return findings;
}

async function findingsOf(
  presence: 'enforce' | 'audit',
  facts: Omit<StartChecks, 'mode' | 'steering'>,
): Promise<readonly Finding[]> {
  try {
    return nodeFindings(await cheapNode({ system: system(), presence, ...facts }));
  } catch (error) {
    return [
      finding(
        'not-looked',
        'info',
        'certain',
        `This node could not be looked at: ${error instanceof Error ? error.message : error}.`,
      ),
    ];
  }
}
