import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { parseAst } from 'vitest/node';

const ROOT = new URL('../../', import.meta.url);
const SOURCE = new URL('src/kube/client-library.ts', ROOT);
const { dependencies } = JSON.parse(readFileSync(new URL('package.json', ROOT), 'utf8'));
const { version } = createRequire(import.meta.url)('@kubernetes/client-node/package.json');
const CAUSE = `@kubernetes/client-node ${version} is made otherwise than src/kube/client-library.ts expects; adapt it`;

const LOADED = `
import { registerHooks } from 'node:module';
const urls = [];
registerHooks({ load: (url, context, next) => (urls.push(url), next(url, context)) });
const { KubeConfig } = await import('${SOURCE}');
const config = new KubeConfig();
config.loadFromClusterAndUser({ name: 'a', server: 'https://a', caData: 'YQ==' }, { name: 'a' });
const refusal = await config.applySecurityAuthentication({ setHeaderParam() {} }).catch(({ message }) => message);
console.log(JSON.stringify({ refusal, urls: urls.filter((url) => /client-node|undici/.test(url)) }));
`;

/** Returns the names that a module of the library imports from another. */
function importedNames(url: string, from: string): readonly string[] {
  return parseAst(readFileSync(fileURLToPath(url), 'utf8')).body.flatMap((node) => {
    if (node.type !== 'ImportDeclaration' || node.source.value !== from) return [];
    return node.specifiers.map((each) =>
      each.type === 'ImportSpecifier' && each.imported.type === 'Identifier' ? each.imported.name : '*',
    );
  });
}

describe('the client library', () => {
  let refusal: unknown;
  let urls: readonly string[];
  beforeAll(() => {
    const output = execFileSync(process.execPath, ['--input-type=module', '-e', LOADED], { encoding: 'utf8' });
    ({ refusal, urls } = JSON.parse(output) as { refusal: unknown; urls: readonly string[] });
  });

  test('is pinned to one version, so that a commit with these tests brings the next', () => {
    expect(dependencies['@kubernetes/client-node']).toBe(version);
    expect(version).toMatch(/^\d+\.\d+\.\d+$/);
  });

  test('loads only its configuration, none of the API models, and no client', () => {
    expect(urls.some((url) => url.endsWith('dist/config.js'))).toBe(true);
    const models = urls.filter((url) => url.includes('/models/') || url.includes('/apis/'));
    expect(models, CAUSE).toEqual([]);
    expect(
      urls.filter((url) => url.includes('node_modules/undici/')),
      CAUSE,
    ).toEqual([]);
  });

  test('imports only the two replaced names into its configuration', () => {
    const config = urls.filter((url) => url.endsWith('dist/config.js'));
    const names = config.flatMap((url) => importedNames(url, './gen/index.js'));
    expect(names.toSorted(), CAUSE).toEqual(['ServerConfiguration', 'createConfiguration']);
  });

  test('imports only names of undici that are replaced', () => {
    const files = urls.filter((url) => url.startsWith('file:') && url.endsWith('.js'));
    const names = new Set(files.flatMap((url) => importedNames(url, 'undici')));
    expect(names.size, CAUSE).toBeGreaterThan(0);
    expect(names.difference(new Set(['Agent', 'ProxyAgent', 'fetch'])), CAUSE).toEqual(new Set());
  });

  test('reports why undici is missing if something uses it after all', () => {
    expect(refusal, CAUSE).toBe('podfence does not load undici: see kube/client-library');
  });
});
