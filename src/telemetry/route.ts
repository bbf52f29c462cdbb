/** What an HTTP server serves. */

export interface Route {
  /** `/metrics`, for example; without a query. */
  readonly path: string;
  /** A few words for the list of routes. */
  readonly summary: string;
  /** Answers GET, and HEAD without the body. What it throws is logged and answered with 500. */
  handle(request: RouteRequest): Reply | Promise<Reply>;
}

export interface RouteRequest {
  readonly query: URLSearchParams;
  /** Aborted when the client disconnects or the server stops. */
  readonly signal: AbortSignal;
}

export interface Reply {
  readonly status: number;
  /** Media type. */
  readonly type: string;
  /**
   * The whole body, or its parts as they come. The parts must end when the request's signal is
   * aborted. A slow client makes the producer wait. A connection that moves no byte for
   * `Limits.stalled` is cut, so parts must come more often.
   */
  readonly body: string | AsyncIterable<string>;
}

export const TEXT = 'text/plain; charset=utf-8';
export const JSON_TYPE = 'application/json; charset=utf-8';

export function text(status: number, body: string): Reply {
  return { status, type: TEXT, body: `${body}\n` };
}
