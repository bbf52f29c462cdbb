/** Before the first test: is podfence installed already? Then it is somebody's, and the suite does not touch it. After the last: it goes. */
import { Cluster } from './cluster.ts';
import { remove } from './installation.ts';

const isInstalled = async (cluster: Cluster) =>
  (await cluster.list('namespaces', '--field-selector=metadata.name=podfence-system')).length > 0;

export async function setup(): Promise<void> {
  if (await isInstalled(new Cluster()))
    throw new Error('podfence is installed on this cluster already (namespace podfence-system): remove it first');
}

export async function teardown(): Promise<void> {
  const cluster = new Cluster();
  if (await isInstalled(cluster)) await remove(cluster);
}
