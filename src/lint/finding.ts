/** The findings of lint. */
import type { Path } from '../cluster/field.ts';
import { type RuleName, ruleOf, type Severity } from './rules.ts';

/** A rule's finding in a policy, without its place in a file. */
export interface Mistake {
  readonly rule: RuleName;
  /** The field in the policy. */
  readonly path: Path;
  /** The problem, without a full stop. */
  readonly message: string;
  /** What was probably meant, or what to do; sentences. */
  readonly hint?: string;
  /** Present if it is not the rule's own. */
  readonly severity?: Severity;
}

/** Edits of a file that remove the mistake without doubt; see `--fix`. */
export interface FindingFix {
  /** `"protocal" becomes "protocol"` */
  readonly summary: string;
  /** The field's path after the edits. */
  readonly field: string;
  /** Offsets into the file's text, in UTF-16 code units. */
  readonly edits: readonly { readonly start: number; readonly end: number; readonly text: string }[];
}

/** One finding. `--json` prints the same object; its shape is documented. */
export interface Finding {
  /** `PF201` */
  readonly code: string;
  /** `selects-no-pod` */
  readonly rule: RuleName;
  readonly severity: Severity;
  /** As given or found; `-` is standard input; empty if nothing was read from files. */
  readonly file: string;
  /** Line and column from 1; 0 if the finding is not about one place. */
  readonly line: number;
  readonly column: number;
  /** `NetworkPolicy shop/web` */
  readonly object: string;
  /** `spec.ingress[0].from[1]` */
  readonly field: string;
  readonly message: string;
  readonly hint?: string;
  /** The consequence, a sentence. */
  readonly note?: string;
  readonly fix?: FindingFix;
}

/** A Finding without its rule, which supplies the code and the default severity. */
export type FindingOf = Omit<Finding, 'code' | 'rule' | 'severity'> & { readonly severity?: Severity | undefined };

export function findingOf(rule: RuleName, { severity, ...finding }: FindingOf): Finding {
  const { code, severity: usual } = ruleOf(rule);
  return { code, rule, severity: severity ?? usual, ...finding };
}
