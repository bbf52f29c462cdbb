import { expect, test } from 'vitest';
import { listeningPorts, servicePorts } from '../../src/cluster/service-ports.ts';
import { pod, service } from '../lab/cluster.ts';

const web1 = pod('a/web1', ['10.0.0.1', 'fd00::1'], 'TCP 8080 http', 'UDP 8081 http');
const web2 = { ...pod('a/web2', ['10.0.0.2'], 'TCP 9090 http'), labels: { app: 'web1' } };
const stranger = { ...pod('b/web', ['10.0.0.3'], 'TCP 8080 http'), labels: { app: 'web1' } };

function backends(...services: Parameters<typeof servicePorts>[0][number][]) {
  return servicePorts(services, [web1, web2, stranger]).map((port) =>
    port.backends.map((backend) => `${backend.pod} ${backend.address} ${backend.port}`),
  );
}

test('endpoints are the selected pods of the same namespace with an address of the family', () => {
  expect(backends(service('a/s', ['10.96.0.1', 'fd00:96::1'], { app: 'web1' }, 'TCP 80 80'))).toEqual([
    ['a/web1 10.0.0.1 80', 'a/web2 10.0.0.2 80'],
    ['a/web1 fd00::1 80'],
  ]);
});

test('a named target port is each pod’s container port of that name and protocol', () => {
  const selector = { app: 'web1' };
  expect(backends(service('a/s', ['10.96.0.1'], selector, 'TCP 80 http', 'UDP 80 http', 'SCTP 80 http'))).toEqual([
    ['a/web1 10.0.0.1 8080', 'a/web2 10.0.0.2 9090'],
    ['a/web1 10.0.0.1 8081'],
    [],
  ]);
});

test('a Service without a selector has no endpoints, and a headless one has no ports to translate', () => {
  expect(backends(service('a/s', ['10.96.0.1'], {}, 'TCP 80 80'))).toEqual([[]]);
  expect(backends(service('a/s', [], { app: 'web1' }, 'TCP 80 80'))).toEqual([]);
});

test('a pod listens on its container ports and on the target ports of Services, each once', () => {
  const ports = servicePorts([service('a/s', ['10.96.0.1'], { app: 'web1' }, 'TCP 80 http', 'TCP 81 7777')], [web1]);
  expect(listeningPorts(web1, ports)).toEqual([
    { protocol: 'TCP', port: 7777 },
    { protocol: 'TCP', port: 8080 },
    { protocol: 'UDP', port: 8081 },
  ]);
});
