/** What lint finds. */
import type { Path } from '../cluster/field.ts';
import { type RuleName, ruleOf, type Severity } from './rules.ts';

/** What a rule finds in a policy, before it is known where that is written. */
export interface Mistake {
  readonly rule: RuleName;
  /** In the policy. */
  readonly path: Path;
  /** What is wrong, without a full stop. */
  readonly message: string;
  /** What was probably meant, or what to do; sentences. */
  readonly hint?: string;
  /** Where it is not the rule's own. */
  readonly severity?: Severity;
}

/** An edit of a file that makes a finding go away without a doubt; see `--fix`. */
export interface FindingFix {
  /** `"protocal" becomes "protocol"` */
  readonly summary: string;
  /** The field as it is then called. */
  readonly field: string;
  /** Offsets into the file's text, in UTF-16 code units. */
  readonly edits: readonly { readonly start: number; readonly end: number; readonly text: string }[];
}

/** One finding; the same object is the documented shape of `--json`. */
export interface Finding {
  /** `PF201` */
  readonly code: string;
  /** `selects-no-pod` */
  readonly rule: RuleName;
  readonly severity: Severity;
  /** As given or found; `-` is standard input; empty where nothing was read from files. */
  readonly file: string;
  /** Both from 1; 0 where it is not about one place. */
  readonly line: number;
  readonly column: number;
  /** `NetworkPolicy shop/web` */
  readonly object: string;
  /** `spec.ingress[0].from[1]` */
  readonly field: string;
  readonly message: string;
  readonly hint?: string;
  /** What follows from it, a sentence. */
  readonly note?: string;
  readonly fix?: FindingFix;
}

/** What a Finding has besides its rule, which gives the code and, where it is left out, the severity. */
export type FindingOf = Omit<Finding, 'code' | 'rule' | 'severity'> & { readonly severity?: Severity | undefined };

export function findingOf(rule: RuleName, { severity, ...finding }: FindingOf): Finding {
  const { code, severity: usual } = ruleOf(rule);
  return { code, rule, severity: severity ?? usual, ...finding };
}
