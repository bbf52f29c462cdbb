/** The settings of the agent: where they come from, which of them wins, and what is said about wrong ones. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { type CommandResult, runIn } from '../../src/lab/run-command.ts';
import { Netns } from '../../src/sys/netns.ts';
import { describeAsRoot } from '../root.ts';
import { CLI, RunningAgent } from './running-agent.ts';

type Environment = Readonly<Record<string, string>>;

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

  /** Runs it to its end, with nothing in its environment but these. */
  function run(
    flags: readonly string[],
    environment: Environment = {},
    before: readonly string[] = [],
  ): Promise<CommandResult> {
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

  test('--check-config says that all is right, and starts nothing', async () => {
    const config = file({
      fail: 'open',
      offload: false,
      'node-addresses': ['10.0.0.1', 'fd00::1'],
      'mark-mask': '0x300',
    });
    const result = await check(['--config', config, '--steering', 'iptables'], { PODFENCE_ADOPT: '60' });
    expect(result).toEqual({ code: 0, stdout: 'The configuration is right.\n', stderr: '' });
  });

  describe('a wrong value stops the start and tells the field and what it may be', () => {
    test.each([
      [['--fail', 'ajar'], '--fail <how>', 'Allowed choices are closed, open'],
      [['--queues', '0'], '--queues <count>', 'a whole number from 1 to 64'],
      [['--metrics-address', 'nowhere'], '--metrics-address <address>', ':9464, 127.0.0.1:9464 or [::1]:9464'],
      [['--quues', '2'], '--quues', 'Did you mean --queues?'],
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

    test('in the file: all of them, by line', async () => {
      const config = file(
        'fail: ajar\nquues: 2\nqueues: 65\nadopt: -1\nmetrics-address: ":99999"\nlog-level: [a, {}]\n',
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
      ]);
    });

    test.each([
      ['a file that does not exist', ['--config', '/nowhere/config.yaml'], 'there is no such file'],
      ['two sources of policies', ['--manifests', 'a', '--kubeconfig', 'b'], 'give one or the other'],
    ])('%s', async (_, flags, words) => {
      expectRefused(await check(flags), '', words);
    });
  });

  describe('what cannot work is said in one line', () => {
    test('a port that is taken', async () => {
      const flags = ['--manifests', join(folder, 'none.yaml')];
      const first = new RunningAgent(host, flags);
      await first.serves();
      const second = new RunningAgent(host, flags);
      expect(await second.exitCode()).toBe(3);
      expect(second.words).toEqual([expect.stringMatching(/^podfence: .*127\.0\.0\.1:9464 is in use/)]);
      await first.end();
    });

    test('no root', async () => {
      const nobody = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
      expectOneLine(await run(['--manifests', folder], {}, nobody), 3, 'the agent needs root');
    });

    test('no cluster', async () => {
      expectOneLine(await run([], { HOME: '/nowhere' }), 3, 'No cluster is configured');
    });

    test('a kubeconfig that does not exist', async () => {
      expectOneLine(await run(['--kubeconfig', '/nowhere/config']), 3, '/nowhere/config');
    });
  });
});

function expectRefused({ code, stdout, stderr }: CommandResult, field: string, allowed: string): void {
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain(field);
  expect(stderr).toContain(allowed);
}

function expectOneLine({ code, stdout, stderr }: CommandResult, expected: number, words: string): void {
  expect(stderr.trim().split('\n')).toEqual([expect.stringContaining(words)]);
  expect({ code, stdout }).toEqual({ code: expected, stdout: '' });
}
