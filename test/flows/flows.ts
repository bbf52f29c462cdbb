/** Flows in the form that a log gets. */
import type { Flow } from '../../src/flows/flow.ts';
import type { FlowLog } from '../../src/flows/flow-log.ts';

const WEB = { kind: 'pod', namespace: 'shop', name: 'web', address: '10.0.0.1', node: 'n' } as const;
const DB = { ...WEB, name: 'db', address: '10.0.0.2' };

export function flow(port: number | null, differences: Partial<Flow> = {}): Flow {
  return {
    ...{ verdict: 'deny', direction: 'ingress', reason: 'ingress-denied', protocol: 'TCP', port, from: WEB, to: DB },
    policies: [{ direction: 'ingress', namespace: 'shop', name: 'db', rule: null, field: null }],
    ...differences,
  };
}

export function note(log: FlowLog, described: Flow, now: number, key = String(described.port)): void {
  log.note({ key, verdict: described.verdict, sourcePort: 1, describe: () => described }, now);
}
