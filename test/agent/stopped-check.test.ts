import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { describeAsRoot } from '../root.ts';
import { AgentWorld } from './agent-world.ts';
import { FRIEND_ALLOWED } from './policies.ts';
import { CLI } from './running-agent.ts';

const HOOK = fileURLToPath(new URL('./stop-in-check.ts', import.meta.url));

describeAsRoot('An agent that is stopped while it checks the kernel rules', () => {
  test('ends, leaves them in place, and does not bring them back', async () => {
    await using world = await AgentWorld.start([FRIEND_ALLOWED]);
    world.environment = { NODE_OPTIONS: `--import ${HOOK}` };
    const agent = await world.startAgent();
    expect(await agent.exitCode()).toBe(0);
    expect(await world.onNode('iptables-save')).toContain('PODFENCE');
    await world.onNode(process.execPath, CLI, 'cleanup');
    expect(await world.onNode('iptables-save')).not.toContain('PODFENCE');
  });
});
