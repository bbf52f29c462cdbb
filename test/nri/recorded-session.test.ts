/** A session that was recorded from containerd 2.2.9, byte by byte. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { PluginSession } from '../../src/nri/plugin-session.ts';
import type { SandboxPod } from '../../src/nri/sandbox-pod.ts';
import { eventually } from '../patience.ts';

/** The sides take turns: what one of them said until the other answered. */
const TURNS = readFileSync(join(import.meta.dirname, 'recorded', 'containerd-2.2.9.jsonl'), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as { from: 'runtime' | 'podfence'; bytes: string })
  .map(({ from, bytes }) => ({ from, bytes: Buffer.from(bytes, 'base64') }));

test.each([1, 7, 4096, 1 << 20])('podfence answers as it did, in pieces of %i bytes', async (length) => {
  const told: string[] = [];
  const tell =
    (event: string) =>
    ({ namespace, name, addresses, labels, netnsPath }: SandboxPod) => {
      const where = netnsPath === undefined ? 'no netns' : 'netns';
      told.push(`${event} ${namespace}/${name} [${addresses}] ${JSON.stringify(labels)} ${where}`);
      if (event === 'run' && name === 'refused') throw new Error('podfence: the policies of this pod are not in force');
    };
  let written = Buffer.alloc(0);
  const stream = new Duplex({
    read: () => {},
    write: (bytes: Buffer, _encoding, done) => {
      written = Buffer.concat([written, bytes]);
      done();
    },
  });
  const session = new PluginSession(stream, {
    index: '90',
    handlers: {
      onSynchronized: (pods) => pods.forEach(tell('exists')),
      onRun: tell('run'),
      onStop: tell('stop'),
      onRemove: tell('remove'),
    },
  });
  for (const { from, bytes } of TURNS) {
    if (from === 'runtime') {
      for (let at = 0; at < bytes.length; at += length) stream.push(bytes.subarray(at, at + length));
    } else {
      await eventually(() => expect(written.toString('latin1')).toBe(bytes.toString('latin1')));
      written = Buffer.alloc(0);
    }
  }
  expect(await session.registered).toEqual({ name: 'containerd', version: '2.2.9', requestTimeout: 2000 });
  session.close();
  expect(told).toMatchInlineSnapshot(`
    [
      "exists kube-system/coredns-788d58c57c-jp87c [10.244.0.2,fd00:10:244::2] {"pod-template-hash":"788d58c57c","k8s-app":"kube-dns"} netns",
      "run default/done [10.244.0.3,fd00:10:244::3] {"app":"web","tier":"done"} netns",
      "stop default/done [10.244.0.3,fd00:10:244::3] {"app":"web","tier":"done"} netns",
      "run default/hostnet [] {"app":"web","tier":"hostnet"} no netns",
      "run default/a [10.244.0.4,fd00:10:244::4] {"tier":"a","app":"web"} netns",
      "stop default/a [10.244.0.4,fd00:10:244::4] {"app":"web","tier":"a"} netns",
      "run default/refused [10.244.0.5,fd00:10:244::5] {"tier":"refused","app":"web"} netns",
      "stop default/refused [10.244.0.5,fd00:10:244::5] {"app":"web","tier":"refused"} netns",
      "remove default/refused [10.244.0.5,fd00:10:244::5] {"app":"web","tier":"refused"} netns",
      "remove default/a [10.244.0.4,fd00:10:244::4] {"app":"web","tier":"a"} no netns",
    ]
  `);
});
