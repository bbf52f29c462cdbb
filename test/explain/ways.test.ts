import { describe, expect, test } from 'vitest';
import { Ends } from '../../src/explain/ends.ts';
import { endName } from '../../src/explain/flow-end.ts';
import { FlowError } from '../../src/explain/flow-error.ts';
import { parsePort } from '../../src/explain/port-query.ts';
import { waysOf } from '../../src/explain/ways.ts';
import { service } from '../lab/cluster.ts';
import { namespace, pod } from '../policy/records.ts';

const web = pod(
  'shop/web-1',
  '10.0.0.1',
  { app: 'web' },
  {
    addresses: ['10.0.0.1', 'fd00::1'],
    ports: [
      { name: 'http', port: 8080, protocol: 'TCP' },
      { name: 'dns', port: 53, protocol: 'UDP' },
      { name: 'dns', port: 5353, protocol: 'TCP' },
    ],
  },
);
const snapshot = {
  namespaces: [namespace('shop'), namespace('other')],
  pods: [
    web,
    pod('shop/web-2', '10.0.0.2', { app: 'web' }, { ports: [{ name: 'http', port: 9090, protocol: 'TCP' }] }),
    pod('other/web-1', '10.0.0.3', {}),
    pod('shop/six', 'fd00::6', {}),
    pod('shop/done', '', {}, { addresses: [] }),
    pod('shop/host', '10.9.0.1', {}, { hostNetwork: true, nodeName: 'node-1' }),
    pod('shop/same', '10.0.0.7', { app: 'same' }),
    pod('shop/both', '10.0.0.8', { app: 'both' }, { ports: [{ name: 'http', port: 80, protocol: 'TCP' }] }),
  ],
  policies: [],
};
const ends = new Ends(snapshot, [
  service('shop/web', ['10.96.0.1', 'fd00:96::1'], { app: 'web' }, 'TCP 80 http', 'UDP 53 dns'),
  service('shop/headless', [], { app: 'web' }, 'TCP 80 http'),
  service('shop/empty', ['10.96.0.2'], { app: 'nobody' }, 'TCP 80'),
  service('shop/same', ['10.96.0.3'], { app: 'web' }, 'TCP 80 http'),
  {
    ...service('shop/both', ['10.96.0.5'], { app: 'both' }),
    ports: [
      { name: 'plain', protocol: 'TCP', port: 80, targetPort: 80 },
      { name: 'tls', protocol: 'TCP', port: 443, targetPort: 8443 },
    ],
  },
  service('shop/elsewhere', ['10.96.0.4'], {}, 'TCP 80'),
]);

/** Returns each way as `from address -> to address port`. */
function ways(from: string, to: string, port: string): readonly string[] {
  return waysOf(ends, from, to, parsePort(port)).ways.map(
    (way) => `${way.from.address} -> ${way.to.address} ${way.port}`,
  );
}

function mistake(from: string, to: string, port: string): string {
  try {
    return `no error: ${ways(from, to, port).join(', ')}`;
  } catch (error) {
    if (!(error instanceof FlowError)) throw error;
    return `${error.code}: ${error.message}`;
  }
}

describe('the ways of a flow', () => {
  test.each([
    ['pods by name, by each family that both have', ['shop/web-1', 'shop/web-2', '80'], ['10.0.0.1 -> 10.0.0.2 80']],
    ['the same name for both families', ['shop/six', 'shop/web-1', '80'], ['fd00::6 -> fd00::1 80']],
    ['a pod by a name that no other has', ['web-2', 'shop/web-1', '80'], ['10.0.0.2 -> 10.0.0.1 80']],
    ['addresses in any spelling', ['FD00:0::6', '2001:db8::0:1', '80'], ['fd00::6 -> 2001:db8::1 80']],
    ['a named port of the destination', ['10.1.1.1', 'shop/web-1', 'http'], ['10.1.1.1 -> 10.0.0.1 8080']],
    ['a named port of a protocol', ['10.1.1.1', 'shop/web-1', 'dns/tcp'], ['10.1.1.1 -> 10.0.0.1 5353']],
    [
      'a Service, translated on each pod',
      ['shop/web-2', 'shop/web', '80'],
      ['10.0.0.2 -> 10.0.0.1 8080', '10.0.0.2 -> 10.0.0.2 9090'],
    ],
    [
      'a Service by its address',
      ['1.1.1.1', '10.96.0.1', '80'],
      ['1.1.1.1 -> 10.0.0.1 8080', '1.1.1.1 -> 10.0.0.2 9090'],
    ],
    ['those of its pods that have the port', ['1.1.1.1', 'shop/web', '53/udp'], ['1.1.1.1 -> 10.0.0.1 53']],
    [
      'a headless Service, as it is',
      ['1.1.1.1', 'shop/headless', '7'],
      ['1.1.1.1 -> 10.0.0.1 7', '1.1.1.1 -> 10.0.0.2 7'],
    ],
    [
      'a Service with the port rather than a pod of its name without it',
      ['1.1.1.1', 'shop/same', '80'],
      ['1.1.1.1 -> 10.0.0.1 8080', '1.1.1.1 -> 10.0.0.2 9090'],
    ],
    [
      'a pod rather than a Service of its name that has no such port',
      ['1.1.1.1', 'shop/same', '81'],
      ['1.1.1.1 -> 10.0.0.7 81'],
    ],
    [
      'a pod rather than a Service of the same name if both have the port',
      ['1.1.1.1', 'shop/both', '80'],
      ['1.1.1.1 -> 10.0.0.8 80'],
    ],
    ['a pod to whose port Services send', ['1.1.1.1', 'shop/both', '8443'], ['1.1.1.1 -> 10.0.0.8 8443']],
    ['the Service of the port that has this name', ['1.1.1.1', 'shop/both', 'tls'], ['1.1.1.1 -> 10.0.0.8 8443']],
    ['a pod rather than a Service of its name for ICMP', ['1.1.1.1', 'shop/both', 'icmp'], ['1.1.1.1 -> 10.0.0.8 -1']],
    ['a pod that is called one', ['1.1.1.1', 'pod/shop/same', '80'], ['1.1.1.1 -> 10.0.0.7 80']],
    [
      'a Service that is called one',
      ['1.1.1.1', 'service/shop/same', '80'],
      ['1.1.1.1 -> 10.0.0.1 8080', '1.1.1.1 -> 10.0.0.2 9090'],
    ],
    ['ICMP', ['shop/web-2', 'shop/web-1', 'icmp'], ['10.0.0.2 -> 10.0.0.1 -1']],
  ] as const)('are found for %s', (_, [from, to, port], expected) => {
    expect(ways(from, to, port)).toEqual(expected);
  });

  test('have the port’s protocol, and the port as the sender uses it', () => {
    expect(waysOf(ends, '1.1.1.1', 'shop/web', parsePort('53/udp'))).toMatchObject({
      protocol: 'UDP',
      port: 53,
      to: 'service/shop/web',
    });
    expect(waysOf(ends, '1.1.1.1', 'shop/web-1', parsePort('dns'))).toMatchObject({ protocol: 'UDP', port: 53 });
  });

  test('mention the other one if a pod and a Service share a name', () => {
    const noteOf = (to: string, port: string) => waysOf(ends, '1.1.1.1', to, parsePort(port)).note;
    expect(noteOf('shop/same', '80')).toBe(
      'Service shop/same has port 80, the pod of that name does not: write pod/shop/same to ask about the pod.',
    );
    expect(noteOf('shop/same', '81')).toBe(
      'There is a Service shop/same as well: write service/shop/same to ask about it.',
    );
    for (const to of ['pod/shop/same', 'service/shop/same', 'shop/web']) expect(noteOf(to, '80')).toBeUndefined();
  });

  test('end at the pods and nodes with the given addresses', () => {
    expect(endName(ends.at('10.0.0.2'))).toBe('shop/web-2');
    expect(endName(ends.at('10.9.0.1'))).toBe('node node-1');
    expect(endName(ends.at('1.1.1.1'))).toBe('1.1.1.1');
  });
});

