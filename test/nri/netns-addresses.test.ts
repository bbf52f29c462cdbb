/** The addresses of a pod, read from the kernel in its network namespace. */
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { addressesInNetns } from '../../src/nri/netns-addresses.ts';
import { Netns } from '../../src/sys/netns.ts';
import { describeAsRoot } from '../root.ts';

describeAsRoot('The addresses in a network namespace', () => {
  test('are the global ones of both families, and of a point-to-point interface its own', async () => {
    using pod = Netns.create();
    const ip = (...args: string[]) => execFileSync('nsenter', [`--net=${pod.path}`, 'ip', ...args]);
    ip('link', 'set', 'lo', 'up');
    ip('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'far');
    ip('link', 'set', 'eth0', 'up');
    ip('addr', 'add', '10.1.0.7', 'peer', '10.1.0.1/32', 'dev', 'eth0');
    ip('addr', 'add', '169.254.1.1/32', 'scope', 'link', 'dev', 'eth0');
    ip('addr', 'add', 'fd00:1:0:0::7/64', 'nodad', 'dev', 'eth0');
    expect(await addressesInNetns(pod.path)).toEqual(['10.1.0.7', 'fd00:1::7']);
  });

  test('are none in an empty one', async () => {
    using pod = Netns.create();
    expect(await addressesInNetns(pod.path)).toEqual([]);
  });

  test('of a sandbox that is gone are an error', async () => {
    await expect(addressesInNetns('/var/run/netns/podfence-gone')).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
