/** The objects of all manifest files, one for each name, and their places. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Correction, formatPath, isMap, type Path, type Problem, show } from '../cluster/field.ts';
import type { BrokenPolicy, ManifestDocument, Position, TextEdit } from './document.ts';
import { readDocuments } from './documents.ts';
import { classify, elementsOf, type ManifestKind } from './objects.ts';
import { type Fix, fileTitle, type ManifestProblem, type ProblemLog } from './problems.ts';
import type { Source } from './sources.ts';

/** An object of a kind that podfence uses. */
export interface ManifestObject {
  readonly kind: ManifestKind;
  readonly value: Readonly<Record<string, unknown>>;
  /** `NetworkPolicy default/web`, for people. */
  readonly title: string;
  readonly file: string;
  readonly position: Position;
  /** The place of a field of this object. */
  locate(path: Path): Position;
  /** See ManifestDocument.corrected. */
  corrected(path: Path, correction: Correction): readonly TextEdit[] | undefined;
  /**
   * Problems of the whole object: its kind, its apiVersion, its document's syntax. The object is
   * read as what was probably meant.
   */
  readonly headProblems: readonly Problem[];
  /** Its document contains `{{`. */
  readonly isTemplate: boolean;
}

/** The names that `kustomize build` looks for. */
const KUSTOMIZATIONS = ['kustomization.yaml', 'kustomization.yml', 'Kustomization'];
/** Length of the suffix that the API server appends to a generateName. */
const GENERATED_LENGTH = 5;

const RENDER_FIRST = 'This looks like a Helm template: give the output of `helm template` instead.';

export class ManifestCollection {
  readonly files: string[] = [];
  /** Number of unused objects, by kind. */
  readonly skipped = new Map<string, number>();
  readonly #defaultNamespace: string;
  readonly #log: ProblemLog;
  readonly #objects = new Map<string, ManifestObject>();
  #generated = 0;

  constructor(defaultNamespace: string, log: ProblemLog) {
    this.#defaultNamespace = defaultNamespace;
    this.#log = log;
  }

  add(source: Source): void {
    const { file } = source;
    this.files.push(file);
    if ('problem' in source) {
      this.#log.add(source.problem);
      return;
    }
    const documents = readDocuments(source.text, file);
    for (const document of documents) this.#addDocument(document, file);
    if (documents.length === 0) {
      this.#log.add({
        ...NOWHERE,
        file,
        message: 'the file contains no object',
        isNoObject: true,
        severity: 'warning',
      });
    }
  }

  /** Returns the objects of these kinds, in the order in which their names first appeared. */
  ofKind<K extends ManifestKind>(...kinds: readonly K[]): readonly (ManifestObject & { readonly kind: K })[] {
    return [...this.#objects.values()].filter((object): object is ManifestObject & { readonly kind: K } =>
      (kinds as readonly ManifestKind[]).includes(object.kind),
    );
  }

  /** Reports an object's problems. `note`, their consequence, is attached to the last one. */
  report(object: ManifestObject, problems: readonly Problem[], note?: string): void {
    const located = problems
      .map((problem) => locateProblem(object, problem))
      .sort((a, b) => a.line - b.line || a.column - b.column);
    for (const [index, problem] of located.entries()) {
      this.#log.add(note !== undefined && index === located.length - 1 ? { ...problem, note } : problem);
    }
  }

  countSkipped(kind: string): void {
    this.skipped.set(kind, (this.skipped.get(kind) ?? 0) + 1);
  }

  #addDocument(document: ManifestDocument, file: string): void {
    if (document.syntaxProblems.length > 0) {
      this.#addBroken(document, file);
      return;
    }
    for (const { value, path } of elementsOf(document.value)) {
      const classified = classify(value, file);
      const locate = (inner: Path) => document.locate([...path, ...inner]);
      const corrected = (inner: Path, correction: Correction) => document.corrected([...path, ...inner], correction);
      if ('kind' in classified && isMap(value)) {
        const { kind, problems } = classified;
        const { isTemplate } = document;
        const named = this.#withGeneratedName(value);
        this.#keep({
          kind,
          value: named,
          title: this.#title(kind, named),
          file,
          position: locate([]),
          locate,
          corrected,
          headProblems: problems,
          isTemplate,
        });
        continue;
      }
      if ('skip' in classified) this.countSkipped(classified.skip);
      for (const problem of classified.problems) {
        const title = 'skip' in classified && isMap(value) ? this.#title(String(value.kind), value) : '';
        this.#log.add(locateProblem({ file, title, locate, corrected, isTemplate: document.isTemplate }, problem));
      }
    }
  }

  /**
   * Adds a document that does not parse. Its policies isolate their pods, as far as those are
   * known; everything else in it is lost.
   */
  #addBroken(document: ManifestDocument, file: string): void {
    const { isTemplate, brokenPolicies } = document;
    const readable = brokenPolicies.filter((policy) => policy.readable !== undefined);
    // A single policy in the document gets the first syntax problem as its own.
    const [only] = brokenPolicies.length === 1 ? readable : [];
    for (const [index, { line, column, message, hint }] of document.syntaxProblems.entries()) {
      const meant = isTemplate ? RENDER_FIRST : hint;
      const problem: Problem = meant === undefined ? { path: [], message } : { path: [], message, hint: meant };
      const locate = () => ({ line, column });
      if (index === 0 && only !== undefined) this.#keepBroken(only, file, problem, locate);
      else
        this.#log.add(locateProblem({ file, title: '', locate, corrected: uncorrected, isTemplate: false }, problem));
    }
    for (const policy of brokenPolicies) {
      if (policy === only) continue;
      const locate = () => policy;
      if (policy.readable !== undefined) {
        this.#keepBroken(
          policy,
          file,
          { path: [], message: 'the policy is in a document that does not parse' },
          locate,
        );
        continue;
      }
      // For a template RENDER_FIRST already says what to do.
      if (isTemplate) continue;
      const message = 'this looks like a NetworkPolicy, but its namespace cannot be read: it isolates no pod';
      this.#log.add(
        locateProblem({ file, title: '', locate, corrected: uncorrected, isTemplate: false }, { path: [], message }),
      );
    }
  }

  #keepBroken({ readable, line, column }: BrokenPolicy, file: string, problem: Problem, locate: () => Position): void {
    const kind = 'NetworkPolicy';
    const value = readable ?? {};
    const title = this.#title(kind, value);
    this.#keep({
      kind,
      value,
      title,
      file,
      position: { line, column },
      locate,
      corrected: uncorrected,
      headProblems: [problem],
      isTemplate: false,
    });
  }

  /** As with `kubectl apply`, a later object replaces an earlier one of the same name. */
  #keep(object: ManifestObject): void {
    const name = nameIn(object.value, 'name');
    const key = name === undefined ? `#${this.#objects.size}` : object.title;
    const earlier = this.#objects.get(key);
    if (earlier !== undefined) {
      const message = `it replaces the ${object.kind} of the same name at ${fileTitle(earlier.file)}:${earlier.position.line}`;
      const { file, title, position } = object;
      const isOverlay = isOverlaid(earlier.file, file);
      this.#log.add({
        ...NOWHERE,
        file,
        ...position,
        object: title,
        message,
        ...(isOverlay && { isOverlay }),
        severity: 'warning',
      });
    }
    this.#objects.set(key, object);
  }

  /** Gives an object that has only a generateName a unique name, as the API server does. */
  #withGeneratedName(value: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
    const { metadata } = value;
    if (!isMap(metadata) || typeof metadata.generateName !== 'string' || metadata.generateName === '') return value;
    if (metadata.name !== undefined && metadata.name !== null && metadata.name !== '') return value;
    const suffix = String(++this.#generated).padStart(GENERATED_LENGTH, '0');
    return { ...value, metadata: { ...metadata, name: `${metadata.generateName}${suffix}` } };
  }

  #title(kind: string, value: Readonly<Record<string, unknown>>): string {
    const name = nameIn(value, 'name');
    if (name === undefined) return kind;
    return kind === 'Namespace'
      ? `${kind} ${name}`
      : `${kind} ${nameIn(value, 'namespace') ?? this.#defaultNamespace}/${name}`;
  }
}

