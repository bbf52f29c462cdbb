import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { Lab } from '../../src/lab/lab.ts';
import { TcpStream } from '../../src/lab/tcp-stream.ts';
import { describeAsRoot } from '../root.ts';
import { cluster, pod } from './cluster.ts';

describeAsRoot('a TCP stream', () => {
  test('reports whether messages are answered, and resumes after a cut', async () => {
    const manifests = cluster([pod('a/client', ['10.244.0.1']), pod('a/server', ['10.244.0.2'], 'TCP 80')]);
    const lab = await Lab.start({ manifests, agents: false });
    try {
      using stream = await TcpStream.open(lab.pod('client'), '10.244.0.2', 80);
      expect(await stream.exchange()).toBe(true);
      const { netns } = lab.node('node-1');
      const rule = (flag: string) =>
        netns.run(() => execFileSync('iptables', ['-w', flag, 'FORWARD', '-s', '10.244.0.1', '-j', 'DROP']));
      rule('-A');
      expect(await stream.exchange(100)).toBe(false);
      await expect(TcpStream.open(lab.pod('client'), '10.244.0.2', 80, 100)).rejects.toThrow('no answer');
      rule('-D');
      expect(await stream.exchange(5000)).toBe(true);
      expect(stream.error).toBeUndefined();
      await expect(TcpStream.open(lab.pod('client'), '10.244.0.2', 81)).rejects.toThrow('ECONNREFUSED');
    } finally {
      await lab.stop();
    }
  });
});
