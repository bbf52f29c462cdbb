import { describe, expect, test } from 'vitest';
import { Batch } from '../../src/explain/batch.ts';
import { service } from '../lab/cluster.ts';
import { allow, matching, pod, tcp } from '../policy/records.ts';
import { policyFor, snapshotWith } from './cluster.ts';

const canary = pod('app1/backend-2', '10.0.0.12', { role: 'backend', canary: 'yes' });
const policies = [
  policyFor('backend', 'backend', { ingress: [allow([{ podSelector: matching({ role: 'frontend' }) }], [tcp(5678)])] }),
  policyFor('frontend', 'frontend', { egress: [allow([], [tcp(5678), tcp(80)])] }),
  policyFor('x', 'canary', { egress: [] }, { podSelector: matching({ canary: 'yes' }) }),
];
const batch = new Batch(snapshotWith(policies, [canary]), [
  service('app1/backend', ['10.96.0.1'], { role: 'backend' }, 'TCP 80 5678'),
]);
const answer = (question: unknown) => batch.answer(JSON.stringify(question));

describe('an answer of a batch', () => {
  test('repeats the question, and has each direction by itself', () => {
    const flow = { from: 'app1/frontend-1', to: 'app1/backend-1', port: 90, protocol: 'TCP' };
    expect(JSON.stringify(answer(flow))).toBe(
      JSON.stringify({ ...flow, egress: 'deny', ingress: 'deny', verdict: 'deny', reason: 'egress-denied' }),
    );
    expect(answer({ ...flow, port: 80 })).toMatchObject({ egress: 'allow', ingress: 'deny', reason: 'ingress-denied' });
    expect(answer({ ...flow, port: 5678 })).toMatchObject({ verdict: 'allow', reason: 'allowed-by-policy' });
  });

  test.each([
    [{ port: 5678 }, 'TCP', 'allow'],
    [{ port: '5678/tcp' }, 'TCP', 'allow'],
    [{ port: '5678', protocol: 'udp' }, 'UDP', 'deny'],
    [{ port: 'api', protocol: null }, 'TCP', 'allow'],
    [{ port: '5678/tcp', protocol: 'tcp' }, 'TCP', 'allow'],
    [{ port: 'icmp', protocol: 'ICMP' }, 'ICMP', 'deny'],
    [{ protocol: 'ICMP' }, 'ICMP', 'deny'],
    [{ protocol: 'icmp', port: null }, 'ICMP', 'deny'],
  ])('accepts the port in every spelling: %j', (port, protocol, verdict) => {
    expect(answer({ from: 'app1/frontend-1', to: 'app1/backend-1', ...port })).toMatchObject({ protocol, verdict });
  });

  test('for a Service is a denial if any backend is denied', () => {
    const flow = { from: 'app1/frontend-1', to: 'app1/backend', port: 80 };
    expect(answer(flow)).toMatchObject({ port: 80, verdict: 'allow' });
    // A backend reaches itself, but not the other one.
    expect(answer({ ...flow, from: 'app1/backend-1' })).toMatchObject({
      egress: 'allow',
      ingress: 'deny',
      verdict: 'deny',
      reason: 'ingress-denied',
    });
    // The canary may send nothing, not even to the other backend.
    expect(answer({ ...flow, from: 'app1/backend-2' })).toMatchObject({
      egress: 'deny',
      ingress: 'deny',
      reason: 'egress-denied',
    });
  });

  test.each([
    ['{', /^the line is not JSON: /],
    ['[1]', 'expected a map with from, to, port and protocol, found a list'],
    ['{}', 'from: expected a pod or an address, found nothing'],
    ['{"from":"1.1.1.1","to":7}', 'to: expected a pod, a Service or an address, found the number 7'],
    ['{"from":"1.1.1.1","to":"1.1.1.2"}', 'port: missing; only ICMP flows have none'],
    ['{"from":"1.1.1.1","to":"1.1.1.2","port":true}', 'port: expected a number or a name, found the boolean true'],
    ['{"from":"1.1.1.1","to":"1.1.1.2","port":0}', '0 is not a port; ports are 1 to 65535'],
    [
      '{"from":"1.1.1.1","to":"1.1.1.2","port":1,"protocol":6}',
      'protocol: expected TCP, UDP, SCTP or ICMP, found the number 6',
    ],
    [
      '{"from":"1.1.1.1","to":"1.1.1.2","port":"5432/tcp","protocol":"UDP"}',
      'port 5432/tcp and protocol UDP contradict each other',
    ],
    [
      '{"from":"1.1.1.1","to":"1.1.1.2","port":"icmp","protocol":"TCP"}',
      'port icmp and protocol TCP contradict each other',
    ],
    [
      '{"from":"1.1.1.1","to":"1.1.1.2","port":80,"protocol":"ICMP"}',
      'port 80 and protocol ICMP contradict each other: ICMP has no ports',
    ],
    ['{"from":"app1/frontnd-1","to":"1.1.1.2","port":1}', /Did you mean app1\/frontend-1\?$/],
  ])('is an error that says what is wrong with the line %j', (line, message) => {
    expect(() => batch.answer(line)).toThrow(message);
  });
});
