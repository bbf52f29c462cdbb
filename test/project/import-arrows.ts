/** Finds imports in TypeScript sources, and those that the rooms do not allow. */
import { isBuiltin } from 'node:module';
import { posix } from 'node:path';
import { parseAst } from 'vitest/node';

export interface Import {
  /** As written: `../packet/packet.ts`, `node:fs`, `yaml`. */
  readonly specifier: string;
  readonly line: number;
  /**
   * Whether it is the URL of a file, `new URL(..., import.meta.url)`: the file is used, but not
   * loaded with this one. The specifier of a template is the part before the first placeholder.
   */
  readonly byUrl: boolean;
}

export interface Room {
  /** Path below src, without a trailing slash; for `cli.ts` the file itself. */
  readonly path: string;
  /** Rooms, or single files of rooms, that it may import. */
  readonly mayImport: readonly string[];
  /** Packages that it may import; undefined for any package and every Node module. */
  readonly packages?: readonly string[];
}

/** Source texts by path below src, for example `packet/packet.ts`. */
export type Sources = ReadonlyMap<string, string>;

interface AstNode {
  readonly type: string;
  readonly start: number;
  readonly [field: string]: unknown;
}

/**
 * Finds every import of a source: static, type-only, re-exports, dynamic, `import('...')` types and
 * URLs of neighbouring files.
 */
export function findImports(source: string): Import[] {
  const imports: Import[] = [];
  visit(parseAst(source, { lang: 'ts' }), (node) => {
    const specifier = IMPORTING.has(node.type) ? textOf(node.source) : addressOfFile(node);
    if (specifier === undefined) return;
    imports.push({ specifier, line: lineAt(source, node.start), byUrl: !IMPORTING.has(node.type) });
  });
  return imports;
}

const IMPORTING = new Set([
  'ImportDeclaration',
  'ExportNamedDeclaration',
  'ExportAllDeclaration',
  'ImportExpression',
  'TSImportType',
]);

function addressOfFile(node: AstNode): string | undefined {
  if (node.type !== 'NewExpression' || !isNode(node.callee) || node.callee.name !== 'URL') return undefined;
  const text = textOf((node.arguments as unknown[])[0]);
  return text?.startsWith('.') ? text : undefined;
}

/** Returns the text of a string literal, or the start of a template. */
function textOf(node: unknown): string | undefined {
  if (!isNode(node)) return undefined;
  if (node.type === 'Literal' && typeof node.value === 'string') return node.value;
  if (node.type !== 'TemplateLiteral') return undefined;
  const [start] = node.quasis as { value: { cooked: string } }[];
  return start?.value.cooked;
}

function visit(value: unknown, see: (node: AstNode) => void): void {
  if (Array.isArray(value)) {
    for (const item of value) visit(item, see);
  } else if (isNode(value)) {
    see(value);
    for (const field of Object.values(value)) visit(field, see);
  }
}

function isNode(value: unknown): value is AstNode {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

function lineAt(source: string, offset: number): number {
  return source.slice(0, offset).split('\n').length;
}

/**
 * Returns a message for each import that the rooms do not allow: file, line, arrow, and what is
 * allowed.
 */
export function findForbiddenImports(sources: Sources, rooms: readonly Room[]): string[] {
  return [...sources].flatMap(([file, source]) => {
    const room = roomOf(file, rooms);
    if (room === undefined)
      return [`src/${file}: in no room; the rooms are ${rooms.map(({ path }) => path).join(', ')}`];
    return findImports(source).flatMap(({ specifier, line, byUrl }) => {
      const target = posix.join(posix.dirname(file), specifier);
      const complaint = byUrl
        ? complainAboutAddress(room, target, rooms)
        : specifier.startsWith('.')
          ? complainAboutFile(room, target, rooms)
          : complainAboutPackage(room, specifier);
      return complaint === undefined ? [] : [`src/${file}:${line}: ${complaint}`];
    });
  });
}

function complainAboutFile(room: Room, target: string, rooms: readonly Room[]): string | undefined {
  if (target.startsWith('../')) return `${room.path} -> ${target.slice(3)}, which is outside of src`;
  const targetRoom = roomOf(target, rooms);
  if (targetRoom === room || room.mayImport.some((allowed) => target === allowed || target.startsWith(`${allowed}/`))) {
    return undefined;
  }
  const allowed = room.mayImport.length === 0 ? 'no other room' : room.mayImport.join(', ');
  return `${room.path} -> ${targetRoom?.path ?? target} (${target}); ${room.path} may import ${allowed}`;
}

/** Files outside src may be read. Files of src have other names in the built package. */
function complainAboutAddress(room: Room, target: string, rooms: readonly Room[]): string | undefined {
  if (target.startsWith('../')) return undefined;
  if (!target.endsWith('.ts')) return complainAboutFile(room, target, rooms);
  return `${target} is ${target.replace(/ts$/, 'js')} when built; end the address with \${extname(import.meta.filename)}`;
}

function complainAboutPackage(room: Room, specifier: string): string | undefined {
  if (room.packages === undefined || room.packages.includes(specifier)) return undefined;
  const allowed = room.packages.length === 0 ? 'no package and no Node module' : `only ${room.packages.join(', ')}`;
  return `${room.path} -> ${isBuiltin(specifier) ? 'Node module' : 'package'} ${specifier}; ${room.path} may import ${allowed}`;
}

/** The longest matching path wins: `dataplane/nflog` before `dataplane`. */
function roomOf(file: string, rooms: readonly Room[]): Room | undefined {
  return rooms
    .filter(({ path }) => file === path || file.startsWith(`${path}/`))
    .sort((a, b) => b.path.length - a.path.length)[0];
}

/** Finds import cycles, each as `a.ts -> b.ts -> a.ts`; type-only imports count. */
export function findImportCycles(sources: Sources): string[] {
  const cycles: string[] = [];
  const finished = new Set<string>();
  const path: string[] = [];
  const follow = (file: string): void => {
    const start = path.indexOf(file);
    if (start >= 0) cycles.push([...path.slice(start), file].map((name) => `src/${name}`).join(' -> '));
    if (start >= 0 || finished.has(file)) return;
    path.push(file);
    for (const { specifier, byUrl } of findImports(sources.get(file) ?? '')) {
      if (specifier.startsWith('.') && !byUrl) follow(posix.join(posix.dirname(file), specifier));
    }
    path.pop();
    finished.add(file);
  };
  for (const file of sources.keys()) follow(file);
  return cycles;
}
