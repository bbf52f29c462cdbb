/**
 * Network namespaces without names. One lives as long as somebody holds it: an open descriptor, a process or a thread in it. When the
 * process that made it ends, however it ends, the kernel takes the namespace down with its interfaces, rules and connections: nothing
 * is left behind to clean up. See network_namespaces(7), setns(2).
 */
import { closeSync, openSync } from 'node:fs';
import { setns, unshareNetwork } from './libc.ts';

export class Netns implements Disposable {
  /** Held open, close-on-exec. */
  readonly fd: number;
  #isOpen = true;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** A new, empty namespace with a loopback interface that is down. Throws SystemCallError (EPERM) without CAP_SYS_ADMIN. */
  static create(): Netns {
    const home = openSync('/proc/thread-self/ns/net', 'r');
    try {
      unshareNetwork();
      try {
        return new Netns(openSync('/proc/thread-self/ns/net', 'r'));
      } finally {
        setns(home);
      }
    } finally {
      closeSync(home);
    }
  }

  /** A path by which other processes reach the namespace while this process lives: for `nsenter --net=`, `ip link … netns`. */
  get path(): string {
    return `/proc/${process.pid}/fd/${this.fd}`;
  }

  /**
   * Runs `action` with the calling thread in this namespace. Only what happens before `action` returns is inside: sockets that it makes, files
   * under /proc/sys/net that it opens, processes that it spawns, worker threads that it starts.
   */
  run<T>(action: () => T): T {
    // The number may be another file's by now.
    if (!this.#isOpen) throw new Error('the network namespace is closed');
    return runInNetns(this.fd, action);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeSync(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** `Netns.run` for a thread that was only told the descriptor. */
export function runInNetns<T>(fd: number, action: () => T): T {
  const home = openSync('/proc/thread-self/ns/net', 'r');
  try {
    setns(fd);
    try {
      return action();
    } finally {
      setns(home);
    }
  } finally {
    closeSync(home);
  }
}
