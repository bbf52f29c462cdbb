import { describe, expect, test } from 'vitest';
import type { IpBlock, PolicyPeer } from '../../src/cluster/records.ts';
import { dependsOnAssigned, NONE_ASSIGNED } from '../../src/explain/assigned-addresses.ts';
import { allow, matching, tcp } from '../policy/records.ts';
import { explained, policyFor, sentences, snapshotWith } from './cluster.ts';

const FLOW = ['app1/frontend-1', 'app1/backend-1', '5678/tcp'] as const;
const ASSIGNED = { addresses: new Set(['10.0.0.1', '10.9.0.3']), ranges: [] };

function block(cidr: string, ...except: readonly string[]): { readonly ipBlock: IpBlock } {
  return { ipBlock: { cidr, except } };
}

function backend(...peers: readonly PolicyPeer[]) {
  return policyFor('backend', 'backend', { ingress: [allow(peers, [tcp(5678)])] });
}

function explainedWith(
  policy: ReturnType<typeof backend>,
  ranges: readonly string[] = [],
  flow: typeof FLOW | readonly [string, string, string] = FLOW,
) {
  return explained([policy], flow, { assigned: { ...ASSIGNED, ranges } });
}

/** Whether a note says that the verdict depends on a made-up address. */
function isTold(...question: Parameters<typeof explainedWith>): boolean {
  return explainedWith(...question).notes.some((note) => note.includes('made up'));
}

describe('an address that is not in the manifests', () => {
  test('is mentioned if an ipBlock decides by it, whatever the verdict', () => {
    const note =
      'The address of app1/frontend-1 is not known: 10.0.0.1 is made up. An ipBlock of app1/backend depends on it, so the ingress verdict may differ in the cluster.';
    for (const [policy, verdict] of [
      [backend(block('10.0.0.0/8')), 'allow'],
      [backend(block('0.0.0.0/0', '10.0.0.0/17')), 'deny'],
      [backend(block('192.168.0.0/16')), 'deny'],
    ] as const) {
      const { verdict: is, notes } = explainedWith(policy);
      expect({ is, notes }).toEqual({ is: verdict, notes: [note] });
    }
  });

  test('is not mentioned if it makes no difference', () => {
    expect(isTold(backend({ podSelector: matching({ role: 'frontend' }) }, block('10.0.0.0/8')))).toBe(false);
    expect(isTold(backend(block('0.0.0.0/0')))).toBe(false);
    expect(isTold(backend(block('10.1.2.3/32'), block('192.0.2.0/24'), block('fd00::/8')))).toBe(false);
    expect(isTold(backend(block('10.0.0.0/8')), [], ['app1/frontend-1', 'app1/backend-1', '80'])).toBe(false);
    expect(isTold(backend(block('10.0.0.0/8')), [], ['app2/stranger', 'app1/backend-1', '5678'])).toBe(false);
  });

  test('makes no difference if its range is known and no block divides it', () => {
    const divided = backend(block('0.0.0.0/0', '10.0.0.0/17'));
    expect(isTold(divided, ['10.0.0.0/16'])).toBe(true);
    expect(isTold(divided, ['10.0.0.0/17'])).toBe(false);
    expect(isTold(backend(block('192.168.0.0/16')), ['10.0.0.0/16'])).toBe(false);
  });

  test('is no near miss of an ipBlock', () => {
    const policy = backend(block('10.0.1.0/24'));
    expect(sentences(explainedWith(policy).sides.ingress)).toEqual([]);
    expect(sentences(explained([policy], FLOW).sides.ingress)).toHaveLength(1);
    const both = backend({ podSelector: matching({ role: 'web' }) }, block('10.0.1.0/24'));
    expect(sentences(explainedWith(both).sides.ingress)[0]).toContain('from pods with role=web; frontend-1 has');
  });

  test('appears in a suggestion only with a note about it', () => {
    const { suggestion } = explainedWith(backend(), [], ['app1/host', 'app1/backend-1', '80']);
    expect(suggestion?.yaml).toContain('10.9.0.3/32');
    expect(suggestion?.notes[0]).toBe(
      '10.9.0.3 is made up because the address of app1/host is not known: replace it with the real one.',
    );
    const selecting = explainedWith(backend(block('10.0.1.0/24'))).suggestion;
    expect({ isSelector: selecting?.yaml.includes('role: frontend'), notes: selecting?.notes }).toEqual({
      isSelector: true,
      notes: [],
    });
  });

  test('makes a difference only to policies whose ipBlocks may match it', () => {
    const depends = (peer: PolicyPeer) => dependsOnAssigned(snapshotWith([backend(peer)]), ASSIGNED);
    expect([depends(block('10.0.0.0/8')), depends(block('192.0.2.0/24'))]).toEqual([true, false]);
    expect(dependsOnAssigned(snapshotWith([backend(block('10.0.0.0/8'))]), NONE_ASSIGNED)).toBe(false);
  });
});
