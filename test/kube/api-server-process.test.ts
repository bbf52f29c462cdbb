import { expect, it, onTestFinished } from 'vitest';
import { startApiServerProcess } from './api-server-process.ts';
import { pod } from './objects.ts';
import { until } from './until.ts';
import { configOf, WatchedCluster } from './watched-cluster.ts';

it('the API server for tests runs in its own process, and does there what it is told', async () => {
  const server = await startApiServerProcess();
  onTestFinished(() => server.stop());
  await server.call('populate', { pods: 30, podBytes: 2000 });
  const kubeConfig = await server.call('kubeConfig');
  const cluster = new WatchedCluster(() => configOf(kubeConfig));
  await cluster.watch.synced;
  expect(cluster.pods()).toHaveLength(30);

  await server.call('set', pod('default', 'web'));
  await cluster.isDelivered('set Pod default/web');
  expect(await server.call('openWatches', 'Pod')).toBe(1);
  await server.call('cutWatches', 'Pod');
  await until('it is noticed', () => cluster.status().restarts.connection === 1);
  await expect(server.call('kubeConfig', undefined, 'host')).resolves.toContain('http://host:');
  await server.stop();
  await expect(server.call('heal')).rejects.toThrow();
});
