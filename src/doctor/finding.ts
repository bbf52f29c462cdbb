/** What doctor finds. */
import { CHECKS, type CheckName, SEVERITIES, type Severity } from './checks.ts';

/**
 * How sure a finding is. `certain`: seen or tried. `likely`: concluded from something that seldom misleads, such as a version. `possible`: concluded from something that
 * often does.
 */
export type Certainty = 'certain' | 'likely' | 'possible';

/** One finding; the same object is the documented shape of `--json` and of `findings` in /status. */
export interface Finding {
  /** `PD201` */
  readonly code: string;
  /** `bridge-filter` */
  readonly check: CheckName;
  readonly severity: Severity;
  readonly certainty: Certainty;
  /** What is so; sentences. */
  readonly message: string;
  /** What to do; sentences. */
  readonly advice?: string;
}

/** A finding, and the nodes that it holds for; none where it is about the cluster. */
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
  const [code] = CHECKS[check];
  return { code, check, severity, certainty, message, ...(advice !== undefined && { advice }) };
}

/** The worst first, and by code among equals. */
export function bySeverity<F extends Finding>(findings: readonly F[]): F[] {
  const rank = ({ severity }: Finding) => SEVERITIES.indexOf(severity);
  return findings.toSorted((a, b) => rank(b) - rank(a) || a.code.localeCompare(b.code));
}

/** Says once what is the same on several nodes. */
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
