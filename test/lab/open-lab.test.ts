/** The lab's network by itself: without agents every pod reaches every other. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Lab, type ProbeResult } from '../../src/lab/lab.ts';
import { ping } from '../../src/lab/ping.ts';
import { describeAsRoot } from '../root.ts';
import { cluster, denyIngress, pod, service } from './cluster.ts';

const PORTS = ['TCP 80 http', 'UDP 53', 'SCTP 9000'];

function dualPod(key: string, number: number, node: string) {
  return { ...pod(key, [`10.244.0.${number}`, `fd00:10:244::${number}`], ...PORTS), nodeName: node };
}

describeAsRoot('a lab without agents', () => {
  let lab: Lab;
  let results: readonly ProbeResult[];

  beforeAll(async () => {
    lab = await Lab.start({
      manifests: cluster(
        [
          { ...dualPod('app/web-1', 1, 'left'), labels: { app: 'web' } },
          { ...dualPod('app/web-2', 2, 'right'), labels: { app: 'web' } },
          dualPod('app/client', 3, 'left'),
          { ...pod('app/exporter', [], 'TCP 9100', 'UDP 9100'), hostNetwork: true, nodeName: 'right' },
        ],
        [
          service(
            'app/web',
            ['10.96.0.1', 'fd00:10:96::1'],
            { app: 'web' },
            'TCP 8080 http 30080',
            'UDP 53 53 30053',
            'SCTP 90 9000 30090',
          ),
          service('app/exporter', ['10.96.0.2'], { app: 'exporter' }, 'TCP 80 9100'),
          service('app/nobody', ['10.96.0.3'], { app: 'nobody' }, 'TCP 80'),
        ],
      ),
      externals: [
        { name: 'outsider', address: '203.0.113.9' },
        { name: 'outsider', address: '2001:db8::9' },
      ],
      agents: false,
    });
    results = await lab.probe();
  });
  afterAll(() => lab?.stop());

  const answered = (filter: (result: ProbeResult) => boolean) => {
    const found = results.filter(filter);
    expect(found).not.toEqual([]);
    expect(found.filter(({ observed }) => observed !== 'allow')).toEqual([]);
    return found;
  };

  test('every probe of every kind is answered by its target pod', () => {
    expect(results.filter(({ observed }) => observed !== 'allow')).toEqual([]);
    const kinds = new Set(
      results.map(({ protocol, via, address }) => `${protocol} ${via} ${address.includes(':') ? 6 : 4}`),
    );
    const protocols = ['TCP', 'UDP', 'SCTP'];
    const ways = ['pod', 'cluster-ip', 'node-port'];
    expect([...kinds].sort()).toEqual(
      protocols.flatMap((protocol) => ways.flatMap((way) => [`${protocol} ${way} 4`, `${protocol} ${way} 6`])).sort(),
    );
  });

  test('a Service is probed once for each backend, from every pod, including the backends', () => {
    const probes = answered(
      ({ to, protocol, via, address }) =>
        to === 'service/app/web' && protocol === 'SCTP' && via === 'cluster-ip' && !address.includes(':'),
    );
    expect(probes.map(({ from, pod: backend }) => `${from} ${backend}`).sort()).toEqual(
      ['app/client', 'app/exporter', 'app/web-1', 'app/web-2'].flatMap((from) => [
        `${from} app/web-1`,
        `${from} app/web-2`,
      ]),
    );
  });

  test('a pod keeps its address on the way to another one, through a Service too', () => {
    for (const { detail } of answered(
      ({ from, pod: to, address }) => from === 'app/client' && to === 'app/web-2' && address.includes('.'),
    )) {
      expect(detail).toBe('seen as 10.244.0.3');
    }
  });

  test('a pod reaches itself through its Service with its node’s address, as kube-proxy masquerades it', () => {
    const node = lab.node('left').addresses;
    for (const { detail } of answered(
      ({ from, to, pod: backend }) => from === 'app/web-1' && to === 'service/app/web' && backend === from,
    )) {
      expect(node).toContain(detail.replace('seen as ', ''));
    }
  });

  test('a node port leads to the pods of every node, and they see the node that was asked', () => {
    const [left] = lab.node('left').addresses;
    const probes = answered(
      ({ via, address, protocol, pod: backend }) =>
        via === 'node-port' && address === left && protocol === 'TCP' && backend === 'app/web-2',
    );
    expect(probes.map(({ from, port, detail }) => ({ from, port, detail }))).toEqual([
      { from: 'outsider', port: 30080, detail: `seen as ${left}` },
    ]);
  });

  test('a pod of the host network has the addresses of its node', () => {
    expect(lab.pod('exporter').addresses).toEqual(lab.node('right').addresses);
    answered(({ to }) => to === 'app/exporter');
  });

  test('a Service without endpoints refuses, and is listed instead of probed', async () => {
    expect(lab.notes).toEqual(['Service app/nobody has no endpoints, so it is not probed']);
    const { code, stderr } = await lab.exec('client', ['bash', '-c', ': </dev/tcp/10.96.0.3/80']);
    expect(code).not.toBe(0);
    expect(stderr).toContain('refused');
  });

  test('echo requests and fragments pass between nodes and from outside, in both families', async () => {
    const from = lab.pod('client');
    expect(await ping(from, '10.244.0.2')).toBe(true);
    expect(await ping(from, 'fd00:10:244::2', ['-s', '4000'])).toBe(true);
    expect(await ping(lab.external('outsider'), '10.244.0.2', ['-s', '4000'])).toBe(true);
  });

  test('no packet leaves the lab', async () => {
    expect(await ping(lab.pod('client'), '192.0.2.1')).toBe(false);
    const { stdout } = await lab.exec('client', ['cat', '/sys/class/net/eth0/iflink', '/proc/net/route']);
    expect(stdout).toContain('eth0');
  });

  test('every probe is a new connection, with another source port', async () => {
    const ports: string[] = [];
    for (let i = 0; i < 3; i++) {
      await lab.probe({ from: 'app/client', to: 'app/web-1', protocol: 'TCP' });
      const { stdout } = await lab.exec('client', ['cat', '/proc/net/tcp']);
      // The closing side keeps the connection in TIME_WAIT (06) under its port.
      ports.push(...stdout.matchAll(/0300F40A:(\w+) 0100F40A:0050 06/g).map((match) => match[1] ?? ''));
    }
    expect(new Set(ports).size).toBeGreaterThanOrEqual(3);
  });
});

describeAsRoot('a lab that changes', () => {
  test('pods come and go while it runs, and Services follow them', async () => {
    const web = service('app/web', ['10.96.0.1'], { app: 'web' }, 'TCP 8080 80');
    const first = { ...pod('app/web-1', ['10.244.0.1'], 'TCP 80'), labels: { app: 'web' } };
    const second = { ...pod('app/web-2', ['10.244.0.2'], 'TCP 80'), labels: { app: 'web' } };
    const client = pod('app/client', ['10.244.0.3']);
    const lab = await Lab.start({ manifests: cluster([first, client], [web]), nodes: 2, agents: false });
    try {
      const backends = async () => {
        const results = await lab.probe({ from: 'app/client', to: 'service/app/web' });
        expect(results.filter(({ observed }) => observed !== 'allow')).toEqual([]);
        return results.map((result) => result.pod);
      };
      expect(await backends()).toEqual(['app/web-1']);
      await lab.apply([{ type: 'set', record: second }]);
      expect(await backends()).toEqual(['app/web-1', 'app/web-2']);
      await lab.apply([{ type: 'delete', record: first }]);
      expect(await backends()).toEqual(['app/web-2']);
      await lab.apply(cluster([first, client], [web]));
      expect(await backends()).toEqual(['app/web-1']);
      expect(lab.pods.map(({ name }) => name)).toEqual(['app/client', 'app/web-1']);
    } finally {
      await lab.stop();
    }
  });

  test('a pod is reached at its new address, and its old one at once belongs to another pod', async () => {
    const x = pod('a/x', ['10.244.0.1'], 'TCP 80');
    const y = pod('a/y', ['10.244.0.2'], 'TCP 80');
    const lab = await Lab.start({ manifests: cluster([x, y]), nodes: ['left', 'right'], agents: false });
    try {
      await lab.apply([
        { type: 'set', record: { ...x, addresses: ['10.244.0.2'] } },
        { type: 'set', record: { ...y, addresses: ['10.244.0.3'] } },
      ]);
      expect(await lab.probe()).toMatchObject([
        { from: 'a/x', to: 'a/y', address: '10.244.0.3', observed: 'allow' },
        { from: 'a/y', to: 'a/x', address: '10.244.0.2', observed: 'allow' },
      ]);
    } finally {
      await lab.stop();
    }
  });

  test('expectations change with the policies, even without an agent', async () => {
    const manifests = cluster([pod('a/x', ['10.244.0.1'], 'TCP 80'), pod('a/y', ['10.244.0.2'])]);
    const lab = await Lab.start({ manifests, agents: false });
    try {
      expect(await lab.probe()).toMatchObject([{ from: 'a/y', to: 'a/x', expected: 'allow', observed: 'allow' }]);
      await lab.apply([{ type: 'set', record: denyIngress('a/none', { app: 'x' }) }]);
      expect(await lab.probe()).toMatchObject([{ from: 'a/y', to: 'a/x', expected: 'deny', observed: 'allow' }]);
    } finally {
      await lab.stop();
    }
  });

  test('if two pods of a host network want the same port, only the first one is probed', async () => {
    const one = { ...pod('a/one', [], 'TCP 80', 'UDP 53'), hostNetwork: true };
    const two = { ...pod('a/two', [], 'TCP 80', 'UDP 53', 'TCP 81'), hostNetwork: true };
    const lab = await Lab.start({
      manifests: cluster([one, two, pod('a/client', ['10.244.0.1'])]),
      nodes: 1,
      agents: false,
    });
    try {
      const results = await lab.probe({ from: 'a/client' });
      expect(results.map(({ to, port, observed }) => `${to} ${port} ${observed}`)).toEqual([
        'a/one 53 allow',
        'a/one 80 allow',
        'a/two 81 allow',
      ]);
    } finally {
      await lab.stop();
    }
  });
});
