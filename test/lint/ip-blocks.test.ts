import { describe, expect, it } from 'vitest';
import { expectFinding, findingsOf, pod, policy } from './linted.ts';

const block = (cidr: string, ...except: readonly string[]) => ({ ipBlock: { cidr, except } });
const from = (...peers: readonly object[]) => policy({ ingress: [{ from: peers }] });
const podAt = (ip: string) => ({ ...pod('shop/web'), status: { podIP: ip } });

describe('an ipBlock over addresses of pods', () => {
  it('is reported for a block in the usual range of pods', () =>
    expectFinding(
      'ip-block-over-pods',
      /^warning spec\.ingress\[0\]\.from\[0\]\.ipBlock\.cidr: 10\.244\.3\.0\/24 is inside 10\.244\.0\.0\/16/,
      [from(block('10.244.3.0/24'))],
      [from(block('10.99.3.0/24'))],
    ));

  it('is reported for that range itself', async () => {
    expect(await findingsOf('ip-block-over-pods', [from(block('10.244.0.0/16'))])).toEqual([
      expect.stringMatching(/10\.244\.0\.0\/16 is the range of pod addresses/),
    ]);
  });

  it('is reported for the address of a pod', () =>
    expectFinding(
      'ip-block-over-pods',
      /^warning .*172\.20\.0\.0\/16 contains the address of pod shop\/web/,
      [podAt('172.20.1.7'), from(block('172.20.0.0/16'))],
      [podAt('172.20.1.7'), from(block('172.20.0.0/16', '172.20.1.0/24'))],
    ));

  it('is reported for an IPv6 address of a pod', () =>
    expectFinding(
      'ip-block-over-pods',
      /contains the address of pod/,
      [podAt('2001:db8::7'), from(block('2001:db8::/64'))],
      [podAt('2001:db8::7'), from(block('2001:db8:1::/64'))],
    ));

  it('is only an info for a wider block that contains the usual range of pods', async () => {
    expect(await findingsOf('ip-block-over-pods', [from(block('10.0.0.0/8'))])).toEqual([
      expect.stringMatching(
        /^info .*every pod is allowed \| To leave pods out, write except: \[10\.244\.0\.0\/16\]\.$/,
      ),
    ]);
  });

  it('is a warning if the ranges of pods are given', async () => {
    const given = { podRanges: ['10.32.0.0/12'] };
    expect(await findingsOf('ip-block-over-pods', [from(block('10.0.0.0/8'))], given)).toEqual([
      expect.stringMatching(/^warning .*10\.32\.0\.0\/12/),
    ]);
    expect(await findingsOf('ip-block-over-pods', [from(block('10.0.0.0/8', '10.32.0.0/12'))], given)).toEqual([]);
    expect(await findingsOf('ip-block-over-pods', [from(block('10.244.3.0/24'))], given)).toEqual([]);
  });

  it('is not reported for the whole internet', async () => {
    const everywhere = [podAt('172.20.1.7'), from(block('0.0.0.0/0', '10.0.0.0/8'), block('::/0'))];
    expect(await findingsOf('ip-block-over-pods', everywhere)).toEqual([]);
  });
});

describe('a block written with the address of a host', () => {
  it('is reported with the block that it means, and with the address alone', () =>
    expectFinding(
      'host-bits-set',
      /^hint spec\.ingress\[0\]\.from\[0\]\.ipBlock\.cidr: 8\.8\.8\.8\/8 is the block 8\.0\.0\.0\/8: .* \| Did you mean 8\.8\.8\.8\/32, this address alone\?$/,
      [from(block('8.8.8.8/8'))],
      [from(block('8.0.0.0/8'), block('8.8.8.8/32'))],
    ));

  it('is reported for an except and for IPv6', () =>
    expectFinding(
      'host-bits-set',
      /^hint .*\.except\[0\]: 2001:db8:1::7\/48 is the block 2001:db8:1::\/48/,
      [from(block('2001:db8::/32', '2001:db8:1::7/48'))],
      [from(block('2001:db8::/32', '2001:DB8:1:0::/48'))],
    ));
});

