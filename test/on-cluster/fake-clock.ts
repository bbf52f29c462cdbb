/** A separate wall clock for the agents, on a cluster of this machine. */
import { copyFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from './cluster.ts';
import { say } from './shell.ts';

/** Path of Debian's libfaketime, if it is installed. */
export const FAKETIME = ['x86_64', 'aarch64']
  .map((cpu) => `/usr/lib/${cpu}-linux-gnu/faketime/libfaketime.so.1`)
  .find((library) => existsSync(library));

export interface FakeClock {
  /** Sets an offset from the machine's clock, in libfaketime's notation: `+1d`, `+0`. */
  jump(to: string): Promise<void>;
  remove(): Promise<void>;
}

/**
 * Gives the agents a wall clock that can be set. libfaketime (Debian's package of that name) is
 * preloaded before the C library and reads the offset from a file. The machine's clock is not
 * touched, and the monotonic clock stays true, as when an administrator sets a node's time.
 * @param library FAKETIME
 */
export async function fakeClock(cluster: Cluster, library: string): Promise<FakeClock> {
  const folder = join(cluster.target.state ?? '', 'faketime');
  mkdirSync(folder, { recursive: true });
  copyFileSync(library, join(folder, 'libfaketime.so.1'));
  const offset = join(folder, 'offset');
  writeFileSync(offset, '+0\n');
  const variables = {
    LD_PRELOAD: '/faketime/libfaketime.so.1',
    FAKETIME_TIMESTAMP_FILE: '/faketime/offset',
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  };
  const daemonSet = ['-n', 'podfence-system', 'patch', 'daemonset', 'podfence', '-p'];
  const patch = (volumes: object[], volumeMounts: object[], env: object[]) =>
    JSON.stringify({
      spec: { template: { spec: { volumes, containers: [{ name: 'agent', env, volumeMounts }] } } },
    });
  const names = Object.keys(variables);
  await cluster.kubectl([
    ...daemonSet,
    patch(
      [{ name: 'faketime', hostPath: { path: folder } }],
      [{ name: 'faketime', mountPath: '/faketime', readOnly: true }],
      Object.entries(variables).map(([name, value]) => ({ name, value })),
    ),
  ]);
  return {
    jump: async (to) => {
      say(`the agents' clock jumps: ${to}`);
      writeFileSync(offset, `${to}\n`);
    },
    remove: async () => {
      const $patch = 'delete';
      const without = names.map((name) => ({ name, $patch }));
      try {
        await cluster.kubectl([
          ...daemonSet,
          patch([{ name: 'faketime', $patch }], [{ mountPath: '/faketime', $patch }], without),
        ]);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  };
}
