/**
 * A process that runs an agent, in whatever network namespace it is started, which looks at its
 * node without a pause. It tells what changes in its findings, and its log.
 */
import pino from 'pino';
import { AgentProcess } from '../../src/agent/agent-process.ts';
import { formatListenAddress } from '../../src/telemetry/listen-address.ts';
import type { Status } from '../../src/telemetry/status.ts';

export type Message = { readonly line: { readonly level: number; readonly msg: string } } | { readonly status: Status };

const tell = (message: Message) => process.send?.(message);

const agent = new AgentProcess({
  agent: { node: { name: 'node', addresses: [] }, queues: 1 },
  source: () => ({
    start: () => {},
    synced: Promise.resolve(),
    snapshot: () => ({ namespaces: [], pods: [], policies: [] }),
    view: () => ({ type: 'manifests', location: 'test', age: 0, kinds: [] }),
    stop: async () => {},
  }),
  metricsAddress: '127.0.0.1:0',
  queryAddress: '',
  version: 'test',
  logLinesLost: () => 0,
  lookInterval: 1,
  log: pino({ level: 'info' }, { write: (line) => tell({ line: JSON.parse(line) }) }),
});
const url = `http://${formatListenAddress(await agent.start())}/status`;
process.on('message', () => {
  void fetch(url)
    .then((answer) => answer.json())
    .then((status) => tell({ status: status as Status }));
});
process.once('disconnect', () => void agent.stop());
