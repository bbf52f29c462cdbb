/** A question about a flow that cannot be answered as asked. */

/**
 * - `BAD_PORT` a port that does not parse, or that the Service or pod does not have
 * - `UNKNOWN_END` a name that is not a pod, Service or address
 * - `BAD_LINE` a batch line that is not a question
 * - `BAD_SERVICE` a Service sent with the question that does not parse
 * - `NO_WAY` ends between which no packet can travel: no address, no backend, no common address
 *   family
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
