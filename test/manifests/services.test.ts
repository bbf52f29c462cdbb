import { describe, expect, it } from 'vitest';
import { load, problemsOf } from './manifest-files.ts';

const service = (spec: string, name = 'web') => `---
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: shop}
spec: ${spec}
`;

async function read(text: string, options = {}) {
  const { services, problems } = await load(text, options);
  expect(problems).toEqual([]);
  return services;
}

describe('a Service', () => {
  it('is read with all its fields', async () => {
    const spec =
      '{selector: {app: web}, clusterIP: 10.96.0.7, ports: [{name: http, port: 80, targetPort: web}, {name: dns, port: 53, protocol: UDP}]}';
    expect(await read(service(spec))).toEqual([
      {
        namespace: 'shop',
        name: 'web',
        type: 'ClusterIP',
        clusterIPs: ['10.96.0.7'],
        ports: [
          { name: 'http', protocol: 'TCP', port: 80, targetPort: 'web' },
          { name: 'dns', protocol: 'UDP', port: 53, targetPort: 53 },
        ],
        selector: { app: 'web' },
        headless: false,
      },
    ]);
  });

  it('gets a cluster address by its name, whatever else exists', async () => {
    const [alone] = await read(service('{ports: [{port: 80}]}'));
    const all = await read(service('{ports: [{port: 80}]}', 'api') + service('{ports: [{port: 80}]}'));
    expect(alone?.clusterIPs).toEqual([expect.stringMatching(/^10\.96\./)]);
    expect(all.find(({ name }) => name === 'web')).toEqual(alone);
  });

  it('does not get a cluster address that another Service names', async () => {
    const [alone] = await read(service('{ports: [{port: 80}]}'));
    const both = await read(
      service('{ports: [{port: 80}]}') + service(`{clusterIP: ${alone?.clusterIPs[0]}, ports: [{port: 80}]}`, 'zz'),
    );
    expect(new Set(both.flatMap(({ clusterIPs }) => clusterIPs)).size).toBe(2);
  });

  it.each<[string, object, RegExp[]]>([
    ['{ports: [{port: 80}]}', { families: ['IPv6', 'IPv4'] }, [/^fd00:10:96::/]],
    ['{ports: [{port: 80}], ipFamilies: [IPv4]}', { families: ['IPv6', 'IPv4'] }, [/^10\.96\./]],
    [
      '{ports: [{port: 80}], ipFamilyPolicy: PreferDualStack}',
      { families: ['IPv4', 'IPv6'] },
      [/^10\.96\./, /^fd00:10:96::/],
    ],
    ['{ports: [{port: 80}], ipFamilyPolicy: PreferDualStack}', {}, [/^10\.96\./]],
    ['{ports: [{port: 80}], ipFamilies: [IPv6, IPv4]}', { families: ['IPv4', 'IPv6'] }, [/^fd00:10:96::/, /^10\.96\./]],
    ['{ports: [{port: 80}], clusterIPs: [10.1.1.1, "FD00::1"]}', {}, [/^10\.1\.1\.1$/, /^fd00::1$/]],
    ['{ports: [{port: 80}], clusterIPs: [10.1.1.010]}', {}, [/^10\.1\.1\.10$/]],
    ['{ports: [{port: 80}]}', { serviceRanges: ['172.30.0.0/16'] }, [/^172\.30\./]],
    [
      '{ports: [{port: 80}], ipFamilies: [IPv4, IPv6], clusterIPs: [10.1.1.1, "fd00::1"]}',
      {},
      [/^10\.1\.1\.1$/, /^fd00::1$/],
    ],
    ['{ports: [{port: 80}], ipFamilies: [IPv6], clusterIP: None}', {}, []],
    ['{ports: [{port: 80}], clusterIP: None}', {}, []],
    ['{clusterIPs: [None]}', {}, []],
  ])('%s with %j has the addresses %j', async (spec, options, expected) => {
    const [{ clusterIPs } = { clusterIPs: [] }] = await read(service(spec), options);
    expect(clusterIPs).toEqual(expected.map((pattern) => expect.stringMatching(pattern)));
  });

  it('is headless without a cluster address', async () => {
    expect(await read(service('{clusterIP: None}'))).toMatchObject([{ headless: true, clusterIPs: [] }]);
  });

  it.each([
    ['NodePort', true],
    ['LoadBalancer', true],
    ['ClusterIP', false],
  ])('of type %s has node ports: %s', async (type, has) => {
    const [port] = (await read(service(`{type: ${type}, ports: [{port: 80}]}`)))[0]?.ports ?? [];
    if (has) {
      expect(port?.nodePort).toBeGreaterThanOrEqual(30000);
      expect(port?.nodePort).toBeLessThanOrEqual(32767);
    } else expect(port).not.toHaveProperty('nodePort');
  });

  it('keeps the node port that it names, and no other Service gets it', async () => {
    const [free] = await read(service('{type: NodePort, ports: [{port: 80}]}'));
    const wanted = free?.ports[0]?.nodePort;
    const both = await read(
      service('{type: NodePort, ports: [{port: 80}]}') +
        service(`{type: NodePort, ports: [{port: 80, nodePort: ${wanted}}]}`, 'other'),
    );
    const [other, web] = both.map(({ ports }) => ports[0]?.nodePort);
    expect(other).toBe(wanted);
    expect(web).not.toBe(wanted);
  });

  it('without a selector selects no pods', async () => {
    expect((await read(service('{ports: [{port: 80}]}')))[0]?.selector).toEqual({});
  });

  it('of type ExternalName is skipped and counted', async () => {
    const { services, skipped } = await load(service('{type: ExternalName, externalName: example.com}'));
    expect(services).toEqual([]);
    expect([...skipped]).toEqual([['Service (ExternalName)', 1]]);
  });
});

