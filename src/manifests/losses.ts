/** Detects that a reading of manifests lost objects of the one before, because of a mistake. */
import type { ManifestProblem } from './problems.ts';

/**
 * Whether something is missing that was there before, because it cannot be read. A pod or file that
 * vanishes by mistake would take its isolation with it; a policy that cannot be read fails closed
 * by itself. A file removed from a folder that still has others counts as intended.
 */
export function losesObjects(before: readonly ManifestProblem[], after: readonly ManifestProblem[]): boolean {
  const known = hiding(before);
  return [...hiding(after)].some(([name, problems]) => problems.length > (known.get(name)?.length ?? 0));
}

/** Groups problems by what does not change when lines above them do. */
function hiding(problems: readonly ManifestProblem[]): ReadonlyMap<string, readonly ManifestProblem[]> {
  return Map.groupBy(
    problems.filter(hidesObjects),
    ({ file, object, field, message }) => `${file} ${object} ${field} ${message}`,
  );
}

/**
 * Whether a pod, namespace or policy may be missing from the cluster because of this problem: a
 * file without objects, or an object that cannot be read.
 */
export function hidesObjects({ severity, object, field, line }: ManifestProblem): boolean {
  if (severity === 'warning') return object === '' && line === 0;
  return !/^(NetworkPolicy|Service) /.test(object) || (object.startsWith('NetworkPolicy') && MISPLACES.test(field));
}

/**
 * Fields whose mistakes may put a policy into the wrong namespace, where it fails closed for other
 * pods than its own.
 */
const MISPLACES = /^metadata\.(?!(name|labels|annotations)\b)/;
