import { describe, expect, it } from 'vitest';
import type { ContainerPort, PodRecord, PolicyPeer, PolicyRecord, PolicyRule } from '../../src/cluster/records.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';
import { finish } from '../../src/policy/pieces.ts';

const HTTP: ContainerPort = { name: 'http', port: 80, protocol: 'TCP' };
const NAMED = { port: 'http', protocol: 'TCP' } as const;
const label = (app: string) => ({ matchLabels: { app }, matchExpressions: [] });

let last = 0;
function pod(app: string, ports: readonly ContainerPort[], differences: Partial<PodRecord> = {}): PodRecord {
  const name = differences.name ?? `${app}-${++last}`;
  const where = {
    namespace: 'a',
    nodeName: 'here',
    addresses: [`10.0.${last >> 8}.${last & 255}`],
    hostNetwork: false,
  };
  return { kind: 'Pod', ...where, labels: { app }, ports, ...differences, name };
}

function policy(name: string, differences: Partial<PolicyRecord>): PolicyRecord {
  const isolates = [differences.egress === undefined ? 'ingress' : 'egress'] as const;
  const rules = { ingress: [], egress: [] };
  return { kind: 'NetworkPolicy', namespace: 'a', name, podSelector: label('web'), isolates, ...rules, ...differences };
}

const rule = (...peers: readonly PolicyPeer[]): PolicyRule => ({ peers, ports: [NAMED] });
const INGRESS = policy('in', { ingress: [rule()] });
const egress = (...peers: readonly PolicyPeer[]) => policy('out', { egress: [rule(...peers)] });

class Cluster {
  readonly compiler = new PolicyCompiler('here');

  set(...records: readonly (PodRecord | PolicyRecord)[]): this {
    return this.#apply('set', records);
  }

  delete(...records: readonly (PodRecord | PolicyRecord)[]): this {
    return this.#apply('delete', records);
  }

  found() {
    finish(this.compiler.unknownPortNames.look());
    return [...this.compiler.unknownPortNames.found()];
  }

  /** Returns how many policies the next look checks. */
  looks(): number {
    return [...this.compiler.unknownPortNames.look()].length;
  }

  #apply(type: 'set' | 'delete', records: readonly (PodRecord | PolicyRecord)[]): this {
    this.compiler.apply(records.map((record) => ({ type, record })));
    this.compiler.compile();
    return this;
  }
}

function names(cluster: Cluster): readonly string[] {
  return cluster.found().map(({ policy, direction, rule, port }) => `${policy.name} ${direction} ${rule} ${port}`);
}

describe('a named port of a policy', () => {
  it('is unknown if no selected pod has it for its protocol, and is reported with the names that they have', () => {
    const cluster = new Cluster().set(
      pod('web', [{ ...HTTP, protocol: 'UDP' }]),
      pod('web', [{ ...HTTP, name: 'web' }]),
      INGRESS,
    );
    expect(names(cluster)).toEqual(['in ingress 0 0']);
    expect(
      cluster
        .found()[0]
        ?.known.map(({ name, protocol }) => `${name}/${protocol}`)
        .sort(),
    ).toEqual(['http/UDP', 'web/TCP']);
  });

  it('is known if one of the selected pods has it, even on another node', () => {
    expect(names(new Cluster().set(pod('web', []), pod('web', [HTTP], { nodeName: 'there' }), INGRESS))).toEqual([]);
    const others = [pod('db', [HTTP]), pod('web', [HTTP], { namespace: 'b' })];
    expect(names(new Cluster().set(pod('web', []), ...others, INGRESS))).toEqual(['in ingress 0 0']);
  });

  it('is not reported if the policy selects no pod of this node, or is invalid', () => {
    const there = pod('web', [], { nodeName: 'there' });
    expect(names(new Cluster().set(there, INGRESS))).toEqual([]);
    expect(names(new Cluster().set(pod('web', []), { ...INGRESS, error: 'no' }))).toEqual([]);
  });

  it('is reported with its rule and entry', () => {
    const numbered = { port: 80, protocol: 'TCP' } as const;
    const ingress = [
      { peers: [], ports: [numbered] },
      { peers: [], ports: [numbered, NAMED, { ...NAMED, port: 'web' }] },
    ];
    const cluster = new Cluster().set(pod('web', [{ ...HTTP, name: 'web' }]), policy('in', { ingress }));
    expect(names(cluster)).toEqual(['in ingress 1 1']);
  });

  it('in an egress rule is looked up on the pods that it leads to', () => {
    const peer = { podSelector: label('db') };
    const web = pod('web', [HTTP]);
    expect(names(new Cluster().set(web, pod('db', []), egress(peer)))).toEqual(['out egress 0 0']);
    expect(names(new Cluster().set(web, pod('db', [HTTP]), egress(peer)))).toEqual([]);
    const namespace = { kind: 'Namespace', name: 'b', labels: { team: 'b' } } as const;
    const elsewhere = { namespaceSelector: { matchLabels: { team: 'b' }, matchExpressions: [] } };
    const far = new Cluster().set(web, pod('db', [], { namespace: 'b' }), egress(elsewhere));
    expect(names(far), 'the namespace is not known, and leads to nobody').toEqual([]);
    far.compiler.apply([{ type: 'set', record: namespace }]);
    far.compiler.compile();
    expect(names(far)).toEqual(['out egress 0 0']);
    expect(names(far.set(pod('any', [HTTP], { namespace: 'b' })))).toEqual([]);
  });

  it('in an egress rule to anywhere may be any pod’s; rules to addresses or to no pod are not checked', () => {
    expect(names(new Cluster().set(pod('web', []), egress()))).toEqual(['out egress 0 0']);
    expect(names(new Cluster().set(pod('web', []), pod('db', [HTTP], { namespace: 'b' }), egress()))).toEqual([]);
    const block = { ipBlock: { cidr: '10.0.0.0/8', except: [] } };
    expect(names(new Cluster().set(pod('web', []), egress(block)))).toEqual([]);
    expect(names(new Cluster().set(pod('web', []), egress({ podSelector: label('db') })))).toEqual([]);
  });

  it('is reported as long as it is unknown, while pods and policies come and go', () => {
    const [bare, named] = [pod('web', []), pod('web', [HTTP])];
    const cluster = new Cluster().set(bare, INGRESS);
    const [first] = cluster.found();
    expect(cluster.set(pod('web', [], { labels: { app: 'web', more: 'yes' } })).found()[0]).toBe(first);
    expect(names(cluster.set(named))).toEqual([]);
    expect(names(cluster.delete(named))).toEqual(['in ingress 0 0']);
    const [again] = cluster.found();
    expect(again).not.toBe(first);
    expect(cluster.set({ ...INGRESS }).found()[0]).not.toBe(again);
    expect(names(cluster.delete(INGRESS))).toEqual([]);
  });

  it('costs nothing if pods with the same ports come and go, nor in policies without names', () => {
    const one = pod('web', [HTTP]);
    const cluster = new Cluster().set(one, INGRESS, policy('plain', { ingress: [{ peers: [], ports: [] }] }));
    expect(cluster.looks()).toBe(1);
    expect(cluster.looks()).toBe(0);
    cluster.set(pod('web', [HTTP])).delete(one);
    expect(cluster.looks()).toBe(0);
    cluster.set(pod('db', []));
    expect(cluster.looks()).toBe(1);
  });
});
