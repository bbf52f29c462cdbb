import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';

const SOURCE = new URL('../../src/kube/kubeconfig.ts', import.meta.url);
const LOADED = `
import { registerHooks } from 'node:module';
const urls = [];
registerHooks({ load: (url, context, next) => (urls.push(url), next(url, context)) });
const { loadKubeConfig } = await import('${SOURCE}');
console.log(JSON.stringify({ loads: typeof loadKubeConfig, urls: urls.filter((url) => /client-node|undici/.test(url)) }));
`;

test('of the client library only the configuration is loaded, none of the models of the API, and no client', () => {
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', LOADED], { encoding: 'utf8' });
  const { loads, urls } = JSON.parse(output) as { loads: string; urls: string[] };
  expect(loads).toBe('function');
  expect(urls.some((url) => url.endsWith('dist/config.js'))).toBe(true);
  expect(urls.filter((url) => url.includes('/models/') || url.includes('/apis/'))).toEqual([]);
  expect(urls.filter((url) => url.includes('node_modules/undici/'))).toEqual([]);
});
