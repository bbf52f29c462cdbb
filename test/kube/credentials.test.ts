import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { loadKubeConfig } from '../../src/kube/kubeconfig.ts';
import { TestApiServer } from './api-server.ts';
import { type Certificate, CertificateAuthority } from './certificates.ts';
import { startConnectProxy } from './connect-proxy.ts';
import { pod } from './objects.ts';
import { until } from './until.ts';
import { startServer, WatchedCluster } from './watched-cluster.ts';

const authority = new CertificateAuthority('podfence test');
const tls = { ...authority.server(['127.0.0.1'], ['api.example']), ca: authority.cert };

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'podfence-kube-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Starts a watch with the configuration that a kubeconfig file with this text gives. */
function watchWith(text: string, environment: Record<string, string> = {}) {
  const kubeconfig = join(temporaryFolder(), 'config');
  writeFileSync(kubeconfig, text);
  return { cluster: new WatchedCluster(() => loadKubeConfig({ kubeconfig }, environment)), kubeconfig };
}

describe('TLS', () => {
  it('trusts the authority in the kubeconfig', async () => {
    const server = await startServer({ tls });
    const { cluster } = watchWith(server.kubeConfig());
    await cluster.watch.synced;
    expect(cluster.watch.status().server).toBe(server.url());
  });

  it('trusts no other authority', async () => {
    const server = await startServer({ tls: { ...tls, ca: new CertificateAuthority('other').cert } });
    const { cluster } = watchWith(server.kubeConfig());
    await until('it is refused', () => cluster.status().restarts.connection > 0);
    expect(cluster.status().lastError?.message).toMatch(/certificate/);
    expect(server.requests()).toEqual([]);
  });

  it('verifies the server name in the kubeconfig', async () => {
    const server = await startServer({ tls });
    const { cluster } = watchWith(server.kubeConfig(undefined, undefined, { 'tls-server-name': 'api.example' }));
    await cluster.watch.synced;
    const { cluster: wrong } = watchWith(
      server.kubeConfig(undefined, undefined, { 'tls-server-name': 'other.example' }),
    );
    await until('it is refused', () => wrong.status().restarts.connection > 0);
  });

  it('authenticates with a client certificate', async () => {
    const server = await startServer({ tls: { ...tls, clientCa: authority.cert } });
    const { cert, key } = authority.client('podfence');
    const base64 = (text: string) => Buffer.from(text).toString('base64');
    const { cluster } = watchWith(
      server.kubeConfig({ 'client-certificate-data': base64(cert), 'client-key-data': base64(key) }),
    );
    await cluster.watch.synced;
    const { cluster: stranger } = watchWith(server.kubeConfig());
    await until('it is refused', () => stranger.status().restarts.unauthorized > 0);
  });

  it('authenticates with the next client certificate when the first is refused', async () => {
    const server = await startServer({ tls: { ...tls, clientCa: authority.cert } });
    const userOf = ({ cert, key }: Certificate) => ({
      'client-certificate-data': Buffer.from(cert).toString('base64'),
      'client-key-data': Buffer.from(key).toString('base64'),
    });
    const { cluster, kubeconfig } = watchWith(server.kubeConfig(userOf(new CertificateAuthority('old').client('a'))));
    await until('all wait', () => cluster.clock.running.filter((duration) => duration === 500).length === 3);
    expect(cluster.status().restarts.unauthorized).toBe(2);
    writeFileSync(kubeconfig, server.kubeConfig(userOf(authority.client('a'))));
    await cluster.clock.elapse(500, 3);
    await cluster.watch.synced;
  });
});

describe('a service account', () => {
  it('authenticates with its token, and with the next one when that has expired', async () => {
    const server = await startServer({ tls });
    server.acceptTokens(['first']);
    const root = temporaryFolder();
    const folder = join(root, 'var/run/secrets/kubernetes.io/serviceaccount');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'ca.crt'), authority.cert);
    writeFileSync(join(folder, 'token'), 'first\n');
    const environment = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: String(server.port) };
    Object.assign(process.env, environment);
    onTestFinished(() => {
      for (const name of Object.keys(environment)) delete process.env[name];
    });
    const cluster = new WatchedCluster(() => loadKubeConfig({ serviceAccountRoot: root }, environment));
    await cluster.watch.synced;
    expect(server.requests()[0]?.authorization).toBe('Bearer first');

    server.acceptTokens(['second']);
    writeFileSync(join(folder, 'token'), 'second\n');
    await cluster.isWatching(server);
    for (const watch of server.watches()) watch.cut();
    await cluster.clock.elapse(250, 3);
    server.set(pod('default', 'web'));
    await cluster.isDelivered('set Pod default/web');
    expect(server.requests().at(-1)?.authorization).toBe('Bearer second');
  });
});

