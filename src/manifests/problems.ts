/** Problems in manifests, for people and programs. */
import { printable } from '../cluster/printable.ts';
import type { TextEdit } from './document.ts';

// The core has the only implementation.
export { printable };

/** Edits that make a field say what was meant. */
export interface Fix {
  /** `"protocal" becomes "protocol"`, without a full stop. */
  readonly summary: string;
  /** The field's path after the edits: `spec.ingress[0].ports[0].protocol`. */
  readonly field: string;
  readonly edits: readonly TextEdit[];
}

export interface ManifestProblem {
  /** The path as given or found, or `-` for standard input. */
  readonly file: string;
  /** From 1; 0 if the problem is not in one place of the file. */
  readonly line: number;
  /** From 1; 0 if there is no line. */
  readonly column: number;
  /** `NetworkPolicy default/web`, or empty if no object was recognized. */
  readonly object: string;
  /** `spec.ingress[0].ports[0].port`, or empty if it is not about a field. */
  readonly field: string;
  /** The problem, without a full stop. */
  readonly message: string;
  /** What was probably meant, a sentence. */
  readonly hint?: string;
  /** The consequence, a sentence: how a policy fails closed. */
  readonly note?: string;
  /** This is not a Kubernetes object: the file may not be meant as a manifest. */
  readonly isNoObject?: true;
  /** The field's name, if the API has no such field in this place. */
  readonly unknownField?: string;
  /** The object replaces one of another folder, as in a kustomize overlay. */
  readonly isOverlay?: true;
  /** Present only if there is no doubt about what was meant. */
  readonly fix?: Fix;
  /** Errors affect the exit code; warnings do not. */
  readonly severity: 'error' | 'warning';
}

/** Collects problems in the order of reading, which is not that of the lines. */
export class ProblemLog {
  readonly #problems: ManifestProblem[] = [];

  add(problem: ManifestProblem): void {
    this.#problems.push(problem);
  }

  /** Returns the problems by file, in the order of `files`, and by line. */
  sorted(files: readonly string[]): readonly ManifestProblem[] {
    const rank = new Map(files.map((file, index) => [file, index]));
    const rankOf = ({ file }: ManifestProblem) => rank.get(file) ?? files.length;
    return this.#problems.toSorted((a, b) => rankOf(a) - rankOf(b) || a.line - b.line || a.column - b.column);
  }
}

/**
 * Formats a problem as one line for people, and its note as a second, indented line:
 *
 *     web.yaml:12:17  NetworkPolicy shop/web  spec.ingress[0].ports[0].port: 99999 is not a port…
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

/** Returns a file's name for people. */
export function fileTitle(file: string): string {
  return file === '-' ? '<stdin>' : file;
}
