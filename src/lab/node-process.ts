/**
 * The agent of one lab node, as a process of its own in the node's network namespace: started by `NodeAgent`, which is its parent. It may
 * not outlive the lab, for it would hold the namespace.
 */
import { pino } from 'pino';
import { Agent } from '../agent/agent.ts';
import { dieWithParent } from '../sys/parent-death.ts';
import type { NodeReply, NodeRequest } from './node-messages.ts';

dieWithParent(Number(process.argv[2]));
// Ctrl-C reaches every process of the terminal; the lab decides what follows from it.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit(0));

let agent: Agent | undefined;

process.on('message', async ({ request, body }: { request: number; body: NodeRequest }) => {
  try {
    reply({ request, type: 'done', result: await handle(body) });
    if (body.type === 'stop') process.disconnect();
  } catch (error) {
    reply({ request, type: 'failed', message: error instanceof Error ? error.message : String(error) });
  }
});

async function handle(body: NodeRequest): Promise<unknown> {
  if (body.type === 'start') {
    const { logLevel = 'warn', ...flags } = body.flags;
    const log = pino({ level: logLevel, base: { node: body.node.name } }, pino.destination({ dest: 2, sync: true }));
    agent = new Agent({ ...flags, node: body.node, log });
    return await agent.start(body.snapshot);
  }
  if (!agent) throw new Error(`${body.type} before start`);
  switch (body.type) {
    case 'apply':
      return await agent.apply(body.changes);
    case 'counters':
      return agent.counters();
    case 'stop':
      return await agent.stop({ removeSteering: true });
  }
}

function reply(message: NodeReply): void {
  process.send?.(message);
}
