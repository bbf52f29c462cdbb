/** What can go wrong between podfence and the container runtime, by what caused it. */

/**
 * - `frame-too-long` a frame of the multiplexer announces more than NRI allows
 * - `message-too-long` a ttrpc message announces, or would have, more than 4 MiB
 * - `malformed` a message is not what its definition says
 * - `too-many-pods` Synchronize named more pods than a node can have
 * - `refused` the runtime answered a call with an error
 * - `shutdown` the runtime announced that it ends
 * - `closed` the connection was closed, by either side
 * - `connection` the connection failed
 */
export type NriFailure =
  | 'frame-too-long'
  | 'message-too-long'
  | 'malformed'
  | 'too-many-pods'
  | 'refused'
  | 'shutdown'
  | 'closed'
  | 'connection';

export class NriError extends Error {
  override readonly name = 'NriError';
  readonly code: NriFailure;

  constructor(code: NriFailure, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}
