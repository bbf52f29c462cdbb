/**
 * The environment's proxy for a server, by the rules of Go's clients, which administrators know
 * (https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config). The server's scheme chooses
 * HTTPS_PROXY or HTTP_PROXY. NO_PROXY is `*` or a list of addresses, CIDR blocks and domains, each
 * with an optional port. Lower-case names win. Loopback is never proxied.
 */
import { BlockList, isIP } from 'node:net';

export function proxyFor(server: URL, environment: Readonly<Record<string, string | undefined>>): string | undefined {
  const get = (name: string) => environment[name.toLowerCase()] || environment[name] || undefined;
  const proxy = get(server.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY');
  if (proxy === undefined) return undefined;
  const host = server.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (host === 'localhost' || isLoopback(host)) return undefined;
  const port = server.port || (server.protocol === 'https:' ? '443' : '80');
  const exceptions = (get('NO_PROXY') ?? '').split(',').map((entry) => entry.trim().toLowerCase());
  if (exceptions.some((entry) => matches(entry, host, port))) return undefined;
  return proxy.includes('://') ? proxy : `http://${proxy}`;
}

function isLoopback(host: string): boolean {
  return host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === '') return false;
  if (entry === '*') return true;
  if (entry.includes('/')) return isInBlock(host, entry);
  const { name, port: wantedPort } = splitPort(entry);
  if (wantedPort !== undefined && wantedPort !== port) return false;
  if (isIP(name) > 0) return name === host;
  // example.com matches itself and its subdomains, .example.com only the subdomains.
  if (name.startsWith('.')) return host.endsWith(name);
  const domain = name.replace(/^\*\./, '');
  return (domain === name && host === domain) || host.endsWith(`.${domain}`);
}

function splitPort(entry: string): { name: string; port: string | undefined } {
  const match = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d+))?$/.exec(entry);
  return match === null ? { name: entry, port: undefined } : { name: match[1] ?? match[2] ?? '', port: match[3] };
}

function isInBlock(host: string, block: string): boolean {
  const [address = '', prefix = ''] = block.split('/');
  const family = isIP(address);
  if (family === 0 || family !== isIP(host) || !/^\d{1,3}$/.test(prefix)) return false;
  if (Number(prefix) > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  const type = family === 4 ? 'ipv4' : 'ipv6';
  list.addSubnet(address, Number(prefix), type);
  return list.check(host, type);
}