describe('a token', () => {
  it('that expires is read again as soon as the server says so', async () => {
    const server = await startServer();
    server.acceptTokens(['first']);
    const { cluster, kubeconfig } = watchWith(server.kubeConfig({ token: 'first' }));
    await cluster.watch.synced;
    await cluster.isWatching(server);
    cluster.clock.advance(10_000);
    server.acceptTokens(['second']);
    writeFileSync(kubeconfig, server.kubeConfig({ token: 'second' }));
    server.set(pod('default', 'web'));
    for (const watch of server.watches('Pod')) watch.end();
    await until('a watch begins', () => server.requests('watch', 'Pod').length === 2);
    expect(server.requests('watch', 'Pod').map(({ authorization }) => authorization)).toEqual([
      'Bearer first',
      'Bearer second',
    ]);
    expect(cluster.status().restarts.unauthorized).toBe(1);
  });

  it('that is wrong is not retried without pause', async () => {
    const server = await startServer();
    const { cluster } = watchWith(server.kubeConfig({ token: 'wrong' }));
    server.acceptTokens(['right']);
    for (const delay of [500, 1000, 2000]) await cluster.clock.elapse(delay, 3);
    await until('it was tried', () => cluster.status().restarts.unauthorized === 5);
    expect(cluster.watch.status().synced).toBe(false);
  });

  it('can be in a file of its own', async () => {
    const server = await startServer();
    server.acceptTokens(['from-file']);
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'token'), 'from-file\n');
    const { cluster } = watchWith(server.kubeConfig({ tokenFile: join(folder, 'token') }));
    await cluster.watch.synced;
  });

  it('can come from a plugin', async () => {
    const server = await startServer();
    server.acceptTokens(['from-plugin']);
    const plugin = join(temporaryFolder(), 'plugin.sh');
    const credential = {
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: { token: 'from-plugin' },
    };
    writeFileSync(plugin, `#!/bin/sh\necho '${JSON.stringify(credential)}'\n`);
    chmodSync(plugin, 0o755);
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: plugin, args: [] };
    const { cluster } = watchWith(server.kubeConfig({ exec }));
    await cluster.watch.synced;
  });

  it('is kept while the kubeconfig is being written', async () => {
    const server = await startServer();
    const { cluster, kubeconfig } = watchWith(server.kubeConfig());
    await cluster.watch.synced;
    await cluster.isWatching(server);
    writeFileSync(kubeconfig, '{"half');
    for (const watch of server.watches('Pod')) watch.cut();
    await cluster.clock.elapse(250);
    server.set(pod('default', 'web'));
    await cluster.isDelivered('set Pod default/web');
  });
});

describe('a proxy', () => {
  it.each(['http', 'https'] as const)('of the kubeconfig is used for %s', async (scheme) => {
    const server = await startServer(scheme === 'https' ? { tls } : {});
    const proxy = await startConnectProxy();
    onTestFinished(() => proxy.stop());
    const { cluster } = watchWith(server.kubeConfig(undefined, undefined, { 'proxy-url': proxy.url }));
    await cluster.watch.synced;
    expect(new Set(proxy.targets)).toEqual(new Set([`127.0.0.1:${server.port}`]));
  });

  it('of the environment is used if the kubeconfig has none', async () => {
    const proxy = await startConnectProxy();
    onTestFinished(() => proxy.stop());
    // Loopback addresses never go through a proxy, so the server is reached at another address.
    const server = await startServer({ tls: { ...authority.server(['0.0.0.0']), ca: authority.cert } });
    const { cluster } = watchWith(server.kubeConfig(undefined, '0.0.0.0'), { HTTPS_PROXY: proxy.url });
    await cluster.watch.synced;
    expect(proxy.targets[0]).toBe(`0.0.0.0:${server.port}`);
  });

  it('that cannot be reached is a connection error like any other', async () => {
    const server = await startServer({ tls });
    const { cluster } = watchWith(server.kubeConfig(undefined, undefined, { 'proxy-url': 'http://127.0.0.1:1' }));
    await until('it is noticed', () => cluster.status().restarts.connection > 0);
    expect(cluster.status().lastError?.message).toContain('ECONNREFUSED');
  });
});

describe('the test server', () => {
  it('refuses an unknown token', async () => {
    const server = await TestApiServer.start();
    onTestFinished(() => server.stop());
    server.acceptTokens(['known']);
    expect((await fetch(`${server.url()}/api/v1/pods`)).status).toBe(401);
  });
});
