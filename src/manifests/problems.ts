/** What is wrong in manifests, for people and for programs. */
import { printable } from '../cluster/printable.ts';
import type { TextEdit } from './document.ts';

// The one place that cleans it is the core's.
export { printable };

/** The edit after which a field says what was meant. */
export interface Fix {
  /** `"protocal" becomes "protocol"`, without a full stop. */
  readonly summary: string;
  /** The field as it is then called: `spec.ingress[0].ports[0].protocol`. */
  readonly field: string;
  readonly edits: readonly TextEdit[];
}

export interface ManifestProblem {
  /** As it was given or found: a path, or `-` for standard input. */
  readonly file: string;
  /** From 1; 0 where the problem is not in one place of the file. */
  readonly line: number;
  /** From 1; 0 where there is no line. */
  readonly column: number;
  /** `NetworkPolicy default/web`, or empty where no object could be made out. */
  readonly object: string;
  /** `spec.ingress[0].ports[0].port`, or empty where it is not about a field. */
  readonly field: string;
  /** What is wrong, without a full stop. */
  readonly message: string;
  /** What was probably meant, a sentence. */
  readonly hint?: string;
  /** What follows from it, a sentence: how a policy fails closed. */
  readonly note?: string;
  /** What is wrong is that this is no Kubernetes object at all, which a file may well be that was not meant as a manifest. */
  readonly isNoObject?: true;
  /** The field's name, where the API knows no such field in this place. */
  readonly unknownField?: string;
  /** The object replaces that of another folder, as in an overlay of kustomize. */
  readonly isOverlay?: true;
  /** Where there can be no doubt about what was meant. */
  readonly fix?: Fix;
  /** An error makes the exit code say so; a warning does not. */
  readonly severity: 'error' | 'warning';
}

/** Collects problems while manifests are read, which is not in the order of their lines. */
export class ProblemLog {
  readonly #problems: ManifestProblem[] = [];

  add(problem: ManifestProblem): void {
    this.#problems.push(problem);
  }

  /** The problems file by file, in the order of `files`, and line by line. */
  sorted(files: readonly string[]): readonly ManifestProblem[] {
    const rank = new Map(files.map((file, index) => [file, index]));
    const rankOf = ({ file }: ManifestProblem) => rank.get(file) ?? files.length;
    return this.#problems.toSorted((a, b) => rankOf(a) - rankOf(b) || a.line - b.line || a.column - b.column);
  }
}

/**
 * One problem as a person reads it, in one line, and a second, indented one for its note:
 *
 *     web.yaml:12:17  NetworkPolicy default/web  spec.ingress[0].ports[0].port: 99999 is not a port; ports are 1 to 65535. Did you mean 9999?
 */
export function formatProblem(problem: ManifestProblem): string {
  const { file, line, column, object, field, message, hint, note } = problem;
  const where = line > 0 ? `${fileTitle(file)}:${line}:${column}` : fileTitle(file);
  const subject = field === '' ? '' : `${field}: `;
  const warning = problem.severity === 'warning' ? 'warning: ' : '';
  const sentence = `${warning}${subject}${message}${hint === undefined ? '' : `. ${hint}`}`;
  const text = [where, object, sentence].filter((part) => part !== '').join('  ');
  return note === undefined ? printable(text) : `${printable(text)}\n    ${printable(note)}`;
}

/** A file's name for people. */
export function fileTitle(file: string): string {
  return file === '-' ? '<stdin>' : file;
}
