/** The objects of all manifest files, one of each name, with the place of each. */
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
   * What is wrong with it as a whole: its kind, its apiVersion, its document's syntax. It is read as what was probably
   * meant.
   */
  readonly headProblems: readonly Problem[];
  /** Its document holds `{{`. */
  readonly isTemplate: boolean;
}

/** The names that `kustomize build` looks for. */
const KUSTOMIZATIONS = ['kustomization.yaml', 'kustomization.yml', 'Kustomization'];
/** Of what the API server puts behind a generateName. */
const GENERATED_LENGTH = 5;

const RENDER_FIRST = 'This looks like a Helm template: give the output of `helm template` instead.';

export class ManifestCollection {
  readonly files: string[] = [];
  /** Objects that were not used, by kind. */
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
      this.#log.add({ ...NOWHERE, file, message: 'no object is in this file', isNoObject: true, severity: 'warning' });
    }
  }

  /** The objects of a kind, in the order in which they were first named. */
  ofKind<K extends ManifestKind>(...kinds: readonly K[]): readonly (ManifestObject & { readonly kind: K })[] {
    return [...this.#objects.values()].filter((object): object is ManifestObject & { readonly kind: K } =>
      (kinds as readonly ManifestKind[]).includes(object.kind),
    );
  }

  /** Reports what is wrong with an object; `note`, what follows from it, goes with the last problem. */
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

  /** A document that does not parse: its policies isolate their pods, as far as those are known, and all else in it is lost. */
  #addBroken(document: ManifestDocument, file: string): void {
    const { isTemplate, brokenPolicies } = document;
    const readable = brokenPolicies.filter((policy) => policy.readable !== undefined);
    // Mostly there is one policy in the document, and the syntax problem is about it.
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
      // Of a template it is clear that it is none as it stands.
      if (isTemplate) continue;
      const message = 'this looks like a NetworkPolicy, but its namespace cannot be read: no pod is isolated by it';
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

  /** As with `kubectl apply`, the later of two objects of one name replaces the earlier. */
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

  /** As the API server does, gives an object that has only a generateName a name that begins so and that no other has. */
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

/** Of what does not parse. */
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
    return { summary: `${name} goes into ${nestIn}`, field: formatPath([...around, nestIn, name]), edits };
  }
  if ('moveOut' in correction) {
    return {
      summary: `${name} goes out of ${around.at(-1)}`,
      field: formatPath([...around.slice(0, -1), name]),
      edits,
    };
  }
  const field = formatPath(path);
  if ('quote' in correction) return { summary: `${field} gets quotes`, field, edits };
  if ('wrap' in correction) return { summary: `${field} becomes a list of one`, field, edits };
  return { summary: `${field} becomes ${correction.value}`, field, edits };
}

/** Whether one file's objects are put over another's: by kustomize, which has a file of its own beside either. */
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
