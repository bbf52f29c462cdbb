/**
 * Refuses requests that do not come from a program on this machine, or through a port-forward of
 * its user. A web page open in a browser there can send some: its name resolves to 127.0.0.1 (DNS
 * rebinding), or it does not need to read the answer. The browser reveals that in headers that no
 * page can set (Fetch Standard, forbidden request-headers).
 */
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

/** Returns why the request is refused, in words for its sender; undefined if it may be answered. */
export function refusal({ host, origin, 'sec-fetch-site': site }: IncomingHttpHeaders): string | undefined {
  if (host === undefined || !isLocalName(host))
    return `ask by IP address or as localhost, not as ${JSON.stringify((host ?? '').slice(0, 100))}`;
  if (origin !== undefined && origin !== `http://${host}`) return 'pages from elsewhere get no answer';
  if (site === 'cross-site' || site === 'same-site') return 'pages from elsewhere get no answer';
  return undefined;
}

/**
 * Whether the host, with or without a port, is an address or a name that always resolves to this
 * machine (RFC 6761 section 6.3).
 */
function isLocalName(host: string): boolean {
  const [, bracketed, plain = ''] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::\d{1,5})?$/.exec(host) ?? [];
  if (bracketed !== undefined) return isIP(bracketed) === 6;
  return isIP(plain) === 4 || /^(?:[\w-]+\.)*localhost\.?$/i.test(plain);
}
