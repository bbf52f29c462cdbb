/**
 * An API server that answers doctor's requests: nodes, pods, reviews, agents through the proxy, and
 * doctor's own pods, which end at once.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeCluster {
  readonly nodes: readonly string[];
  /** The /status of agents by node, or an HTTP status for an error. */
  readonly agents?: Readonly<Record<string, object | number>>;
  readonly others?: readonly object[];
  /** The kernel release of all nodes. @default '6.18.1' */
  readonly kernelVersion?: string;
  /** Pod status by node, for agents that are not Running and Ready. */
  readonly podStatus?: Readonly<Record<string, object>>;
  /** The mode in kube-proxy's ConfigMap. If undefined, there is no ConfigMap. */
  readonly proxyMode?: string;
  /** Paths that the user may not request. */
  readonly forbidden?: RegExp;
  /** Rights that the agents' account lacks: `list pods`. */
  readonly missingRights?: readonly string[];
  /** The log of doctor's pods. If undefined, they never end. */
  readonly podLog?: string;
  /**
   * Faults by method and path, each used once: answer with a status, or execute the request and
   * drop the answer.
   */
  readonly faults?: readonly (readonly [request: RegExp, fault: number | 'lost'])[];
  /** Requests that are executed, but answered only when `release` is called. */
  readonly held?: RegExp;
}

const metadata = { resourceVersion: '1' };

export class DoctorCluster implements AsyncDisposable {
  /** Method and path of every request. */
  readonly requests: string[] = [];
  /** Doctor's own namespaces that exist now. */
  readonly namespaces = new Set<string>();
  readonly pods: object[] = [];
  readonly #cluster: FakeCluster;
  readonly #server: Server;
  readonly #waiting = new Set<() => void>();
  readonly #faults: (readonly [RegExp, number | 'lost'])[];
  readonly #released = Promise.withResolvers<void>();
  /** Answers the held requests. */
  readonly release = this.#released.resolve;

  static async start(cluster: FakeCluster): Promise<DoctorCluster> {
    const server = new DoctorCluster(cluster);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  private constructor(cluster: FakeCluster) {
    this.#cluster = cluster;
    this.#faults = [...(cluster.faults ?? [])];
    this.#server = createServer((request, response) => void this.#handle(request, response));
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const text = await body(request);
    const { pathname } = new URL(request.url ?? '', 'http://server');
    const asked = `${request.method} ${pathname}`;
    this.requests.push(asked);
    const index = this.#faults.findIndex(([pattern]) => pattern.test(asked));
    const [, fault] = (index < 0 ? undefined : this.#faults.splice(index, 1)[0]) ?? [];
    const [status, answer] =
      typeof fault === 'number' ? [fault, {}] : this.#answer(request.method ?? '', pathname, text);
    for (const wake of this.#waiting) wake();
    if (this.#cluster.held?.test(asked)) await this.#released.promise;
    if (fault === 'lost') response.destroy();
    else {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
    }
  }

  get kubeConfig(): string {
    const { port } = this.#server.address() as AddressInfo;
    const cluster = { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true };
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'test',
      contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
      clusters: [{ name: 'test', cluster }],
      users: [{ name: 'test', user: { token: 'secret' } }],
    });
  }

  /** Resolves when such a request arrives. */
  async asked(request: RegExp): Promise<void> {
    while (!this.requests.some((each) => request.test(each))) {
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #answer(method: string, path: string, text: string): [status: number, answer: object | string] {
    const { nodes, agents = {}, others = [], podStatus = {}, proxyMode, missingRights = [] } = this.#cluster;
    const { kernelVersion = '6.18.1', forbidden } = this.#cluster;
    if (forbidden?.test(`${method} ${path}`))
      return [403, { kind: 'Status', reason: 'Forbidden', message: `${path} is forbidden` }];
    if (path.endsWith('accessreviews')) {
      const { verb, resource } = JSON.parse(text).spec.resourceAttributes;
      return [201, { status: { allowed: !missingRights.includes(`${verb} ${resource}`) } }];
    }
    const own = /^\/api\/v1\/namespaces(?:\/(podfence-doctor-[^/]+)(\/.*)?)?$/.exec(path);
    if (own !== null) return this.#own(method, own[1], own[2] ?? '', text);
    const proxied = /\/pods\/podfence-(\S+):9464\/proxy\/status$/.exec(path)?.[1];
    if (proxied !== undefined) {
      const status = agents[proxied] ?? 404;
      return typeof status === 'number' ? [status, { kind: 'Status', message: 'no answer' }] : [200, status];
    }
    switch (path) {
      case '/api/v1/nodes':
        return [200, { kind: 'NodeList', metadata, items: nodes.map((name) => node(name, kernelVersion)) }];
      case '/api/v1/pods':
        return [
          200,
          {
            kind: 'PodList',
            metadata,
            items: [...Object.keys(agents).map((name) => agentPod(name, podStatus[name])), ...others],
          },
        ];
      case '/api/v1/namespaces/kube-system/configmaps/kube-proxy':
        if (proxyMode === undefined) return [404, { kind: 'Status', reason: 'NotFound' }];
        return [
          200,
          { data: { 'config.conf': `kind: KubeProxyConfiguration\nmode: ${proxyMode}\nnodePortAddresses: null\n` } },
        ];
      case '/apis/networking.k8s.io/v1/networkpolicies':
        return [200, { kind: 'NetworkPolicyList', metadata, items: [] }];
      default:
        return [404, { kind: 'Status', reason: 'NotFound', message: `${path} not found` }];
    }
  }

  /** Serves doctor's namespace and what is in it. */
  #own(method: string, namespace: string | undefined, rest: string, text: string): [number, object | string] {
    if (method === 'POST' && namespace === undefined) {
      this.namespaces.add(JSON.parse(text).metadata.name);
      return [201, JSON.parse(text)];
    }
    if (namespace === undefined || !this.namespaces.has(namespace))
      return [404, { kind: 'Status', reason: 'NotFound' }];
    if (method === 'DELETE') {
      this.pods.length = 0;
      if (rest === '') this.namespaces.delete(namespace);
      return [200, {}];
    }
    if (rest === '/pods' && method === 'POST') {
      this.pods.push(JSON.parse(text));
      return [201, JSON.parse(text)];
    }
    if (rest.endsWith('/log')) return [200, this.#cluster.podLog ?? ''];
    const phase = this.#cluster.podLog === undefined ? 'Pending' : 'Succeeded';
    return [200, { items: this.pods.map((pod) => ({ ...pod, status: { phase } })) }];
  }
}

function node(name: string, kernelVersion: string): object {
  const nodeInfo = {
    kernelVersion,
    operatingSystem: 'linux',
    kubeletVersion: 'v1.34.4',
    containerRuntimeVersion: 'containerd://2.2.9',
  };
  return { metadata: { name }, status: { nodeInfo } };
}

function agentPod(nodeName: string, status: object = RUNNING): object {
  return {
    metadata: {
      namespace: 'podfence-system',
      name: `podfence-${nodeName}`,
      labels: { 'app.kubernetes.io/name': 'podfence' },
    },
    spec: {
      nodeName,
      serviceAccountName: 'podfence',
      containers: [{ name: 'agent', image: 'podfence:0.1.0', resources: { limits: { memory: '1Gi' } } }],
    },
    status,
  };
}

const RUNNING = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };

async function body(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}
