import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KubeConfigError, loadKubeConfig } from '../../src/kube/kubeconfig.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'podfence-kubeconfig-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(name: string, config: object): string {
  const file = join(folder, name);
  writeFileSync(file, JSON.stringify(config));
  return file;
}

function configFor(name: string, cluster: object = {}, user: object = { token: name }) {
  return {
    'current-context': name,
    contexts: [{ name, context: { cluster: name, user: name } }],
    clusters: [{ name, cluster: { server: `https://${name}.example:6443`, ...cluster } }],
    users: [{ name, user }],
  };
}

const serverOf = (...args: Parameters<typeof loadKubeConfig>) => loadKubeConfig(...args).getCurrentCluster()?.server;

describe('the configuration', () => {
  it('is the chosen file, before the one of the environment', () => {
    const kubeconfig = write('chosen', configFor('chosen'));
    const KUBECONFIG = write('listed', configFor('listed'));
    expect(serverOf({ kubeconfig }, { KUBECONFIG })).toBe('https://chosen.example:6443');
    expect(serverOf({}, { KUBECONFIG })).toBe('https://listed.example:6443');
  });

  it('may be spread over files; the first one sets the context', () => {
    const KUBECONFIG = [write('a', configFor('a')), write('b', configFor('b'))].join(delimiter);
    expect(serverOf({}, { KUBECONFIG })).toBe('https://a.example:6443');
    expect(serverOf({ context: 'b' }, { KUBECONFIG })).toBe('https://b.example:6443');
  });

  it('is the pod’s service account, before the file in the home folder', () => {
    const token = join(folder, 'var/run/secrets/kubernetes.io/serviceaccount');
    mkdirSync(token, { recursive: true });
    writeFileSync(join(token, 'token'), 'secret');
    const environment = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };
    Object.assign(process.env, environment);
    try {
      expect(serverOf({ serviceAccountRoot: folder }, environment)).toBe('https://10.96.0.1:443');
    } finally {
      for (const name of Object.keys(environment)) delete process.env[name];
    }
  });

  it('uses the proxy of the environment, unless it has its own', () => {
    const plain = write('plain', configFor('plain'));
    const own = write('own', configFor('own', { 'proxy-url': 'http://own:1' }));
    const environment = { HTTPS_PROXY: 'http://environment:2' };
    const proxyOf = (kubeconfig: string) => loadKubeConfig({ kubeconfig }, environment).getCurrentCluster()?.proxyUrl;
    expect(proxyOf(plain)).toBe('http://environment:2');
    expect(proxyOf(own)).toBe('http://own:1');
  });

  it('finds a token file beside it', () => {
    writeFileSync(join(folder, 'token'), 'secret\n');
    const kubeconfig = write('config', configFor('a', {}, { token: 'old', tokenFile: 'token' }));
    expect(loadKubeConfig({ kubeconfig }, {}).getCurrentUser()?.token).toBe('secret');
  });
});

describe('a configuration that cannot be used', () => {
  it.each([
    ['a missing file', () => ({ kubeconfig: join(folder, 'missing') }), /missing cannot be read: ENOENT/],
    [
      'a missing context',
      () => ({ kubeconfig: write('config', configFor('a')), context: 'b' }),
      'no context "b"; its contexts are: a.',
    ],
    [
      'no context',
      () => ({ kubeconfig: write('config', { clusters: [] }) }),
      'no current context; its contexts are: none',
    ],
    [
      'a server without a valid address',
      () => ({ kubeconfig: write('config', configFor('a', { server: 'a.example' })) }),
      'names no cluster with a server address such as https://',
    ],
    [
      'a server without TLS',
      () => ({ kubeconfig: write('config', configFor('a', { server: 'http://a.example' })) }),
      'insecure-skip-tls-verify: true',
    ],
  ])('says what to change: %s', (_, choice, message) => {
    expect(() => loadKubeConfig(choice(), {})).toThrow(KubeConfigError);
    expect(() => loadKubeConfig(choice(), {})).toThrow(message);
  });
});
