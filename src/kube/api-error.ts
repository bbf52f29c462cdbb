/** Failures between podfence and the API server, sorted by what to do about them. */

/**
 * - `ended` the server ended a watch, as it does every few minutes: go on from the same version
 * - `quiet` a watch was silent for a while, as it is where nothing happens: begin it again, to see
 *   that the server is alive
 * - `expired` the resourceVersion or continue token is too old (410): list again
 * - `inactive` an answer is overdue, the connection is probably half-open: connect again
 * - `connection` the connection failed or broke
 * - `malformed` the answer is not what the API specifies
 * - `unauthorized` 401: read the credentials again
 * - `forbidden` 403: the ClusterRole lacks a permission
 * - `overloaded` 429 and 503: wait as long as the server asks for
 * - `server-error` other 5xx
 * - `rejected` other statuses
 */
export const FAILURES = [
  'ended',
  'quiet',
  'expired',
  'inactive',
  'connection',
  'malformed',
  'unauthorized',
  'forbidden',
  'overloaded',
  'server-error',
  'rejected',
] as const;
export type Failure = (typeof FAILURES)[number];

export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: Failure;
  /** HTTP status, or the code of a Status object in a watch; undefined if there was none. */
  readonly status: number | undefined;
  /** Milliseconds that the server asks to wait; 0 if it does not ask. */
  readonly retryAfter: number;

  constructor(code: Failure, message: string, options: { status?: number; retryAfter?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.status = options.status;
    this.retryAfter = options.retryAfter ?? 0;
  }
}

/**
 * Returns the ApiError itself; wraps anything else, which comes from socket, TLS or credentials.
 */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError('connection', describeCause(error), { cause: error });
}

/** Node reports several failed addresses as an AggregateError without a message of its own. */
function describeCause(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(describeCause).join('; ');
  return error instanceof Error ? error.message : String(error);
}

/** The longest wait that a server may ask for, in ms: a proxy in between may send any number. */
const MAX_RETRY_AFTER = 5 * 60_000;

/**
 * Returns the error for an unsuccessful HTTP status, or for the Status object of an ERROR event.
 * @param body the parsed Status object, if there is one
 * (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/)
 * @param retryAfterHeader seconds, as the API server sends it (RFC 9110 section 10.2.3 also allows
 * a date)
 */
export function errorOfStatus(status: number, body: unknown, retryAfterHeader?: string): ApiError {
  const { message, reason, details } = readStatus(body);
  const seconds = Number(retryAfterHeader ?? details.retryAfterSeconds ?? 0);
  const retryAfter = seconds > 0 ? Math.min(seconds * 1000, MAX_RETRY_AFTER) : 0;
  const text = `HTTP ${status}${reason === '' ? '' : ` ${reason}`}${message === '' ? '' : `: ${message}`}`;
  return new ApiError(failureOf(status, reason, details.causes), text, { status, retryAfter });
}

function failureOf(status: number, reason: string, causes: unknown): Failure {
  if (status === 410 || reason === 'Expired' || reason === 'Gone') return 'expired';
  // A resourceVersion from the future: the storage was restored from a backup. Only a new list
  // helps.
  if (Array.isArray(causes) && causes.some((cause) => cause?.reason === 'ResourceVersionTooLarge')) return 'expired';
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'forbidden';
  if (status === 429 || status === 503) return 'overloaded';
  return status >= 500 ? 'server-error' : 'rejected';
}

function readStatus(body: unknown): {
  message: string;
  reason: string;
  details: { retryAfterSeconds?: unknown; causes?: unknown };
} {
  const status = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const { message, reason, details } = status;
  return {
    message: typeof message === 'string' ? message.slice(0, 500) : '',
    reason: typeof reason === 'string' ? reason.slice(0, 100) : '',
    details: typeof details === 'object' && details !== null ? details : {},
  };
}
