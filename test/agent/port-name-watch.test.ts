import pino from 'pino';
import { expect, it } from 'vitest';
import { PortNameWatch } from '../../src/agent/port-name-watch.ts';
import type { ClusterRecord } from '../../src/cluster/records.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';

const WEB = { matchLabels: { app: 'web' }, matchExpressions: [] };

function pod(name: string, portName: string): ClusterRecord {
  const ports = [{ name: portName, port: 80, protocol: 'TCP' } as const];
  const where = { namespace: 'a', nodeName: 'here', addresses: ['10.0.0.1'], hostNetwork: false };
  return { kind: 'Pod', ...where, name, labels: WEB.matchLabels, ports };
}

function policy(name: string, port = 'http'): ClusterRecord {
  const ingress = [{ peers: [], ports: [{ protocol: 'TCP', port } as const] }];
  const isolates = ['ingress'] as const;
  return { kind: 'NetworkPolicy', namespace: 'a', name, podSelector: WEB, isolates, ingress, egress: [] };
}

class Watch {
  readonly lines: { readonly msg: string }[] = [];
  readonly compiler = new PolicyCompiler('here');
  readonly watch = new PortNameWatch(
    this.compiler.unknownPortNames,
    pino({ base: null, timestamp: false }, { write: (line: string) => this.lines.push(JSON.parse(line)) }),
  );

  /** Returns the lines that these records cause. */
  set(...records: readonly ClusterRecord[]) {
    this.compiler.apply(records.map((record) => ({ type: 'set', record })));
    this.compiler.compile();
    while (!this.watch.look(1));
    return this.lines.splice(0);
  }
}

it('logs a line for each name when it is first seen, and again for a policy that changes', () => {
  const one = new Watch();
  const line = {
    level: 40,
    policy: 'a/in',
    field: 'spec.ingress[0].ports[0].port',
    hint: 'Did you mean https?',
    msg: 'no container of the pods that the policy selects has a TCP port named "http": the entry allows nothing',
  };
  expect(one.set(pod('web', 'https'), policy('in'))).toEqual([line]);
  expect(one.set(pod('web', 'https2'))).toEqual([]);
  expect(one.set(policy('in', 'web'))).toHaveLength(1);
  expect(one.set(pod('web', 'web'))).toEqual([]);
  expect(one.watch.view()).toEqual({ count: 0, listed: [] });
});

it('says how many more there are than fit the log and the list', () => {
  const one = new Watch();
  const policies = Array.from({ length: 70 }, (_, number) => policy(`p${number}`));
  const lines = one.set(pod('web', 'https'), ...policies);
  expect(lines).toHaveLength(21);
  expect(lines.at(-1)?.msg).toBe('50 more named ports that no matching pod has; /status lists some');
  const { count, listed } = one.watch.view();
  expect([count, listed.length]).toEqual([70, 50]);
  expect(listed[0]).toMatchObject({ policy: 'a/p0', hint: 'Did you mean https?' });
});
