/** Where the records of `podfence agent` come from: the API server of a cluster, or manifests. */
import type { Logger } from 'pino';
import type { AgentProcessOptions, ClusterSource } from '../../agent/agent-process.ts';
import { ApiConnection } from '../../kube/api-connection.ts';
import { ClusterWatch } from '../../kube/cluster-watch.ts';
import { loadKubeConfig } from '../../kube/kubeconfig.ts';
import { StartupTaint } from '../../kube/startup-taint.ts';
import { ManifestWatch } from '../../manifests/manifest-watch.ts';
import { formatProblem } from '../../manifests/problems.ts';
import { missingPaths } from '../../manifests/sources.ts';
import { InputError } from '../shared/exit-code.ts';
import type { AgentSettings } from './options.ts';

/**
 * Returns the source that the settings name, not started yet. Throws an InputError if manifests are
 * missing, and a KubeConfigError if no cluster can be found or logged in to.
 */
export async function agentSource(settings: AgentSettings, log: Logger): Promise<AgentProcessOptions['source']> {
  const { manifests, nodeName } = settings;
  if (manifests !== undefined) {
    const missing = await missingPaths(manifests);
    if (missing.length > 0) throw new InputError(missing.map(formatProblem).join('\n'));
    return (onChanges) => {
      const watch = new ManifestWatch({ paths: manifests, nodeName, log, onChanges });
      const location = manifests.join(', ');
      return source(watch, () => ({ type: 'manifests', location, age: watch.age, kinds: [] }));
    };
  }
  const connection = connectionOf(settings);
  return (onChanges, onNodes) => {
    const watch = new ClusterWatch({ connection, log, onChanges, onNodes });
    return source(watch, () => {
      const { server, age, kinds } = watch.status();
      return { type: 'kubernetes', location: server, age, kinds };
    });
  };
}

/**
 * Returns what removes the startup taint of this node, if the settings name one. It has a
 * connection of its own.
 */
export function startupTaint(settings: AgentSettings, log: Logger): StartupTaint | undefined {
  const { startupTaint: key, nodeName } = settings;
  return key === undefined ? undefined : new StartupTaint({ connection: connectionOf(settings), nodeName, key, log });
}

function connectionOf({ kubeconfig, context }: Pick<AgentSettings, 'kubeconfig' | 'context'>): ApiConnection {
  const choice = { ...(kubeconfig === undefined ? {} : { kubeconfig }), ...(context === undefined ? {} : { context }) };
  return new ApiConnection(() => loadKubeConfig(choice));
}

function source(watch: Omit<ClusterSource, 'view'>, view: ClusterSource['view']): ClusterSource {
  return {
    start: () => watch.start(),
    synced: watch.synced,
    baseline: () => watch.baseline(),
    snapshot: () => watch.snapshot(),
    stop: () => watch.stop(),
    view,
  };
}
