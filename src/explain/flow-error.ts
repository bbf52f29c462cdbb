/** A question about a flow that makes no sense as it is. */

/**
 * - `BAD_PORT` a port that cannot be read, or that a Service or pod does not have
 * - `UNKNOWN_END` a name that is no pod, Service or address
 * - `BAD_LINE` a line of a batch that is no question
 * - `BAD_SERVICE` a Service that comes with the question and cannot be read
 * - `NO_WAY` ends between which no packet can travel: no address, no backend, no common address family
 */
export type FlowErrorCode = 'BAD_PORT' | 'UNKNOWN_END' | 'BAD_LINE' | 'BAD_SERVICE' | 'NO_WAY';

export class FlowError extends Error {
  override readonly name = 'FlowError';
  readonly code: FlowErrorCode;

  constructor(code: FlowErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
