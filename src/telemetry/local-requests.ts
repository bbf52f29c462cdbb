/**
 * Requests that only programs of this machine make, or behind a port-forward of the person who asks. A web page that is open there can send them too: its name resolves to 127.0.0.1 (DNS
 * rebinding), or it does not mind that it may not read the answer. Its browser tells, in headers that no page can set (Fetch Standard, forbidden request-headers).
 */
import type { IncomingHttpHeaders } from 'node:http';
import { isIP } from 'node:net';

/** Why the request is refused, in words for who sent it; undefined where it is answered. */
export function refusal({ host, origin, 'sec-fetch-site': site }: IncomingHttpHeaders): string | undefined {
  if (host === undefined || !isLocalName(host))
    return `this is asked by its address or as localhost, not as ${JSON.stringify((host ?? '').slice(0, 100))}`;
  if (origin !== undefined && origin !== `http://${host}`) return 'pages from elsewhere get no answer';
  if (site === 'cross-site' || site === 'same-site') return 'pages from elsewhere get no answer';
  return undefined;
}

/** A name that resolves to this machine whoever answers (RFC 6761 section 6.3), or an address, with or without a port. */
function isLocalName(host: string): boolean {
  const [, bracketed, plain = ''] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::\d{1,5})?$/.exec(host) ?? [];
  if (bracketed !== undefined) return isIP(bracketed) === 6;
  return isIP(plain) === 4 || /^(?:[\w-]+\.)*localhost\.?$/i.test(plain);
}
