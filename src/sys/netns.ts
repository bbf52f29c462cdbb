/**
 * Network namespaces without names. A namespace lives as long as something keeps it: an open
 * descriptor, or a process or thread in it. When the process that created it ends, however it ends,
 * the kernel removes the namespace with its interfaces, rules and connections: nothing is left to
 * clean up. See network_namespaces(7), setns(2).
 */
import { closeSync, openSync } from 'node:fs';
import { setns, unshareNetwork } from './libc.ts';

export class Netns implements Disposable {
  /** Open for as long as this object, close-on-exec. */
  readonly fd: number;
  #isOpen = true;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /**
   * Creates an empty namespace with a loopback interface that is down. Throws SystemCallError
   * (EPERM) without CAP_SYS_ADMIN.
   */
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

  /**
   * Path to the namespace for other processes while this process lives: for `nsenter --net=`, `ip
   * link … netns`.
   */
  get path(): string {
    return `/proc/${process.pid}/fd/${this.fd}`;
  }

  /**
   * Runs `action` with the calling thread in this namespace. Only what happens before `action`
   * returns is inside: sockets that it creates, files under /proc/sys/net that it opens, processes
   * and worker threads that it starts.
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

/** `Netns.run` for a thread that has only the descriptor. */
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
