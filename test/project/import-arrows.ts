/** Finds imports in TypeScript sources, and those that go against the direction in which the rooms may import. */
import { isBuiltin } from 'node:module';
import { posix } from 'node:path';
import { parseAst } from 'vitest/node';

export interface Import {
  /** As written: `../packet/packet.ts`, `node:fs`, `yaml`. */
  readonly specifier: string;
  readonly line: number;
  /** A file started by its address, `new URL('./worker.ts', import.meta.url)`: it is used, but not loaded with this one. */
  readonly byUrl: boolean;
}

export interface Room {
  /** Path below src, without a slash at the end; a file of its own for `cli.ts`. */
  readonly path: string;
  /** Rooms, or single files of rooms, that it may import. */
  readonly mayImport: readonly string[];
  /** Packages that it may import; undefined for any package and every Node module. */
  readonly packages?: readonly string[];
}

/** Source text by path below src: `packet/packet.ts`. */
export type Sources = ReadonlyMap<string, string>;

interface AstNode {
  readonly type: string;
  readonly start: number;
  readonly [field: string]: unknown;
}

/** Every import of a source: static, type-only, re-exports, dynamic, `import('...')` types and addresses of files beside it. */
export function findImports(source: string): Import[] {
  const imports: Import[] = [];
  visit(parseAst(source, { lang: 'ts' }), (node) => {
    const specifier = stringValue(isUrlOfFile(node) ? (node.arguments as unknown[])[0] : importSource(node));
    if (specifier === undefined) return;
    imports.push({ specifier, line: lineAt(source, node.start), byUrl: node.type === 'NewExpression' });
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

function importSource(node: AstNode): unknown {
  return IMPORTING.has(node.type) ? node.source : undefined;
}

function isUrlOfFile(node: AstNode): boolean {
  if (node.type !== 'NewExpression' || !isNode(node.callee) || node.callee.name !== 'URL') return false;
  const [first] = node.arguments as unknown[];
  return /^\.{1,2}\//.test(stringValue(first) ?? '');
}

function stringValue(node: unknown): string | undefined {
  return isNode(node) && typeof node.value === 'string' ? node.value : undefined;
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

/** One message an import that the rooms do not allow: file, line, arrow, and what is allowed. */
export function findForbiddenImports(sources: Sources, rooms: readonly Room[]): string[] {
  return [...sources].flatMap(([file, source]) => {
    const room = roomOf(file, rooms);
    if (room === undefined)
      return [`src/${file}: in no room; the rooms are ${rooms.map(({ path }) => path).join(', ')}`];
    return findImports(source).flatMap(({ specifier, line }) => {
      const complaint = specifier.startsWith('.')
        ? complainAboutFile(room, posix.join(posix.dirname(file), specifier), rooms)
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

function complainAboutPackage(room: Room, specifier: string): string | undefined {
  if (room.packages === undefined || room.packages.includes(specifier)) return undefined;
  const allowed = room.packages.length === 0 ? 'no package and no Node module' : `only ${room.packages.join(', ')}`;
  return `${room.path} -> ${isBuiltin(specifier) ? 'Node module' : 'package'} ${specifier}; ${room.path} may import ${allowed}`;
}

/** `dataplane/pcap` before a `dataplane` that holds it. */
function roomOf(file: string, rooms: readonly Room[]): Room | undefined {
  return rooms
    .filter(({ path }) => file === path || file.startsWith(`${path}/`))
    .sort((a, b) => b.path.length - a.path.length)[0];
}

/** Circles of files that import one another, each as `a.ts -> b.ts -> a.ts`; type-only imports count. */
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
