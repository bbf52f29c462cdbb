/**
 * The agent of one lab node, as a child process of `NodeAgent` in the node's network namespace. It
 * must not outlive the lab, because it would keep the namespace alive.
 */
import { Agent } from '../agent/agent.ts';
import { dieWithParent } from '../sys/parent-death.ts';
import { createLogger } from '../telemetry/logger.ts';
import type { NodeReply, NodeRequest } from './node-messages.ts';
import { NodeWire } from './node-wire.ts';

dieWithParent(Number(process.argv[2]));
// Ctrl-C reaches every process of the terminal; the lab decides what happens.
process.on('SIGINT', () => undefined);
process.on('disconnect', () => process.exit(0));

let agent: Agent | undefined;
let wire: NodeWire | undefined;

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
    const log = createLogger('agent', logLevel, { node: body.node.name });
    agent = new Agent({ ...flags, node: body.node, log });
    return await agent.start(body.snapshot);
  }
  if (body.type === 'start-wire') {
    wire = new NodeWire(body.nodes, body.snapshot, body.bufferBytes);
    return await wire.lay(body.cables);
  }
  if (wire) return await handleWire(wire, body);
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

async function handleWire(
  wire: NodeWire,
  body: Exclude<NodeRequest, { type: 'start' | 'start-wire' }>,
): Promise<unknown> {
  switch (body.type) {
    case 'apply':
      return await wire.apply(body.changes, body.cables);
    case 'counters':
      return wire.counters();
    case 'stop':
      return await wire.stop();
  }
}

function reply(message: NodeReply): void {
  process.send?.(message);
}
