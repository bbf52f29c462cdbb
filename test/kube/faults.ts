/** Wrong answers that a test asks for. */
import type { Kind } from './object-history.ts';

export type RequestType = 'list' | 'watch' | 'streaming-list';

export interface Fault {
  /** Which requests it meets; any where left out. */
  readonly type?: RequestType;
  readonly kind?: Kind;
  /** How many requests it meets. @default 1 */
  readonly times?: number;
  /** So many requests that it would meet are answered properly before. @default 0 */
  readonly skip?: number;
  readonly answer:
    | { readonly status: number; readonly reason?: string; readonly retryAfter?: number; readonly details?: object }
    /** Status 200 and this text. */
    | { readonly body: string }
    /** The request is read and never answered. */
    | 'hang'
    /** The connection is broken off. */
    | 'cut'
    /** The proper answer breaks off after half of its bytes. Lists only. */
    | 'half'
    /** The proper answer stops after half of its bytes, and the connection stays open. Lists only. */
    | 'pause';
}

export class Faults {
  #pending: { fault: Fault; skip: number; times: number }[] = [];

  add(fault: Fault): void {
    this.#pending.push({ fault, skip: fault.skip ?? 0, times: fault.times ?? 1 });
  }

  /** Requests that are still to meet one. */
  get left(): number {
    return this.#pending.reduce((sum, { times }) => sum + times, 0);
  }

  clear(): void {
    this.#pending = [];
  }

  /** The fault that this request is to meet, if any. */
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
