import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findForbiddenImports, findImportCycles, findImports, type Room, type Sources } from './import-arrows.ts';

const SRC = join(import.meta.dirname, '../../src');

/** The rooms from top to bottom. `EVERYTHING_BELOW` in a row stands for all rooms of later rows. */
const EVERYTHING_BELOW = 'everything below';
const SYS = 'sys';
const NETLINK = 'netlink';
const RULE_TABLE = 'policy/rule-table.ts';

const TABLE: readonly (Omit<Room, 'mayImport'> & { mayImport: readonly string[] | typeof EVERYTHING_BELOW })[] = [
  { path: 'bin.ts', mayImport: EVERYTHING_BELOW, packages: [] },
  { path: 'cli.ts', mayImport: EVERYTHING_BELOW },
  // The npm library: without anything that needs Linux, or is native.
  {
    path: 'index.ts',
    mayImport: ['node-required.ts', 'manifests', 'matrix', 'explain', 'lint', 'cluster'],
    packages: [],
  },
  { path: 'commands', mayImport: EVERYTHING_BELOW },
  // Each node of a lab runs the agent.
  { path: 'lab', mayImport: EVERYTHING_BELOW },
  {
    path: 'traffic',
    mayImport: [
      'wire',
      'capture',
      'frames',
      'judging',
      'flows',
      'explain',
      'filter',
      'conntrack',
      'policy',
      'cluster',
      SYS,
    ],
  },
  { path: 'replay', mayImport: ['frames', 'filter', 'conntrack', 'packet', RULE_TABLE] },
  { path: 'agent', mayImport: EVERYTHING_BELOW },
  { path: 'canary', mayImport: ['kube', 'cluster'] },
  // Facts about this machine for doctor's checks.
  { path: 'machine', mayImport: ['dataplane/ctnetlink', 'dataplane/steering', NETLINK, 'doctor', SYS] },
  // Waits and retries as the connection to the API server does.
  { path: 'nri', mayImport: ['kube/backoff.ts', 'kube/clock.ts', 'cluster', NETLINK, SYS] },
  { path: 'kube', mayImport: ['agent-state', 'cluster'] },
  { path: 'manifests', mayImport: ['cluster'] },
  // libpcap takes copies of packets, and they are judged like those of a queue.
  {
    path: 'dataplane/nflog',
    mayImport: ['capture', 'frames', 'judging', 'agent-state', 'filter', 'conntrack', 'packet', SYS],
  },
  { path: 'dataplane/nfqueue', mayImport: [NETLINK, 'judging', 'agent-state', 'filter', 'conntrack', SYS] },
  { path: 'dataplane/ctnetlink', mayImport: ['packet', NETLINK, SYS] },
  // The kernel reports changes of its rules by netlink.
  { path: 'dataplane/spoofing', mayImport: ['dataplane/steering', 'agent-state', 'cluster', SYS] },
  { path: 'dataplane/steering', mayImport: [NETLINK, SYS] },
  { path: 'wire', mayImport: ['capture', 'frames', 'judging', 'filter', 'packet', SYS] },
  { path: 'capture', mayImport: [NETLINK, 'frames', 'packet', SYS] },
  { path: NETLINK, mayImport: [SYS] },
  { path: 'frames', mayImport: ['filter', 'conntrack', 'packet'], packages: [] },
  // Threads that judge packets, from any source.
  { path: 'judging', mayImport: ['flows', 'filter', 'conntrack', 'packet', RULE_TABLE, SYS] },
  { path: 'telemetry', mayImport: ['flows', 'agent-state', 'explain', 'filter', 'doctor', 'cluster'] },
  { path: 'flows', mayImport: ['explain', 'filter', 'policy', 'packet', 'cluster', SYS] },
  // What can be read of a running agent: only types.
  { path: 'agent-state', mayImport: ['filter', 'conntrack', 'cluster'], packages: [] },
  { path: 'matrix', mayImport: ['explain', 'cluster'], packages: [] },
  { path: 'explain', mayImport: ['filter', 'policy', 'conntrack', 'packet', 'cluster'], packages: [] },
  // The hot path uses the compiled table, not the compiler.
  { path: 'filter', mayImport: ['packet', 'conntrack', RULE_TABLE], packages: [] },
  { path: 'lint', mayImport: ['policy', 'cluster'], packages: [] },
  // Facts in, findings out.
  { path: 'doctor', mayImport: [], packages: [] },
  { path: 'policy', mayImport: ['cluster'], packages: ['ipaddr.js'] },
  { path: 'conntrack', mayImport: ['packet'], packages: [] },
  { path: 'packet', mayImport: [], packages: [] },
  { path: 'cluster', mayImport: [], packages: ['ipaddr.js'] },
  // Runs on any Node, before everything else.
  { path: 'node-required.ts', mayImport: [], packages: [] },
  // System calls through koffi.
  { path: SYS, mayImport: [] },
];

const ROOMS: readonly Room[] = TABLE.map((row, index) => ({
  ...row,
  mayImport: row.mayImport === EVERYTHING_BELOW ? TABLE.slice(index + 1).map(({ path }) => path) : row.mayImport,
}));

function readSources(): Sources {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  return new Map(files.map((file) => [file, readFileSync(join(SRC, file), 'utf8')]));
}

