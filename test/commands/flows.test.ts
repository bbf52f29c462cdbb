import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { FlowLog } from '../../src/flows/flow-log.ts';
import { queryRoutes } from '../../src/telemetry/agent-routes.ts';
import { flow, note } from '../flows/flows.ts';
import { OK, serve } from '../telemetry/served.ts';
import { ended, podfence, start } from './podfence.ts';

describe('podfence flows', () => {
  test('says where it looks for an agent if none answers', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const { code, stdout, stderr } = await podfence(['flows', '--agent', `127.0.0.1:${port}`]);
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' });
    expect(stderr).toContain(`no agent answers at http://127.0.0.1:${port}: ECONNREFUSED`);
    expect(stderr).toContain('kubectl -n podfence-system port-forward pod/NAME 9465');
  });

  test('says that something other than the flows endpoint answers, such as the metrics address', async () => {
    const { port } = await serve([OK]);
    const { code, stderr } = await podfence(['flows', '--agent', `http://127.0.0.1:${port}`]);
    expect(code).toBe(3);
    expect(stderr).toContain("it has no /flows): give the agent's --query-address, which has port 9465");
  });

  test.each([
    [['--port', 'http'], '--port must be a port such as 5432 or 53/udp, not "http"'],
    [['--pod', 'web', '--verdict', 'no'], '--pod must be NAMESPACE/NAME of a pod, not "web"'],
    [['--agent', 'ftp://a'], '--agent ftp://a: not an address such as http://127.0.0.1:9465'],
    [['--agent', 'a b'], '--agent a b: not an address'],
  ])('%j is wrong', async (flags, words) => {
    const { code, stdout, stderr } = await podfence(['flows', ...flags]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(words);
  });

  describe('of an agent', () => {
    const log = new FlowLog({ burst: 2, rate: 0.001 });
    const agent = async () => `127.0.0.1:${(await serve(queryRoutes({ flowLog: log }))).port}`;
    afterEach(() => log.publish(Date.now()));

    test('that has seen nothing says so', async () => {
      const { code, stdout, stderr } = await podfence(['flows', '--agent', await agent()]);
      expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: 'The agent has seen no such flow.\n' });
    });

    test('shows flows, and how many more there are', async () => {
      for (const port of [1, 2, 3]) note(log, flow(port), Date.now());
      const { code, stdout, stderr } = await podfence(['flows', '--last', '1', '--agent', await agent()]);
      expect(code).toBe(0);
      expect(stdout.split('\n')).toEqual([expect.stringMatching(/^TIME/), expect.stringContaining(' 2/tcp '), '']);
      expect(stderr.split('\n')).toEqual([
        '1 earlier flows are not shown; --last shows more.',
        '1 more events are not shown: they came faster than the agent notes them.',
        '',
      ]);
    });

    test('that ends while it is followed says so', async () => {
      const { server, port } = await serve(queryRoutes({ flowLog: log }));
      const child = start('flows', '--follow', '--json', '--agent', `127.0.0.1:${port}`);
      const outcome = ended(child);
      await new Promise((resolve) => child.stdout?.once('data', resolve));
      await server.stop();
      const { code, stdout, stderr } = await outcome;
      expect(code).toBe(3);
      expect(stdout.split('\n').map((line) => line && JSON.parse(line).port)).toEqual([1, 2, '']);
      expect(stderr).toContain('podfence: the agent, or the connection to it, has ended');
    });
  });
});
