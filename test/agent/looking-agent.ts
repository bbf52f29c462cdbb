/**
 * A process that runs an agent in the current network namespace, which checks its node without a
 * pause. It sends changes of the findings, and its log.
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
