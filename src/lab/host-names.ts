/** Resolves the names of lab hosts that users type. */
import { nearest } from '../cluster/nearest.ts';

const MOST_CANDIDATES = 6;

/** A name that matches no host of the lab, or several. The message lists likely candidates. */
export class UnknownHostError extends Error {
  override readonly name = 'UnknownHostError';
}

/**
 * Returns the host called `name`: the full name, or the name without its namespace if that is
 * unique. @throws UnknownHostError
 */
export function findHost(name: string, hosts: readonly string[]): string {
  if (hosts.includes(name)) return name;
  const matching = hosts.filter((host) => host.endsWith(`/${name}`));
  const [only] = matching;
  if (only !== undefined && matching.length === 1) return only;
  if (matching.length > 1)
    throw new UnknownHostError(`several hosts of the lab are called ${name}: ${matching.join(', ')}`);
  const candidates = likely(name, hosts);
  throw new UnknownHostError(
    candidates.length > 0
      ? `there is no ${name} in the lab; did you mean ${candidates.join(', ')}?`
      : `there is no ${name} in the lab, but there are ${list(hosts)}`,
  );
}

/** Guesses the host: a Deployment's name stands for its pods; otherwise there may be a typo. */
function likely(name: string, hosts: readonly string[]): readonly string[] {
  const containing = hosts.filter((host) => host.includes(name));
  if (containing.length > 0) return containing.slice(0, MOST_CANDIDATES);
  const short = name.slice(name.lastIndexOf('/') + 1);
  const byShort = Map.groupBy(hosts, (host) => host.slice(host.lastIndexOf('/') + 1));
  const near = nearest(name, hosts);
  return near === undefined ? (byShort.get(nearest(short, byShort.keys()) ?? '') ?? []) : [near];
}

function list(hosts: readonly string[]): string {
  const shown = hosts.slice(0, MOST_CANDIDATES).join(', ');
  return hosts.length > MOST_CANDIDATES ? `${shown} and ${hosts.length - MOST_CANDIDATES} more` : shown;
}