describe('a question that makes no sense', () => {
  test.each([
    [['shop/web-3', '1.1.1.1', '80'], 'UNKNOWN_END: there is no pod or Service "shop/web-3". Did you mean shop/web-1?'],
    [['web-1', '1.1.1.1', '80'], 'UNKNOWN_END: web-1 is in several namespaces: shop/web-1, other/web-1'],
    [
      ['1.1.1.1.1', '1.1.1.1', '80'],
      'UNKNOWN_END: there is no pod or Service "1.1.1.1.1". Give NAMESPACE/POD, NAMESPACE/SERVICE or an IP address.',
    ],
    [
      ['shop/web', '1.1.1.1', '80'],
      'UNKNOWN_END: shop/web is a Service, which sends nothing; give a pod or an address',
    ],
    [['shop/done', '1.1.1.1', '80'], 'NO_WAY: shop/done has no address: it is not running yet, or has ended'],
    [
      ['1.1.1.1', 'shop/six', '80'],
      'NO_WAY: 1.1.1.1 has only IPv4 addresses and shop/six only IPv6 ones: no packet can travel between them',
    ],
    [['1.1.1.1', 'shop/empty', '80'], 'NO_WAY: no pod is behind Service shop/empty: no pod has app=nobody'],
    [['1.1.1.1', 'shop/elsewhere', '80'], 'NO_WAY: no pod is behind Service shop/elsewhere: it has no selector'],
    [
      ['1.1.1.1', 'shop/web', 'icmp'],
      'NO_WAY: Service shop/web translates ports, and ICMP has none; give one of its pods',
    ],
    [['1.1.1.1', 'shop/web', '81'], 'BAD_PORT: Service shop/web has no port 81; it has port 80 and port 53/udp'],
    [['1.1.1.1', 'shop/web-1', 'htp'], 'BAD_PORT: pod shop/web-1 has no port named "htp". Did you mean http?'],
    [['1.1.1.1', 'shop/web-1', 'http/udp'], 'BAD_PORT: pod shop/web-1 has no UDP port named "http": it is a TCP port.'],
    [['1.1.1.1', 'shop/web-1', 'htp/tcp'], 'BAD_PORT: pod shop/web-1 has no TCP port named "htp". Did you mean http?'],
    [['1.1.1.1', 'other/web-1', 'http'], 'BAD_PORT: pod other/web-1 has no port named "http". It names none.'],
    [['1.1.1.1', '2.2.2.2', 'http'], 'BAD_PORT: 2.2.2.2 is not a pod and has no port named http; give its number'],
    [['1.1.1.1', '2.2.2.2', '65536'], 'BAD_PORT: 65536 is not a port; ports are 1 to 65535'],
    [['1.1.1.1', '2.2.2.2', '-1/udp'], 'BAD_PORT: -1/udp is not a port; ports are 1 to 65535'],
    [
      ['1.1.1.1', '2.2.2.2', '80/tpc'],
      'BAD_PORT: there is no protocol "tpc"; protocols are TCP, UDP, SCTP, ICMP. Did you mean TCP?',
    ],
    [['1.1.1.1', '2.2.2.2', '80/tcp/x'], 'BAD_PORT: "80/tcp/x" is not a port; write 5432/tcp, 53/udp, http or icmp'],
  ] as const)('is refused with what is wrong and what was meant: %j', ([from, to, port], expected) => {
    expect(mistake(from, to, port)).toBe(expected);
  });
});
