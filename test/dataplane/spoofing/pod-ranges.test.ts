import { expect, it } from 'vitest';
import { podRanges } from '../../../src/dataplane/spoofing/pod-ranges.ts';

it.each<[string, string[], string[]]>([
  ['joins adjacent blocks', ['10.244.1.0/24', '10.244.0.0/24', '10.244.2.0/24'], ['10.244.0.0-10.244.2.255']],
  [
    'keeps blocks with a gap apart',
    ['10.244.2.0/24', '10.244.0.0/24'],
    ['10.244.0.0-10.244.0.255', '10.244.2.0-10.244.2.255'],
  ],
  ['joins a block with one inside it', ['10.0.0.0/8', '10.1.0.0/16', '10.255.0.0/16'], ['10.0.0.0-10.255.255.255']],
  ['clears host bits', ['10.244.0.7/24'], ['10.244.0.0-10.244.0.255']],
  ['takes single addresses', ['10.0.0.1/32'], ['10.0.0.1-10.0.0.1']],
  ['takes everything', ['0.0.0.0/0'], ['0.0.0.0-255.255.255.255']],
  ['leaves out what is no block', ['10.0.0.0', 'nonsense', ''], []],
])('%s', (_, blocks, ranges) => {
  expect(podRanges(blocks)).toEqual({ ipv4: ranges, ipv6: [] });
});

it('tells the families apart', () => {
  expect(podRanges(['fd00:1::/64', '10.0.0.0/24', 'fd00::/64', '::ffff:10.0.1.0/120'])).toEqual({
    ipv4: ['10.0.0.0-10.0.1.255'],
    ipv6: ['fd00::-fd00::ffff:ffff:ffff:ffff', 'fd00:1::-fd00:1::ffff:ffff:ffff:ffff'],
  });
});
