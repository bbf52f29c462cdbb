/** What a reading of manifests lost that an earlier one had, for it could not be read. */
import type { ManifestProblem } from './problems.ts';

/**
 * Is something missing that was there before, because it cannot be read? A pod or a file that is gone by mistake would take its isolation with it; a policy that cannot be read
 * fails closed by itself. A file that is gone from a folder which still has others is no problem: it is taken as meant.
 */
export function losesObjects(before: readonly ManifestProblem[], after: readonly ManifestProblem[]): boolean {
  const known = hiding(before);
  return [...hiding(after)].some(([name, problems]) => problems.length > (known.get(name)?.length ?? 0));
}

/** By what does not change with the lines above. */
function hiding(problems: readonly ManifestProblem[]): ReadonlyMap<string, readonly ManifestProblem[]> {
  return Map.groupBy(
    problems.filter(hidesObjects),
    ({ file, object, field, message }) => `${file} ${object} ${field} ${message}`,
  );
}

/** May a pod, a namespace or a policy be no part of the cluster because of this: a file without objects, an object that cannot be read? */
export function hidesObjects({ severity, object, field, line }: ManifestProblem): boolean {
  if (severity === 'warning') return object === '' && line === 0;
  return !/^(NetworkPolicy|Service) /.test(object) || (object.startsWith('NetworkPolicy') && MISPLACES.test(field));
}

/** A policy fails closed in the namespace that it is read to be in, which is not its own where that cannot be read. */
const MISPLACES = /^metadata\.(?!(name|labels|annotations)\b)/;