/** For text that does not parse: nothing can be corrected in it. */
const uncorrected = () => undefined;

const NOWHERE = { line: 0, column: 0, object: '', field: '' } as const;

function locateProblem(
  object: Pick<ManifestObject, 'file' | 'title' | 'locate' | 'corrected' | 'isTemplate'>,
  { path, message, hint, isNoObject, unknownField, correction, isWarning }: Problem,
): ManifestProblem {
  // An unquoted {{ .Values.port }} is a map to YAML.
  const meant = object.isTemplate && message.includes('found a map') ? RENDER_FIRST : hint;
  const { file, title } = object;
  const fix = correction && fixOf(object, path, correction);
  return {
    file,
    ...object.locate(path),
    object: title,
    field: formatPath(path),
    message,
    ...(meant === undefined ? {} : { hint: meant }),
    ...(isNoObject && { isNoObject }),
    ...(unknownField === undefined ? {} : { unknownField }),
    ...(fix === undefined ? {} : { fix }),
    severity: isWarning ? 'warning' : 'error',
  };
}

function fixOf(object: Pick<ManifestObject, 'corrected'>, path: Path, correction: Correction): Fix | undefined {
  const edits = object.corrected(path, correction);
  if (edits === undefined) return undefined;
  const [name, around] = [path.at(-1) ?? '', path.slice(0, -1)];
  if ('renameTo' in correction) {
    const { renameTo } = correction;
    return { summary: `${show(name)} becomes ${show(renameTo)}`, field: formatPath([...around, renameTo]), edits };
  }
  if ('nestIn' in correction) {
    const { nestIn } = correction;
    return { summary: `${name} moves into ${nestIn}`, field: formatPath([...around, nestIn, name]), edits };
  }
  if ('moveOut' in correction) {
    return {
      summary: `${name} moves out of ${around.at(-1)}`,
      field: formatPath([...around.slice(0, -1), name]),
      edits,
    };
  }
  const field = formatPath(path);
  if ('quote' in correction) return { summary: `${field} gets quotes`, field, edits };
  if ('wrap' in correction) return { summary: `${field} becomes a list of one`, field, edits };
  return { summary: `${field} becomes ${correction.value}`, field, edits };
}

/** Whether kustomize may overlay one file with the other: a kustomization is beside one of them. */
function isOverlaid(earlier: string, file: string): boolean {
  const folders = [dirname(earlier), dirname(file)];
  if (earlier === '-' || file === '-' || folders[0] === folders[1]) return false;
  return folders.some((folder) => KUSTOMIZATIONS.some((name) => existsSync(join(folder, name))));
}

function nameIn(value: Readonly<Record<string, unknown>>, key: 'name' | 'namespace'): string | undefined {
  const metadata = value.metadata;
  const name = isMap(metadata) ? metadata[key] : undefined;
  return (typeof name === 'string' && name !== '') || typeof name === 'number' || typeof name === 'boolean'
    ? String(name)
    : undefined;
}
