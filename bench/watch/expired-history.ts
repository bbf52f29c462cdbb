import type { ApiServerProcess } from '../../test/kube/api-server-process.ts';
import { namespace, pod, policy } from '../../test/kube/objects.ts';

/**
 * Ends every watch and compacts the history from which it could resume, so that the agent lists
 * everything again.
 */
export async function expireHistory(api: ApiServerProcess): Promise<void> {
  await api.call('freezeWatches');
  const late = [namespace('late'), pod('late', 'pod'), policy('late', 'policy')];
  await Promise.all(late.map((object) => api.call('set', object)));
  await api.call('compact');
  await api.call('cutWatches');
}
