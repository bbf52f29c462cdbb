/**
 * A process that runs an agent, in whatever network namespace it is started, which looks at its
 * node without a pause. It tells what changes in its findings, and its log.
 */
import pino from 'pino';
import { formatListenAddress } from '../../src/telemetry/listen-address.ts';
import type { Status } from '../../src/telemetry/status.ts';
import { bareAgent } from './bare-agent.ts';

export type Message = { readonly line: { readonly level: number; readonly msg: string } } | { readonly status: Status };

const tell = (message: Message) => process.send?.(message);

const agent = bareAgent({
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
