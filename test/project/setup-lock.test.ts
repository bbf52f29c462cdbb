import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { identityOf, withLock } from '../../setup/lock.mjs';

const LOCK = pathToFileURL(join(import.meta.dirname, '../../setup/lock.mjs')).href;

let folder: string;
let lock: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'podfence-lock-'));
  lock = join(folder, 'setup.lock');
});
afterEach(() => rm(folder, { recursive: true }));

/** A process that runs `work` in the lock; `lock` and `folder` are defined in it. */
function lockingProcess(work: string) {
  const source = `import { withLock } from ${JSON.stringify(LOCK)};
    import { readFileSync, writeFileSync } from 'node:fs';
    const [folder, lock] = ${JSON.stringify([folder, lock])};
    await withLock(lock, async () => { ${work} });`;
  return spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: ['pipe', 'pipe', 'pipe'] });
}

describe('the lock of set-up', () => {
  it('lets one process work at a time', async () => {
    const counter = join(folder, 'counter');
    writeFileSync(counter, '0');
    // Reads, gives others a turn, writes: without the lock increments get lost.
    const increment = `const n = Number(readFileSync(folder + '/counter', 'utf8'));
      await new Promise((resolve) => setTimeout(resolve, 50));
      writeFileSync(folder + '/counter', String(n + 1));`;
    const processes = Array.from({ length: 4 }, () => lockingProcess(increment));
    const codes = await Promise.all(processes.map((child) => once(child, 'exit')));
    expect(codes).toEqual(Array(4).fill([0, null]));
    expect(readFileSync(counter, 'utf8')).toBe('4');
    expect(readdirSync(folder)).toEqual(['counter']);
  });

  it('is taken from a process that was killed in its work', async () => {
    const child = lockingProcess(`process.stdout.write('working'); await new Promise((r) => setTimeout(r, 60_000));`);
    await once(child.stdout, 'data');
    expect(existsSync(lock)).toBe(true);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await withLock(lock, async () => readFileSync(lock, 'utf8'))).toBe(identityOf(process.pid));
    expect(readdirSync(folder)).toEqual([]);
  });

  it.runIf(process.platform === 'linux')(
    'is taken where another process has the dead one’s number by now',
    async () => {
      writeFileSync(lock, `${process.ppid} 1`);
      expect(await withLock(lock, async () => 'worked')).toBe('worked');
    },
  );

  it('is taken from a process that never was', async () => {
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    writeFileSync(lock, `${pid} 1`);
    expect(await withLock(lock, async () => 'worked')).toBe('worked');
  });

  it('is given back when the work fails, and when the process exits in the middle', async () => {
    await expect(withLock(lock, () => Promise.reject(new Error('failed')))).rejects.toThrow('failed');
    expect(readdirSync(folder)).toEqual([]);
    await once(lockingProcess('process.exit(3)'), 'exit');
    expect(readdirSync(folder)).toEqual([]);
  });

  it('says whom it waits for', async () => {
    writeFileSync(lock, identityOf(process.pid));
    const child = lockingProcess('');
    const [text] = await once(child.stderr, 'data');
    expect(String(text)).toContain(`(process ${process.pid})`);
    await rm(lock);
    expect(await once(child, 'exit')).toEqual([0, null]);
  });
});
