/** Wrong answers that a test requests. */
import type { Kind } from './object-history.ts';

export type RequestType = 'list' | 'watch' | 'streaming-list';

export interface Fault {
  /** The requests that it applies to; all if left out. */
  readonly type?: RequestType;
  readonly kind?: Kind;
  /** How many requests it applies to. @default 1 */
  readonly times?: number;
  /** How many matching requests are answered properly before. @default 0 */
  readonly skip?: number;
  readonly answer:
    | { readonly status: number; readonly reason?: string; readonly retryAfter?: number; readonly details?: object }
    /** Status 200 and this text. */
    | { readonly body: string }
    /** The request is read and never answered. */
    | 'hang'
    /** The connection is cut. */
    | 'cut'
    /** The proper answer breaks off after half of its bytes. Lists only. */
    | 'half'
    /**
     * The proper answer stops after half of its bytes, and the connection stays open. Lists only.
     */
    | 'pause';
}

export class Faults {
  #pending: { fault: Fault; skip: number; times: number }[] = [];

  add(fault: Fault): void {
    this.#pending.push({ fault, skip: fault.skip ?? 0, times: fault.times ?? 1 });
  }

  /** Number of requests that will still get a fault. */
  get left(): number {
    return this.#pending.reduce((sum, { times }) => sum + times, 0);
  }

  clear(): void {
    this.#pending = [];
  }

  /** Returns the fault for this request, if any, and uses it up. */
  take(type: RequestType, kind: Kind): Fault['answer'] | undefined {
    for (const pending of this.#pending) {
      const { fault } = pending;
      if ((fault.type ?? type) !== type || (fault.kind ?? kind) !== kind || pending.times === 0) continue;
      if (pending.skip > 0) {
        pending.skip--;
        continue;
      }
      pending.times--;
      return fault.answer;
    }
    return undefined;
  }
}
