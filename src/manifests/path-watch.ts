/**
 * Watches files and folders by name. It notices when another file takes the name, as most editors
 * and `mv` do it, and when a name disappears and comes back. fs.watch alone follows the file that
 * had the name at the start.
 */
import { existsSync, type FSWatcher, watch } from 'node:fs';

/** Reports a change after this many ms without another one. */
const SETTLE = 100;
/** After this many ms reports the changes even if more keep coming. */
const LONGEST = 1000;
/** Milliseconds between two checks for a missing path. */
const RETRY = 500;

export class PathWatch {
  readonly #paths: readonly string[];
  #changed: ((noticedAt: number) => void) | undefined;
  #watchers: FSWatcher[] = [];
  /** Checks for missing paths. */
  #looking: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** When the first unreported change was noticed. */
  #noticedAt: number | undefined;

  /**
   * Watches from now on, without keeping the process alive. A path need not exist.
   * @throws Error of fs.watch for an existing path that cannot be watched
   */
  constructor(paths: readonly string[]) {
    this.#paths = paths;
    const [failure] = this.#watch();
    if (failure === undefined) return;
    this.stop();
    throw failure;
  }

  /**
   * Calls `changed` after each change, including those since the constructor.
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

  /** Returns why existing paths cannot be watched. It checks them again, like missing ones. */
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
      // Check again: a path that disappeared meanwhile is missing too.
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
    // Watch before the callback, so that no change between the two is missed.
    this.#watch();
    this.#changed?.(noticedAt);
  }
}