describe('what is wrong with a Service', () => {
  it.each<[string, string]>([
    [
      '{ports: [{port: 99999}]}',
      '5:23  Service shop/web  spec.ports[0].port: 99999 is not a port; ports are 1 to 65535. Did you mean 9999?',
    ],
    ['{ports: [{targetPort: 80}]}', '5:16  Service shop/web  spec.ports[0].port: the Service port has no number'],
    [
      '{ports: [{port: 80, targetPort: "80"}]}',
      '5:39  Service shop/web  spec.ports[0].targetPort: "80" in quotes is a port name, and names need a letter. Did you mean 80, without quotes?',
    ],
    [
      '{ports: [{port: 80, name: a}, {port: 81}]}',
      '5:37  Service shop/web  spec.ports[1].name: a Service with several ports needs a name for each',
    ],
    ['{}', '5:1  Service shop/web  spec.ports: the Service has no ports'],
    [
      '{type: Nodeport, ports: [{port: 80}]}',
      '5:14  Service shop/web  spec.type: there is no Service type "Nodeport"; types are ClusterIP, NodePort, LoadBalancer, ExternalName. Did you mean NodePort?',
    ],
    [
      '{type: NodePort, ports: [{port: 80, nodePort: 8080}]}',
      '5:53  Service shop/web  spec.ports[0].nodePort: 8080 is not a node port; node ports are 30000 to 32767. Leave it out to get one.',
    ],
    [
      '{clusterIP: none, ports: [{port: 80}]}',
      '5:19  Service shop/web  spec.clusterIP: "none" is not an IP address. Did you mean None?',
    ],
    [
      '{ports: [{port: 80}], ipFamilies: [IPv6]}',
      '5:42  Service shop/web  spec.ipFamilies[0]: this cluster has no IPv6 addresses',
    ],
    [
      '{ports: [{port: 80}], ipFamilies: [ipv4]}',
      '5:42  Service shop/web  spec.ipFamilies[0]: expected IPv4 or IPv6, found the text "ipv4". Did you mean IPv4?',
    ],
    [
      '{ports: [{port: 80}], selector: {app: 1}}',
      '5:45  Service shop/web  spec.selector.app: expected a text, found the number 1. Write it in quotes.',
    ],
  ])('%s', async (spec, expected) => {
    expect(await problemsOf(service(spec))).toEqual([expected]);
  });
});
