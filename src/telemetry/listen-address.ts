/** The address that a server listens at, and the errors of listening. */
import { isIP } from 'node:net';

export interface ListenAddress {
  /** An IP address; undefined for all addresses of this machine, IPv4 and IPv6. */
  readonly host: string | undefined;
  /** 0: the kernel chooses one. */
  readonly port: number;
}

/**
 *     INVALID_ADDRESS  the text is not an address with a port
 *     IN_USE           another process listens there
 *     NOT_OURS         this machine does not have the address
 *     NOT_PERMITTED    a port below 1024, without root or CAP_NET_BIND_SERVICE
 *     FAILED           anything else, in the system's own words
 */
export type ListenErrorCode = 'INVALID_ADDRESS' | 'IN_USE' | 'NOT_OURS' | 'NOT_PERMITTED' | 'FAILED';

export class ListenError extends Error {
  override readonly name = 'ListenError';
  readonly code: ListenErrorCode;
  /** What the user can do about it. */
  readonly hint: string;

  constructor(code: ListenErrorCode, message: string, hint: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
    this.hint = hint;
  }
}

const FORMS = 'write :9464, 127.0.0.1:9464 or [::1]:9464';
const MAX_PORT = 65_535;

/**
 * Reads `:9464` (all addresses), `127.0.0.1:9464` or `[::1]:9464`. Throws a ListenError with
 * INVALID_ADDRESS.
 */
export function parseListenAddress(text: string): ListenAddress {
  const invalid = (why: string) => new ListenError('INVALID_ADDRESS', `${JSON.stringify(text)}: ${why}`, FORMS);
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d+)$/.exec(text) ?? [];
  if (digits === undefined) throw invalid(`not an address with a port; ${FORMS}`);
  const port = Number(digits);
  if (port > MAX_PORT) throw invalid(`the port must be from 0 to ${MAX_PORT}`);
  if (bracketed === undefined && plain === '') return { host: undefined, port };
  const host = bracketed ?? plain ?? '';
  if (isIP(host) !== (bracketed === undefined ? 4 : 6)) {
    throw invalid(`${JSON.stringify(host)} is not an IP${bracketed === undefined ? 'v4' : 'v6'} address; ${FORMS}`);
  }
  return { host, port };
}

export function formatListenAddress({ host, port }: ListenAddress): string {
  if (host === undefined) return `:${port}`;
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether only this machine can reach it (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3). */
export function isLoopback({ host }: ListenAddress): boolean {
  return host !== undefined && (host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host));
}

/** Returns the ListenError for the system's error from listening. */
export function listenFailed(address: ListenAddress, error: NodeJS.ErrnoException): ListenError {
  const text = formatListenAddress(address);
  switch (error.code) {
    case 'EADDRINUSE':
      return new ListenError(
        'IN_USE',
        `${text} is in use`,
        'choose another port, or stop the process that listens there',
        error,
      );
    case 'EADDRNOTAVAIL':
      return new ListenError('NOT_OURS', `${text} is not an address of this machine`, 'choose one of its own', error);
    case 'EACCES':
      return new ListenError(
        'NOT_PERMITTED',
        `no permission to listen at ${text}`,
        'choose a port from 1024 on',
        error,
      );
    default:
      return new ListenError('FAILED', `cannot listen at ${text}: ${error.message}`, FORMS, error);
  }
}