describe('the sources', () => {
  it('are found', () => {
    expect(readSources().size).toBeGreaterThan(0);
  });

  it('import only in the direction of the rooms', () => {
    expect(findForbiddenImports(readSources(), ROOMS)).toEqual([]);
  });

  it('have rooms that import only rooms below them', () => {
    const placeOf = (file: string) => ROOMS.findIndex(({ path }) => file === path || file.startsWith(`${path}/`));
    const upwards = ROOMS.flatMap(({ path, mayImport }, place) =>
      mayImport.filter((below) => placeOf(below) <= place).map((above) => `${path} -> ${above}`),
    );
    expect(upwards).toEqual([]);
  });

  it('have no import cycles', () => {
    expect(findImportCycles(readSources())).toEqual([]);
  });
});

describe('the check of imports', () => {
  const forbidden = (files: Record<string, string>) => findForbiddenImports(new Map(Object.entries(files)), ROOMS);

  it.each([
    ['a static import', `import { a } from './a.ts';`],
    ['a type-only import', `import type { A } from './a.ts';`],
    ['an import for its effect', `import './a.ts';`],
    ['a re-export', `export { a } from './a.ts';`],
    ['a re-export of everything', `export * from './a.ts';`],
    ['a dynamic import', `const a = await import('./a.ts');`],
    ['an import type', `type A = import('./a.ts').A;`],
  ])('sees %s', (_, source) => {
    expect(findImports(`// first line\n${source}`)).toEqual([{ specifier: './a.ts', line: 2, byUrl: false }]);
  });

  it('sees a file that is referred to by its URL', () => {
    const worker = `const worker = new Worker(\n  new URL(\`./worker\${extname(import.meta.filename)}\`, import.meta.url),\n);`;
    expect(findImports(worker)).toEqual([{ specifier: './worker', line: 2, byUrl: true }]);
    expect(forbidden({ 'agent/agent.ts': worker.replace('./worker', '../lab/worker') })[0]).toContain('agent -> lab');
    expect(forbidden({ 'lab/lab.ts': `new URL('../../package.json', import.meta.url);` })).toEqual([]);
  });

  it('reports a URL that is wrong in the built package', () => {
    expect(forbidden({ 'lab/lab.ts': `new URL('./worker.ts', import.meta.url);` })).toEqual([
      `src/lab/lab.ts:1: lab/worker.ts is lab/worker.js when built; end the address with \${extname(import.meta.filename)}`,
    ]);
  });

  it('is not misled by comments and strings', () => {
    const source = `// import './a.ts';\n/* import './b.ts' */\nconst text = "import './c.ts'", pattern = /import '.\\/d.ts'/;`;
    expect(findImports(source)).toEqual([]);
  });

  it('names file, line, arrow and what is allowed', () => {
    expect(forbidden({ 'packet/packet.ts': `\nimport { Filter } from '../filter/filter.ts';` })).toEqual([
      'src/packet/packet.ts:2: packet -> filter (filter/filter.ts); packet may import no other room',
    ]);
  });

  it('lets the filter see the compiled table and nothing else of the policy room', () => {
    const source = `import { RuleTable } from '../policy/rule-table.ts';\nimport type { C } from '../policy/compiler.ts';`;
    expect(forbidden({ 'filter/decide.ts': source })).toEqual([
      'src/filter/decide.ts:2: filter -> policy (policy/compiler.ts); filter may import packet, conntrack, policy/rule-table.ts',
    ]);
  });

  it('allows every room below and none above', () => {
    const lab = `import '../agent/agent.ts';\nimport '../sys/socket.ts';\nimport '../capture/capture.ts';`;
    expect(forbidden({ 'lab/lab.ts': lab })).toEqual([]);
    expect(forbidden({ 'agent/agent.ts': `import '../lab/lab.ts';` })).toHaveLength(1);
  });

  it('keeps the rooms of the dataplane apart', () => {
    const source = `import '../steering/state.ts';`;
    expect(forbidden({ 'dataplane/nfqueue/queue.ts': source })[0]).toContain('dataplane/nfqueue -> dataplane/steering');
  });

  it('keeps Node modules and packages out of the pure core', () => {
    const source = `import 'node:fs';\nimport 'os';\nimport 'yaml';\nimport 'ipaddr.js';`;
    expect(forbidden({ 'policy/compiler.ts': source })).toEqual([
      'src/policy/compiler.ts:1: policy -> Node module node:fs; policy may import only ipaddr.js',
      'src/policy/compiler.ts:2: policy -> Node module os; policy may import only ipaddr.js',
      'src/policy/compiler.ts:3: policy -> package yaml; policy may import only ipaddr.js',
    ]);
    expect(forbidden({ 'filter/filter.ts': source })).toHaveLength(4);
    expect(forbidden({ 'manifests/load.ts': source })).toEqual([]);
  });

  it('reports a file that is in no room, and imports from outside of src', () => {
    expect(forbidden({ 'utils/text.ts': '' })[0]).toContain('src/utils/text.ts: in no room');
    expect(forbidden({ 'lab/lab.ts': `import '../../test/fixture.ts';` })[0]).toContain('outside of src');
  });

  it('finds a cycle of files, even by types only, but not by the URL of a worker', () => {
    const cycles = (files: Record<string, string>) => findImportCycles(new Map(Object.entries(files)));
    const circle = {
      'a/a.ts': `import './b.ts';`,
      'a/b.ts': `import type { C } from '../c.ts';`,
      'c.ts': `import './a/a.ts';`,
    };
    expect(cycles(circle)).toEqual(['src/a/a.ts -> src/a/b.ts -> src/c.ts -> src/a/a.ts']);
    expect(cycles({ ...circle, 'c.ts': `new URL('./a/a', import.meta.url);` })).toEqual([]);
  });
});
