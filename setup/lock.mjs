/** One set-up at a time in a checkout: a lock file that names the process, so that one left by a killed process is recognised. */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { statFields } from './child.mjs';
import { say } from './output.mjs';

const RETRY_MS = 200;

/**
 * Does the work while holding the lock. Waits for a live holder; takes the lock of a dead one. The lock is also given back when the
 * process exits in the middle.
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

/** A hard link appears with its content, in one step, and only where nothing is. */
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
 * Removes a dead holder's lock. Somebody else may have done so and hold the lock by now: then what was taken away is put back.
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
 * A process as `PID START`: process numbers are used again, a number with its start time is not. The start is in clock ticks from boot
 * (proc(5), field 22 of /proc/PID/stat), `-` where that is not known.
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

/** @param {string} identity what `identityOf` gave */
function isAlive(identity) {
  const pid = Number(identity.split(' ')[0]);
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ESRCH') return false;
  }
  // A zombie has ended; in a container nobody may ever collect it.
  return identityOf(pid) === identity && processStat(pid)?.[0] !== 'Z';
}
