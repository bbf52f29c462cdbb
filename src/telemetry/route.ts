/** What an HTTP server serves. */

export interface Route {
  /** As in `/metrics`; without a query. */
  readonly path: string;
  /** In a few words, for the list of what there is. */
  readonly summary: string;
  /** Answers a GET, and a HEAD with the same but for the body. What it throws is logged and answered with 500. */
  handle(request: RouteRequest): Reply | Promise<Reply>;
}

export interface RouteRequest {
  readonly query: URLSearchParams;
  /** The client has gone, or the server stops. */
  readonly signal: AbortSignal;
}

export interface Reply {
  readonly status: number;
  /** Media type. */
  readonly type: string;
  /**
   * All of it; or its parts as they come, until there are no more or the request's signal is aborted, for which whoever gives them must look. A slow
   * client is waited for. A connection on which nothing moves for `Limits.stalled` is cut: a part must come more often.
   */
  readonly body: string | AsyncIterable<string>;
}

export const TEXT = 'text/plain; charset=utf-8';
export const JSON_TYPE = 'application/json; charset=utf-8';

export function text(status: number, body: string): Reply {
  return { status, type: TEXT, body: `${body}\n` };
}
