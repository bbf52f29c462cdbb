/** One document of a file: its value, where each of its fields stands, and what does not parse. */
import type { Correction } from '../cluster/field.ts';
import type { Path } from '../cluster/projection.ts';

/** A place in a file, both counted from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A part of a file's text that another text replaces. Offsets are in UTF-16 code units, without a byte order mark. */
export interface TextEdit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

export interface SyntaxProblem extends Position {
  readonly message: string;
  readonly hint?: string;
}

export interface ManifestDocument {
  /** JSON values; undefined where the document has syntax problems. */
  readonly value: unknown;
  /** The place of a field, or of the nearest field around it that exists. */
  locate(path: Path): Position;
  /** How to correct the field at `path` in the file; undefined where the text does not allow it without doubt. */
  corrected(path: Path, correction: Correction): readonly TextEdit[] | undefined;
  readonly syntaxProblems: readonly SyntaxProblem[];
  /** What can still be read of the policies in a document with syntax problems. */
  readonly brokenPolicies: readonly BrokenPolicy[];
  /** It holds `{{`: perhaps a Helm template that was not rendered. */
  readonly isTemplate: boolean;
}

/** A NetworkPolicy in a document that does not parse. */
export interface BrokenPolicy extends Position {
  /**
   * What could be read, as a policy object: name and namespace, and of the spec `podSelector` and `policyTypes` where they
   * are certain. Undefined where the namespace is unknown.
   */
  readonly readable: Readonly<Record<string, unknown>> | undefined;
}
