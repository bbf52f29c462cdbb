/** Programs that are started without a copy of this process. */
import { readdirSync, readlinkSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Netns } from '../../src/sys/netns.ts';
import { type Ending, Program } from '../../src/sys/program.ts';
import { endWithTest } from '../own.ts';
import { describeAsRoot } from '../root.ts';

function start(command: string, ...args: readonly string[]): Program {
  const program = Program.start(command, args);
  endWithTest(() => program.kill('SIGKILL'));
  return program;
}

function run(input: string, ...[command = '', ...args]: readonly string[]): Promise<Ending> {
  const program = start(command, ...args);
  program.end(input);
  return program.ended;
}

describe('Program', () => {
  test('returns both outputs whole, and the exit code', async () => {
    const input = 'a line\n'.repeat(100_000);
    expect(await run(input, 'sh', '-c', 'cat; echo trouble >&2; exit 3')).toEqual({
      code: 3,
      signal: null,
      stdout: input,
      stderr: 'trouble\n',
    });
  });

  test('reports the exit code of a program that ends before it has read its input', async () => {
    expect(await run('x'.repeat(1_000_000), 'sh', '-c', 'exit 4')).toMatchObject({ code: 4, signal: null });
  });

  test('reports the signal that ended it', async () => {
    const program = start('sleep', '1000');
    expect(program.isRunning).toBe(true);
    program.kill();
    expect(await program.ended).toMatchObject({ code: null, signal: 'SIGTERM' });
    expect(program.isRunning).toBe(false);
  });

  test('waits for a program that closes its output early, and leaves no zombie', async () => {
    const program = start('sh', '-c', 'exec >&- 2>&-; read word; exit 5');
    program.end('go on\n');
    expect(await program.ended).toMatchObject({ code: 5 });
    expect(readdirSync('/proc')).not.toContain(String(program.pid));
  });

  test('starts it with SIGPIPE as it is by default, though Node ignores it', async () => {
    expect(await run('', 'sh', '-c', 'kill -PIPE $$')).toMatchObject({ code: null, signal: 'SIGPIPE' });
  });

  test('gives it none of the pipes to other programs', async () => {
    const files = async () => (await run('', 'ls', '/proc/self/fd')).stdout;
    const alone = await files();
    const others = Array.from({ length: 10 }, () => start('cat'));
    expect(await files()).toBe(alone);
    for (const other of others) other.end('');
    await Promise.all(others.map(({ ended }) => ended));
  });

  test('passes the environment that it is given, and finds the program by its PATH', async () => {
    const program = Program.start('env', [], { PATH: '/usr/bin:/bin', ONE: '1', NONE: undefined });
    expect((await program.ended).stdout).toBe('PATH=/usr/bin:/bin\nONE=1\n');
    expect(() => Program.start('env', [], { PATH: '/nowhere' })).toThrow('posix_spawn: ENOENT');
  });

  test('lets this process end, if it is told to', async () => {
    const source = `
      import { Program } from '${new URL('../../src/sys/program.ts', import.meta.url)}';
      Program.start('cat', []).unref();
      console.log('the end');`;
    expect(await run('', process.execPath, '--input-type=module', '-e', source)).toMatchObject({
      code: 0,
      stdout: 'the end\n',
    });
  });
});

describeAsRoot('Program in a network namespace', () => {
  test('starts in the namespace that the calling thread is in', async () => {
    using netns = Netns.create();
    const program = netns.run(() => Program.start('readlink', ['/proc/self/ns/net']));
    const { stdout } = await program.ended;
    expect(stdout.trim()).toBe(netns.run(() => readlinkSync('/proc/thread-self/ns/net')));
    expect(stdout.trim()).not.toBe(readlinkSync('/proc/thread-self/ns/net'));
  });
});
