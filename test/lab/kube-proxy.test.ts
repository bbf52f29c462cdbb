import { expect, test } from 'vitest';
import { servicePorts } from '../../src/cluster/service-ports.ts';
import { renderServices } from '../../src/lab/kube-proxy.ts';
import { AF_INET, AF_INET6 } from '../../src/sys/libc.ts';
import { pod, service } from './cluster.ts';

const pods = ['1', '2', '3'].map((n) => ({
  ...pod(`a/web-${n}`, [`10.0.0.${n}`, `fd00::${n}`]),
  labels: { app: 'web' },
}));

function rules(family: number, ...services: Parameters<typeof servicePorts>[0][number][]): string[] {
  return renderServices(servicePorts(services, pods), family)
    .input.split('\n')
    .filter((line) => line.startsWith('-A'));
}

test('every backend of a Service has the same chance', () => {
  const found = rules(AF_INET, service('a/web', ['10.96.0.1'], { app: 'web' }, 'TCP 80 8080'));
  const chances = found
    .filter((rule) => /^-A LAB-SVC-0 (-m|-j)/.test(rule))
    .map((rule) => rule.replace('-A LAB-SVC-0 ', ''));
  expect(chances).toEqual([
    '-m statistic --mode random --probability 0.3333333333 -j LAB-SEP-0-0',
    '-m statistic --mode random --probability 0.5000000000 -j LAB-SEP-0-1',
    '-j LAB-SEP-0-2',
  ]);
});

test('each family gets the rules of its own addresses', () => {
  const both = service('a/web', ['10.96.0.1', 'fd00:96::1'], { app: 'web' }, 'UDP 53 53');
  expect(rules(AF_INET, both)).toContain('-A LAB-SEP-0-0 -p udp -j DNAT --to-destination 10.0.0.1:53');
  expect(rules(AF_INET, both).join()).not.toContain('fd00');
  expect(rules(AF_INET6, both)).toContain('-A LAB-SEP-1-2 -p udp -j DNAT --to-destination [fd00::3]:53');
  expect(rules(AF_INET6, both).join()).not.toContain('10.96');
});

test('traffic back to its own sender, and through a node port, is masqueraded', () => {
  const found = rules(AF_INET, service('a/web', ['10.96.0.1'], { app: 'web' }, 'TCP 80 8080 30080'));
  expect(found).toContain('-A LAB-SEP-0-1 -s 10.0.0.2 -j MARK --or-mark 0x4000');
  expect(found).toContain('-A LAB-NODEPORTS -p tcp --dport 30080 -j LAB-EXT-0');
  expect(found).toContain('-A LAB-EXT-0 -j MARK --or-mark 0x4000');
});

test('a Service without endpoints is refused, at its node port too', () => {
  const found = rules(AF_INET6, service('a/none', ['fd00:96::1'], { app: 'none' }, 'TCP 80 80 30080'));
  expect(found.filter((rule) => rule.includes('REJECT'))).toEqual([
    '-A LAB-REFUSED -d fd00:96::1 -p tcp --dport 80 -j REJECT --reject-with icmp6-port-unreachable',
    '-A LAB-REFUSED -m addrtype --dst-type LOCAL -p tcp --dport 30080 -j REJECT --reject-with icmp6-port-unreachable',
  ]);
});

test('a later version writes only its own chains, and deletes those that are gone', () => {
  const web = servicePorts([service('a/web', ['10.96.0.1'], { app: 'web' }, 'TCP 80 8080 30080')], pods);
  const before = renderServices(web, AF_INET);
  expect(before.input).toContain('-A PREROUTING -j LAB-SERVICES');
  const lines = renderServices([], AF_INET, before).input.split('\n');
  expect(lines.filter((line) => /PREROUTING|FORWARD|:(IN|OUT)PUT/.test(line))).toEqual([]);
  expect(lines.filter((line) => line.startsWith('-X'))).toEqual(
    ['SVC-0', 'EXT-0', 'SEP-0-0', 'SEP-0-1', 'SEP-0-2'].map((chain) => `-X LAB-${chain}`),
  );
});
