import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { identityOf, withLock } from '../../setup/lock.mjs';
import { eventually } from '../patience.ts';

const LOCK = pathToFileURL(join(import.meta.dirname, '../../setup/lock.mjs')).href;

let folder: string;
let lock: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podfence-lock-'));
  lock = join(folder, 'setup.lock');
});
afterEach(() => rm(folder, { recursive: true }));

/** Starts a process that runs `work` while holding the lock; `work` can use `lock` and `folder`. */
function lockingProcess(work: string) {
  const source = `import { withLock } from ${JSON.stringify(LOCK)};
    import { appendFileSync } from 'node:fs';
    const [folder, lock] = ${JSON.stringify([folder, lock])};
    await withLock(lock, async () => { ${work} });`;
  return spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: ['pipe', 'pipe', 'pipe'] });
}

describe('the lock of set-up', () => {
  const HOLD = `process.stdout.write('working'); for await (const _ of process.stdin);`;

  it('lets one process work at a time, and names it to those that wait', async () => {
    const log = join(folder, 'log');
    const note = (text: string) => `appendFileSync(folder + '/log', ${JSON.stringify(`${text}\n`)});`;
    const first = lockingProcess(`${note('first begins')} ${HOLD} ${note('first ends')}`);
    await once(first.stdout, 'data');
    const second = lockingProcess(note('second begins'));
    const [text] = await once(second.stderr, 'data');
    expect(String(text)).toContain(`(process ${first.pid})`);
    expect(readFileSync(log, 'utf8')).toBe('first begins\n');
    first.stdin.end();
    expect(await once(second, 'exit')).toEqual([0, null]);
    expect(readFileSync(log, 'utf8')).toBe('first begins\nfirst ends\nsecond begins\n');
    expect(readdirSync(folder)).toEqual(['log']);
  });

  it('is taken over from a process that was killed while it worked', async () => {
    const child = lockingProcess(HOLD);
    await once(child.stdout, 'data');
    expect(existsSync(lock)).toBe(true);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await withLock(lock, async () => readFileSync(lock, 'utf8'))).toBe(identityOf(process.pid));
    expect(readdirSync(folder)).toEqual([]);
  });

  it.runIf(process.platform === 'linux')('is taken over if another process has the dead one’s PID by now', async () => {
    writeFileSync(lock, `${process.ppid} 1`);
    expect(await withLock(lock, async () => 'worked')).toBe('worked');
  });

  it.runIf(process.platform === 'linux')('is taken over from a zombie that is never reaped', async () => {
    // The shell turns into a program that does not wait for the shell's children, and answers
    // once it has.
    const parent = spawn('sh', ['-c', 'cat <&3 & echo $!; exec cat'], {
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    }) as ChildProcessWithoutNullStreams;
    const pid = Number(String(await once(parent.stdout, 'data')));
    parent.stdin.write('ready');
    await once(parent.stdout, 'data');
    (parent.stdio[3] as Writable).end();
    await eventually(() => expect(readFileSync(`/proc/${pid}/stat`, 'utf8')).toContain(') Z '));
    writeFileSync(lock, identityOf(pid));
    expect(await withLock(lock, async () => 'worked')).toBe('worked');
    parent.stdin.end();
    await once(parent, 'exit');
  });

  it('is taken over from a process that never existed', async () => {
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    writeFileSync(lock, `${pid} 1`);
    expect(await withLock(lock, async () => 'worked')).toBe('worked');
  });

  it('is released when the work fails, and when the process exits early', async () => {
    await expect(withLock(lock, () => Promise.reject(new Error('failed')))).rejects.toThrow('failed');
    expect(readdirSync(folder)).toEqual([]);
    await once(lockingProcess('process.exit(3)'), 'exit');
    expect(readdirSync(folder)).toEqual([]);
  });
});
