/** One document of a file: its value, the places of its fields, and its syntax problems. */
import type { Correction } from '../cluster/field.ts';
import type { Path } from '../cluster/projection.ts';

/** A place in a file. Both numbers count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/**
 * Replaces a part of a file's text. Offsets are in UTF-16 code units, without a byte order mark.
 */
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
  /** JSON values; undefined if the document has syntax problems. */
  readonly value: unknown;
  /** Returns the place of a field, or of the nearest existing field around it. */
  locate(path: Path): Position;
  /** Returns the edits that correct the field at `path`; undefined if there is no safe one. */
  corrected(path: Path, correction: Correction): readonly TextEdit[] | undefined;
  readonly syntaxProblems: readonly SyntaxProblem[];
  /** What can still be read of the policies in a document with syntax problems. */
  readonly brokenPolicies: readonly BrokenPolicy[];
  /** It contains `{{`: perhaps an unrendered Helm template. */
  readonly isTemplate: boolean;
}

/** A NetworkPolicy in a document that does not parse. */
export interface BrokenPolicy extends Position {
  /**
   * The readable part, as a policy object: name and namespace, and from the spec `podSelector` and
   * `policyTypes` if they are certain. Undefined if the namespace is unknown.
   */
  readonly readable: Readonly<Record<string, unknown>> | undefined;
}
