/** The API server's address and credentials: from kubeconfig files or the pod's service account. */
import { accessSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import type { KubeConfig } from '@kubernetes/client-node';
import { parse } from 'yaml';
import * as library from './client-library.ts';
import { proxyFor } from './proxy.ts';

export interface KubeConfigChoice {
  /**
   * Path of a kubeconfig file. @default $KUBECONFIG, else the pod's service account, else
   * ~/.kube/config
   */
  readonly kubeconfig?: string;
  /** @default the file's current context */
  readonly context?: string;
  /** Folder that stands for `/` in the paths of the service account's files. */
  readonly serviceAccountRoot?: string;
}

/** An unusable configuration. The message says what to change. */
export class KubeConfigError extends Error {
  override readonly name = 'KubeConfigError';
  readonly code = 'KUBECONFIG';
}

type Environment = Readonly<Record<string, string | undefined>>;

const TOKEN_PATH = '/var/run/secrets/kubernetes.io/serviceaccount/token';

/**
 * Reads the configuration, and checks that it names a server. Call it again when credentials may
 * have changed.
 * @throws KubeConfigError
 */
export function loadKubeConfig(choice: KubeConfigChoice = {}, environment: Environment = process.env): KubeConfig {
  const config = read(choice, environment);
  const contextName = choice.context ?? config.getCurrentContext();
  config.setCurrentContext(contextName);
  const names = config.getContexts().map(({ name }) => name);
  if (!names.includes(contextName)) {
    const wanted = contextName === undefined ? 'no current context' : `no context ${JSON.stringify(contextName)}`;
    throw new KubeConfigError(`The kubeconfig has ${wanted}; its contexts are: ${names.join(', ') || 'none'}.`);
  }
  const cluster = config.getCurrentCluster();
  const server = cluster === null ? null : URL.parse(cluster.server);
  if (server === null || !/^https?:$/.test(server.protocol)) {
    throw new KubeConfigError(
      `Context ${contextName} names no cluster with a server address such as https://10.0.0.1:6443.`,
    );
  }
  if (server.protocol === 'http:' && cluster?.skipTLSVerify !== true) {
    throw new KubeConfigError(
      `${server.href} sends credentials unencrypted; if that is wanted set insecure-skip-tls-verify: true for the cluster.`,
    );
  }
  const proxy = cluster?.proxyUrl ?? proxyFor(server, environment);
  // The library ignores the environment's proxies. `config` is ours, so its cluster may be changed.
  if (cluster !== null && proxy !== undefined) (cluster as { proxyUrl?: string }).proxyUrl = proxy;
  return config;
}

function read(choice: KubeConfigChoice, environment: Environment): KubeConfig {
  if (choice.kubeconfig !== undefined) return readFiles([choice.kubeconfig]);
  const listed = (environment.KUBECONFIG ?? '').split(delimiter).filter((file) => file !== '');
  if (listed.length > 0) return readFiles(listed);
  const root = choice.serviceAccountRoot ?? '';
  if (environment.KUBERNETES_SERVICE_HOST !== undefined && isReadable(`${root}${TOKEN_PATH}`)) {
    const config = new library.KubeConfig();
    config.loadFromCluster(root);
    return config;
  }
  const home = join(homedir(), '.kube', 'config');
  if (isReadable(home)) return readFiles([home]);
  throw new KubeConfigError(
    `No cluster is configured: there is no service account (${TOKEN_PATH}), $KUBECONFIG is not set, and ${home} does not exist. Give a kubeconfig file.`,
  );
}

/** Merges the files. The first one that names a current context decides it. */
function readFiles(files: readonly string[]): KubeConfig {
  const merged = new library.KubeConfig();
  for (const file of files) {
    try {
      const config = new library.KubeConfig();
      config.loadFromFile(file);
      addTokenFiles(config, file);
      merged.mergeConfig(config, Boolean(merged.getCurrentContext()));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new KubeConfigError(`Kubeconfig ${file} cannot be read: ${reason}`, { cause: error });
    }
  }
  return merged;
}

/**
 * Adds each user's `tokenFile`, which the library does not know (client-go: clientcmd/api/v1
 * AuthInfo, where it wins over `token`).
 */
function addTokenFiles(config: KubeConfig, file: string): void {
  const users: unknown = parse(readFileSync(file, 'utf8'))?.users;
  for (const entry of Array.isArray(users) ? users : []) {
    const tokenFile: unknown = entry?.user?.tokenFile;
    const user = config.getUser(entry?.name);
    if (typeof tokenFile !== 'string' || user === null) continue;
    const token = readFileSync(resolve(dirname(file), tokenFile), 'utf8').trim();
    (user as { token?: string }).token = token;
  }
}

function isReadable(file: string): boolean {
  try {
    accessSync(file);
    return true;
  } catch {
    return false;
  }
}