describe('a block that other tools read differently than the API server', () => {
  it('is reported for leading zeros, in cidr, except and prefix length', async () => {
    const blocks = from(block('10.0.0.0/08', '10.0.0.010/32'), block('fd00::/8', 'fd00:0001::/032'));
    expect(await findingsOf('ambiguous-address', [blocks])).toEqual([
      expect.stringMatching(
        /^warning .*\[0\]\.ipBlock\.cidr: 10\.0\.0\.0\/08 is 10\.0\.0\.0\/8 .* octal \| Write 10\.0\.0\.0\/8\.$/,
      ),
      expect.stringMatching(/\[0\]\.ipBlock\.except\[0\]: 10\.0\.0\.010\/32 is 10\.0\.0\.10\/32/),
      expect.stringMatching(/\[1\]\.ipBlock\.except\[0\]: fd00:0001::\/032 is fd00:1::\/32/),
    ]);
  });

  it('is reported for IPv4-mapped blocks', () =>
    expectFinding(
      'ambiguous-address',
      /^warning .*::ffff:10\.0\.0\.0\/104 is an IPv4-mapped block: 10\.0\.0\.0\/8 to the API server/,
      [from(block('::ffff:10.0.0.0/104'))],
      [from(block('10.0.0.0/8'), block('fd00:0:0:00ab::/64'))],
    ));
});

describe('an except that changes nothing', () => {
  it('is reported if another except contains it', () =>
    expectFinding(
      'except-without-effect',
      /^warning spec\.ingress\[0\]\.from\[0\]\.ipBlock\.except\[1\]: the except 192\.0\.2\.64\/26 has no effect: another except/,
      [from(block('192.0.2.0/24', '192.0.2.0/25', '192.0.2.64/26'))],
      [from(block('192.0.2.0/24', '192.0.2.0/25', '192.0.2.192/26'))],
    ));

  it('is reported once if two are the same', async () => {
    const twice = [from(block('192.0.2.0/24', '192.0.2.0/25', '192.0.2.7/25'))];
    expect(await findingsOf('except-without-effect', twice)).toEqual([expect.stringMatching(/except\[1\]/)]);
  });

  it('is reported if another peer allows what it excludes', () =>
    expectFinding(
      'except-without-effect',
      /from\[0\]\.ipBlock\.except\[0\].*Another entry allows these addresses/,
      [from(block('192.0.2.0/24', '192.0.2.64/26'), block('192.0.2.0/25'))],
      [from(block('192.0.2.0/24', '192.0.2.64/26'), block('192.0.2.64/27'))],
    ));

  it('is reported if another rule allows it for at least the same ports', () => {
    const rules = (port: number) =>
      policy({
        ingress: [
          { from: [block('192.0.2.0/24', '192.0.2.64/26')], ports: [{ port: 80 }] },
          { from: [block('192.0.2.0/25')], ports: [{ port, endPort: 90 }] },
        ],
      });
    return expectFinding('except-without-effect', /has no effect/, [rules(79)], [rules(81)]);
  });

  it('is reported if a rule allows any peer', () =>
    expectFinding(
      'except-without-effect',
      /has no effect/,
      [policy({ ingress: [{ from: [block('192.0.2.0/24', '192.0.2.64/26')] }, {}] })],
      [policy({ ingress: [{ from: [block('192.0.2.0/24', '192.0.2.64/26')] }, { ports: [{ port: 80 }] }] })],
    ));
});

describe('excepts that together', () => {
  const excepts = (...except: readonly string[]) => [from(block('192.0.2.0/24', ...except))];

  it('contain another one are reported', async () => {
    const halves = excepts('192.0.2.0/27', '192.0.2.16/28', '192.0.2.0/28');
    expect(await findingsOf('except-without-effect', halves)).toHaveLength(2);
    const whole = excepts('192.0.2.16/28', '192.0.2.0/28', '192.0.2.0/27');
    expect(await findingsOf('except-without-effect', whole)).toEqual([expect.stringMatching(/except\[2\]/)]);
  });

  it('do not fill a wider one do not make it useless', async () => {
    const inner = ['192.0.2.16/29', '192.0.2.0/28'];
    expect(await findingsOf('except-without-effect', excepts(...inner, '192.0.2.0/27'))).toEqual([
      expect.stringMatching(/except\[0\]/),
      expect.stringMatching(/except\[1\]/),
    ]);
    expect(await findingsOf('except-without-effect', excepts(...inner))).toEqual([]);
  });

  it('are allowed by other blocks part by part are reported, if no part is left', async () => {
    const others = (...cidrs: readonly string[]) => [
      from(block('192.0.2.0/24', '192.0.2.0/26'), ...cidrs.map((cidr) => block(cidr))),
    ];
    expect(await findingsOf('except-without-effect', others('192.0.2.0/27', '192.0.2.32/27'))).toHaveLength(1);
    expect(await findingsOf('except-without-effect', others('192.0.2.0/27', '192.0.2.32/28'))).toEqual([]);
  });
});
