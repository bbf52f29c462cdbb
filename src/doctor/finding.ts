/** The findings of doctor. */
import { CHECKS, type CheckName, SEVERITIES, type Severity } from './checks.ts';

/**
 * How sure a finding is. `certain`: seen or tried. `likely`: inferred from something that seldom
 * misleads, such as a version. `possible`: inferred from something that often does.
 */
export type Certainty = 'certain' | 'likely' | 'possible';

/** One finding. `--json` and `findings` in /status have this documented shape. */
export interface Finding {
  /** `PD201` */
  readonly code: string;
  /** `bridge-filter` */
  readonly check: CheckName;
  readonly severity: Severity;
  readonly certainty: Certainty;
  /** What is the case; sentences. */
  readonly message: string;
  /** What to do; sentences. */
  readonly advice?: string;
}

/** A finding and the nodes that it applies to; none if it is about the cluster. */
export interface NodesFinding extends Finding {
  readonly nodes: readonly string[];
}

export function finding(
  check: CheckName,
  severity: Severity,
  certainty: Certainty,
  message: string,
  advice?: string,
): Finding {
  return { code: CHECKS[check], check, severity, certainty, message, ...(advice !== undefined && { advice }) };
}

/** Sorts by severity, worst first, then by code. */
export function bySeverity<F extends Finding>(findings: readonly F[]): F[] {
  const rank = ({ severity }: Finding) => SEVERITIES.indexOf(severity);
  return findings.toSorted((a, b) => rank(b) - rank(a) || a.code.localeCompare(b.code));
}

/** Merges findings that are the same on several nodes. */
export function mergeNodes(byNode: Iterable<readonly [node: string, findings: readonly Finding[]]>): NodesFinding[] {
  const merged = new Map<string, { found: Finding; nodes: string[] }>();
  for (const [node, findings] of byNode) {
    for (const found of findings) {
      const key = JSON.stringify([found.code, found.severity, found.certainty, found.message, found.advice]);
      const same = merged.get(key);
      if (same === undefined) merged.set(key, { found, nodes: [node] });
      else if (!same.nodes.includes(node)) same.nodes.push(node);
    }
  }
  return [...merged.values()].map(({ found, nodes }) => ({ ...found, nodes }));
}
