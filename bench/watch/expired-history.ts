import type { ApiServerProcess } from '../../test/kube/api-server-process.ts';
import { namespace, pod, policy } from '../../test/kube/objects.ts';

/** Every watch ends, and what it would go on from is forgotten, so that everything is listed anew. */
export async function expireHistory(api: ApiServerProcess): Promise<void> {
  await api.call('freezeWatches');
  const late = [namespace('late'), pod('late', 'pod'), policy('late', 'policy')];
  await Promise.all(late.map((object) => api.call('set', object)));
  await api.call('compact');
  await api.call('cutWatches');
}
