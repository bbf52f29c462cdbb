/**
 * An agent in a process of its own that serves on a free port, with a source that tests provide.
 */
import { AgentProcess, type AgentProcessOptions } from '../../src/agent/agent-process.ts';

/** An agent without a cluster: everything that a test does not set is empty. */
export function bareAgent({
  snapshot,
  ...options
}: Pick<AgentProcessOptions, 'log' | 'lookInterval'> & {
  /** Called when the agent asks the source for its baseline. */
  readonly snapshot?: (onChanges: Parameters<AgentProcessOptions['source']>[0]) => void;
}): AgentProcess {
  return new AgentProcess({
    agent: { node: { name: 'node', addresses: [] }, queues: 1 },
    source: (onChanges) => ({
      start: () => {},
      synced: Promise.resolve(),
      baseline: () => {
        snapshot?.(onChanges);
        return { namespaces: [], pods: [], policies: [] };
      },
      snapshot: () => ({ namespaces: [], pods: [], policies: [] }),
      view: () => ({ type: 'manifests', location: 'test', age: 0, kinds: [] }),
      stop: async () => {},
    }),
    metricsAddress: '127.0.0.1:0',
    queryAddress: '',
    version: 'test',
    logLinesLost: () => 0,
    ...options,
  });
}
