/**
 * Allows one set-up at a time in a checkout, by a lock file that names its process, so that the
 * lock of a killed process is recognised.
 */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { statFields } from './child.mjs';
import { say } from './output.mjs';

const RETRY_MS = 200;

/**
 * Runs `work` while holding the lock. Waits for a live holder, and takes over the lock of a dead
 * one. The lock is also released if the process exits early.
 * @template T
 * @param {string} path the lock file
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withLock(path, work) {
  mkdirSync(dirname(path), { recursive: true });
  const own = `${path}.${process.pid}`;
  const discard = () => rmSync(own, { force: true });
  const release = () => rmSync(path, { force: true });
  process.on('exit', discard);
  try {
    writeFileSync(own, identityOf(process.pid));
    for (let waiting = false; !tryLink(own, path); ) {
      const holder = readHolder(path);
      if (holder === undefined) continue;
      if (isAlive(holder)) {
        if (!waiting) say(`waiting for another set-up of this checkout (process ${holder.split(' ')[0]})`);
        waiting = true;
        await sleep(RETRY_MS);
      } else {
        takeAway(path, holder, own);
      }
    }
    process.on('exit', release);
  } finally {
    discard();
    process.off('exit', discard);
  }
  try {
    return await work();
  } finally {
    release();
    process.off('exit', release);
  }
}

/**
 * Takes the lock if it is free. A hard link appears in one step and with its content, and only if
 * the path does not exist.
 */
function tryLink(/** @type {string} */ own, /** @type {string} */ path) {
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'EEXIST') return false;
    throw error;
  }
}

/** @param {string} path */
function readHolder(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * Removes a dead holder's lock. If another process already removed it and holds the lock now, that
 * process's lock is put back.
 * @param {string} path
 * @param {string} holder
 * @param {string} own
 */
function takeAway(path, holder, own) {
  const aside = `${own}.stale`;
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  if (readHolder(aside) !== holder) tryLink(aside, path);
  rmSync(aside, { force: true });
}

/**
 * Returns a process as `PID START`: the kernel reuses a PID, but not together with a start time.
 * START is in clock ticks since boot (proc(5), field 22 of /proc/PID/stat), `-` if unknown.
 * @param {number} pid
 */
export function identityOf(pid) {
  return `${pid} ${processStat(pid)?.[19] ?? '-'}`;
}

/** @param {number} pid */
function processStat(pid) {
  try {
    return statFields(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return undefined;
  }
}

/** @param {string} identity as `identityOf` returned it */
function isAlive(identity) {
  const pid = Number(identity.split(' ')[0]);
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ESRCH') return false;
  }
  // A zombie has ended; in a container it may never be reaped.
  return identityOf(pid) === identity && processStat(pid)?.[0] !== 'Z';
}
