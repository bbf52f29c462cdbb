/**
 * Files and folders by their names, watched for change: also when another file takes the name, as most editors and `mv` do it, and when a name goes and comes back. fs.watch
 * alone stays with the file that had the name when it began.
 */
import { existsSync, type FSWatcher, watch } from 'node:fs';

/** What changes one after the other within this time, in ms, is one change; */
const SETTLE = 100;
/** but where it never ends, it is told of after so long. */
const LONGEST = 1000;
/** Between two looks for a path that is not there, in ms. */
const RETRY = 500;

export class PathWatch {
  readonly #paths: readonly string[];
  #changed: ((noticedAt: number) => void) | undefined;
  #watchers: FSWatcher[] = [];
  /** Looks for what is not there. */
  #looking: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** When the change began that is not told of yet. */
  #noticedAt: number | undefined;

  /**
   * Watches from now on, for as long as the process has something else to do. A path need not be there.
   * @throws Error of fs.watch for a path that is there and cannot be watched
   */
  constructor(paths: readonly string[]) {
    this.#paths = paths;
    const [failure] = this.#watch();
    if (failure === undefined) return;
    this.stop();
    throw failure;
  }

  /**
   * Calls `changed` after each change, and for what was changed since the beginning.
   * @param changed gets the time when the change was noticed, in ms of performance.now()
   */
  follow(changed: (noticedAt: number) => void): void {
    this.#changed = changed;
    if (this.#noticedAt !== undefined) this.#notice();
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearInterval(this.#looking);
    for (const each of this.#watchers) each.close();
  }

  /** Gives back why paths that are there cannot be watched: they are looked at again and again, as the missing ones are. */
  #watch(): readonly unknown[] {
    this.stop();
    this.#watchers = [];
    const failures: unknown[] = [];
    const unwatched = this.#paths.filter((path) => {
      try {
        if (existsSync(path)) this.#watchers.push(this.#watcherOf(path));
      } catch (error) {
        if (existsSync(path)) failures.push(error);
        return true;
      }
      // Afterwards: one that has gone meanwhile is missing, too.
      return !existsSync(path);
    });
    if (unwatched.length === 0) return failures;
    this.#looking = setInterval(() => {
      if (unwatched.some((path) => existsSync(path))) this.#notice();
    }, RETRY);
    this.#looking.unref();
    return failures;
  }

  #watcherOf(path: string): FSWatcher {
    const watcher = watch(path, { recursive: true, persistent: false }, () => this.#notice());
    return watcher.on('error', () => this.#notice());
  }

  #notice(): void {
    const now = performance.now();
    this.#noticedAt ??= now;
    if (this.#changed === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tell(), Math.min(SETTLE, Math.max(0, this.#noticedAt + LONGEST - now)));
    this.#timer.unref();
  }

  #tell(): void {
    const noticedAt = this.#noticedAt ?? performance.now();
    this.#noticedAt = undefined;
    // First, so that nothing falls between.
    this.#watch();
    this.#changed?.(noticedAt);
  }
}
