/**
 * The agent's settings: where they come from, which one wins, and what errors say about wrong ones.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { runIn } from '../../src/lab/run-command.ts';
import { close, SOCK_CLOEXEC, SOCK_STREAM, socket } from '../../src/sys/libc.ts';
import { Netns } from '../../src/sys/netns.ts';
import type { Ending } from '../../src/sys/program.ts';
import { familyOf, listen, socketAddress, tryBind } from '../../src/sys/sockets.ts';
import { describeAsRoot } from '../root.ts';
import { getIn } from './http-in-netns.ts';
import { CLI, type LogLine, RunningAgent } from './running-agent.ts';

type Environment = Readonly<Record<string, string>>;

const RIGHT = { code: 0, signal: null, stdout: 'The configuration is right.\n', stderr: '' };

describeAsRoot('The configuration of podfence agent', () => {
  const netns = Netns.create();
  const folder = mkdtempSync(join(tmpdir(), 'podfence-configuration-'));
  const host = { name: 'node', netns, addresses: [] };
  beforeAll(async () => {
    await runIn(netns, ['ip', 'link', 'set', 'lo', 'up']);
    writeFileSync(join(folder, 'none.yaml'), '');
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
    netns.close();
  });

  /** Runs the agent to its end, with only these variables in its environment. */
  function run(
    flags: readonly string[],
    environment: Environment = {},
    before: readonly string[] = [],
  ): Promise<Ending> {
    const variables = Object.entries({ PATH: process.env.PATH ?? '', ...environment }).map((entry) => entry.join('='));
    return runIn(netns, [...before, 'env', '-i', ...variables, process.execPath, CLI, 'agent', ...flags]);
  }

  const check = (flags: readonly string[], environment?: Environment) => run(['--check-config', ...flags], environment);

  function file(content: object | string): string {
    const path = join(folder, 'config.yaml');
    writeFileSync(path, typeof content === 'string' ? content : stringify(content));
    return path;
  }

  test('a flag beats the environment, which beats the file, which beats the default', async () => {
    const config = file({ 'node-name': 'by-file', 'flow-capacity': 3000, queues: 3, 'first-queue': 300 });
    const environment = { PODFENCE_NODE_NAME: 'by-environment', PODFENCE_FLOW_CAPACITY: '2000', PODFENCE_QUEUES: '2' };
    const flags = ['--manifests', join(folder, 'none.yaml'), '--config', config, '--node-name', 'by-flag'];
    const agent = await new RunningAgent(host, flags, environment).ready();
    const { node, flows, workers, queues } = await agent.status();
    expect({ node, ...flows, ...workers }).toMatchObject({ node: 'by-flag', capacity: 2 * 2000, wanted: 2 });
    expect(queues.map(({ queue }) => queue).sort()).toEqual([300, 301]);
    expect(await agent.terminate()).toBe(0);
  });

  test('questions are answered on the loopback address, elsewhere, or not at all', async () => {
    const flags = ['--manifests', join(folder, 'none.yaml'), '--queues', '1'];
    const ask = (address: string, port: number) => getIn(host, { address, port }, '/flows?follow=no');
    const none = await new RunningAgent(host, [...flags, '--query-address', 'off']).ready();
    await expect(ask('127.0.0.1', 9465)).rejects.toThrow('ECONNREFUSED');
    expect(await none.terminate()).toBe(0);
    const moved = await new RunningAgent(host, flags, { PODFENCE_QUERY_ADDRESS: '127.0.0.2:900' }).ready();
    await expect(ask('127.0.0.1', 9465)).rejects.toThrow('ECONNREFUSED');
    expect(await ask('127.0.0.2', 900)).toEqual({ status: 200, body: '' });
    expect(await moved.terminate()).toBe(0);
  });

  test('an agent that cannot answer questions because the port is in use enforces all the same and says so', async () => {
    const taken = netns.run(() => socket(familyOf('127.0.0.1'), SOCK_STREAM | SOCK_CLOEXEC, 0));
    tryBind(taken, socketAddress('127.0.0.1', 900));
    listen(taken, 1);
    const config = file({ 'query-address': '127.0.0.1:900', manifests: [join(folder, 'none.yaml')] });
    const agent = await new RunningAgent(host, ['--config', config]).ready();
    const { err } = await agent.logged('so', ({ msg }) => msg === 'questions will not be answered');
    expect(err).toMatchObject({ message: expect.stringContaining('127.0.0.1:900 is in use') });
    expect(await agent.terminate()).toBe(0);
    close(taken);
  });

  test('--check-config says that all is right, and starts nothing', async () => {
    const config = file({
      fail: 'open',
      offload: false,
      'node-addresses': ['10.0.0.1', '10.0.0.010', 'fd00::1'],
      'mark-mask': '0x300',
      manifests: [join(folder, 'none.yaml')],
    });
    const result = await check(['--config', config, '--steering', 'iptables'], { PODFENCE_ADOPT: '60' });
    expect(result).toEqual(RIGHT);
  });

  test('the file can be named by a variable, and may use anchors', async () => {
    const config = file(`fail: &how open\nmanifests: [&none ${join(folder, 'none.yaml')}, *none]\nnode-name: *how\n`);
    expect(await check([], { PODFENCE_CONFIG: config })).toEqual(RIGHT);
    expectRefused(await check([], { PODFENCE_CONFIG: file('fail: *how\n') }), 'config.yaml:1', 'no anchor &how');
  });

  test('variables that are not settings are ignored', async () => {
    const others = {
      ...{ PODFENCE_DEBUG: '1', PODFENCE_POD: 'shop/web' },
      // Variables of Services named podfence and podfence-metrics.
      ...{ PODFENCE_SERVICE_HOST: '10.96.0.1', PODFENCE_SERVICE_PORT_METRICS: '9464' },
      ...{ PODFENCE_PORT: 'tcp://10.96.0.1:9464', PODFENCE_METRICS_PORT_9464_TCP_ADDR: '10.96.0.1' },
    };
    expect(await check(['--manifests', folder], others)).toEqual(RIGHT);
  });

  describe('a wrong value stops the start, and the message names the field and the accepted values', () => {
    test.each([
      [['--fail', 'ajar'], '--fail <how>', 'Allowed choices are closed, open'],
      [['--queues', '0'], '--queues <count>', 'a whole number from 1 to 64'],
      [['--metrics-address', 'nowhere'], '--metrics-address <address>', ':9464, 127.0.0.1:9464 or [::1]:9464'],
      [['--query-address', 'here'], '--query-address <address>', ':9464, 127.0.0.1:9464 or [::1]:9464'],
      [['--quues', '2'], '--quues', 'Did you mean --queues?'],
      [['--node-name', ''], '--node-name <name>', 'must not be empty'],
      [['--context', ' '], '--context <name>', 'must not be empty'],
      [['--startup-taint', 'podfence.io/'], '--startup-taint <key>', 'such as podfence.io/agent-not-ready'],
      [['--startup-taint', 'a/b=true:NoSchedule'], '--startup-taint <key>', 'Leave out value and effect'],
    ])('as a flag: %j', async (flags, field, allowed) => {
      expectRefused(await check(flags), field, allowed);
    });

    test.each([
      ['PODFENCE_DENY', 'bounce', 'Allowed choices are drop, reject'],
      ['PODFENCE_OFFLOAD', 'perhaps', 'yes or no'],
      ['PODFENCE_MARK_MASK', '0x1', 'at least two bits'],
    ])('in the environment: %s=%s', async (name, value, allowed) => {
      expectRefused(await check([], { [name]: value }), name, allowed);
    });

    test('in the environment: all of them, even if a flag decides', async () => {
      const environment = {
        PODFENCE_FIAL: 'open',
        PODFENCE_ZONE: 'a',
        PODFENCE_PORT: '9464',
        PODFENCE_QUEUES: 'two',
        PODFENCE_NODE_NAME: '',
        PODFENCE_KUBECONFIG: '',
        PODFENCE_CONFIG: '',
      };
      const { code, stderr } = await check(['--queues', '2', '--node-name', 'a'], environment);
      expect(code).toBe(2);
      expect(stderr.replace('podfence: ', '').trim().split('\n').sort()).toEqual([
        'PODFENCE_CONFIG: "" is not accepted. It must not be empty.',
        'PODFENCE_FIAL: there is no such setting. Did you mean PODFENCE_FAIL?',
        'PODFENCE_KUBECONFIG: "" is not accepted. It must not be empty.',
        'PODFENCE_NODE_NAME: "" is not accepted. It must not be empty.',
        'PODFENCE_PORT: there is no such setting.',
        'PODFENCE_QUEUES: "two" is not accepted. It must be a whole number from 1 to 64.',
        'PODFENCE_ZONE: there is no such setting.',
      ]);
    });

    test('in the file: all of them, by line', async () => {
      const config = file(
        'fail: ajar\nquues: 2\nqueues: 65\nadopt: -1\nmetrics-address: ":99999"\nlog-level: [a, {}]\nnode-name: ""\n',
      );
      const { code, stderr } = await check(['--config', config]);
      expect(code).toBe(2);
      expect(stderr.trim().split('\n')).toEqual([
        expect.stringMatching(/^podfence: .*config\.yaml:1 {2}fail: "ajar" is not accepted\. .*closed, open/),
        expect.stringMatching(/config\.yaml:2 {2}there is no setting "quues"\. Did you mean "?queues"?\?/),
        expect.stringMatching(/config\.yaml:3 {2}queues: "65" is not accepted\. .*from 1 to 64/),
        expect.stringMatching(/config\.yaml:4 {2}adopt: "-1" is not accepted\. .*from 0 to 3600/),
        expect.stringMatching(/config\.yaml:5 {2}metrics-address: ":99999" is not accepted\. .*from 0 to 65535/),
        expect.stringMatching(/config\.yaml:6 {2}log-level: expected one value, or a list/),
        expect.stringMatching(/config\.yaml:7 {2}node-name: "" is not accepted\. It must not be empty/),
      ]);
    });

    test.each([
      ['a file that does not exist', ['--config', '/nowhere/config.yaml'], 'there is no such file'],
      ['the taint of a node without a cluster', ['--manifests', 'a', '--startup-taint', 'a/b'], 'manifests have none'],
      ['two sources of policies', ['--manifests', 'a', '--kubeconfig', 'b'], 'give one or the other'],
    ])('%s', async (_, flags, words) => {
      expectRefused(await check(flags), '', words);
    });
  });

  describe('what cannot work is reported in one line', () => {
    test('a port that is in use', async () => {
      const flags = ['--manifests', join(folder, 'none.yaml')];
      const first = new RunningAgent(host, flags);
      await first.serves();
      const second = new RunningAgent(host, flags);
      expect(await second.exitCode()).toBe(3);
      expect(second.words).toEqual([]);
      expect(second.log.at(-1)).toMatchObject({
        level: 'fatal',
        msg: expect.stringMatching(/^the agent could not start: .*127\.0\.0\.1:9464 is in use/),
        exitCode: 3,
      });
      await first.end();
    });

    test('no root', async () => {
      const nobody = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
      expectOneLine(await run(['--manifests', folder], {}, nobody), 3, 'the agent needs root');
    });

    // With --check-config alone, and at a start.
    describe.each([[['--check-config']], [[]]])('%j', (flags) => {
      test('no cluster', async () => {
        expectOneLine(await run(flags, { HOME: '/nowhere' }), 3, 'No cluster is configured');
      });

      test('a kubeconfig that does not exist', async () => {
        expectOneLine(await run([...flags, '--kubeconfig', '/nowhere/config']), 3, '/nowhere/config');
      });

      test('a context that the kubeconfig lacks', async () => {
        const kubeconfig = join(folder, 'kubeconfig');
        writeFileSync(kubeconfig, stringify({ apiVersion: 'v1', kind: 'Config', contexts: [] }));
        const result = await run([...flags, '--kubeconfig', kubeconfig, '--context', 'kind']);
        expectOneLine(result, 3, 'no context "kind"');
      });

      test('manifests that do not exist', async () => {
        const missing = join(folder, 'nome.yaml');
        expectOneLine(await run([...flags, '--manifests', missing]), 2, `${missing}  there is no such file or folder`);
        const result = await run([...flags, '--manifests', `${folder},${missing}`]);
        expectOneLine(result, 2, `Did you mean ${join(folder, 'none.yaml')}?`);
      });
    });
  });
});

function expectRefused({ code, stdout, stderr }: Ending, field: string, allowed: string): void {
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain(field);
  expect(stderr).toContain(allowed);
}

function expectOneLine({ code, stdout, stderr }: Ending, expected: number, words: string): void {
  const [line = '', ...others] = stderr.trim().split('\n');
  // A start logs it.
  const said = line.startsWith('{') ? (JSON.parse(line) as LogLine).msg : line;
  expect([said, ...others]).toEqual([expect.stringContaining(words)]);
  expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
}
