import { describe, expect, it } from 'vitest';
import { addressWords } from '../../src/policy/address-words.ts';
import { WholeCluster } from '../../src/traffic/whole-cluster.ts';
import { denyIngress, pod, service } from '../lab/cluster.ts';

const words = (address: string) => addressWords(address) ?? [];
const web = { ...pod('shop/web', ['10.0.0.1']), nodeName: 'node-1' };
const proxy = { ...pod('kube-system/proxy', ['172.18.0.2']), nodeName: 'node-1', hostNetwork: true };

function cluster(): WholeCluster {
  const snapshot = { namespaces: [], pods: [web, proxy], policies: [] };
  const nodes = [{ name: 'node-2', addresses: ['172.18.0.3'] }];
  return new WholeCluster(snapshot, [service('shop/db', ['10.96.0.9'], { app: 'db' }, 'TCP 80')], nodes);
}

describe('a whole cluster', () => {
  it('distinguishes the addresses of pods, nodes and Services', () => {
    expect(cluster().compile().places).toEqual({
      hosts: [
        { address: words('10.0.0.1'), node: 'node-1', isNode: false },
        { address: words('172.18.0.2'), node: 'node-1', isNode: true },
        { address: words('172.18.0.3'), node: 'node-2', isNode: true },
      ],
      services: [words('10.96.0.9')],
    });
    expect(cluster().endAt('10.0.0.1')).toMatchObject({ kind: 'pod', name: 'web', node: 'node-1' });
    expect(cluster().endAt('172.18.0.3')).toMatchObject({ kind: 'node', name: 'node-2' });
  });

  it('has the pods of every node as endpoints', () => {
    const { table } = cluster().compile();
    expect(table.isEndpoint(table.lookup4(words('10.0.0.1')[0] as number))).toBe(true);
    expect(table.isEndpoint(table.lookup4(words('172.18.0.2')[0] as number))).toBe(false);
  });

  it('changes with its records, including names', () => {
    const changing = cluster();
    const moved = { ...web, addresses: ['10.0.0.7'] };
    changing.endAt('10.0.0.1');
    changing.apply([
      { type: 'set', record: moved },
      { type: 'set', record: denyIngress('shop/web', { app: 'web' }) },
    ]);
    const { table } = changing.compile();
    expect(table.isIsolated(table.lookup4(words('10.0.0.7')[0] as number), 1)).toBe(true);
    expect(changing.endAt('10.0.0.7')).toMatchObject({ name: 'web' });
    expect(changing.endAt('10.0.0.1')).toMatchObject({ kind: 'address' });
    expect(changing.attribution.isolating('10.0.0.7', 'ingress')).toHaveLength(1);
    const now = { namespaces: [], pods: [moved, proxy], policies: [] };
    expect(changing.replace(now)).toBe(true);
    expect(changing.replace(now)).toBe(false);
  });
});
