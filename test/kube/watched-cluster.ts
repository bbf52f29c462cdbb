/** A ClusterWatch on a TestApiServer, over real HTTP and with a clock that the test advances. */
import { KubeConfig } from '@kubernetes/client-node';
import pino from 'pino';
import { onTestFinished } from 'vitest';
import type { NodeRecord } from '../../src/cluster/records.ts';
import type { ClusterChange } from '../../src/cluster/store.ts';
import { ApiConnection } from '../../src/kube/api-connection.ts';
import { ClusterWatch } from '../../src/kube/cluster-watch.ts';
import { type ApiServerOptions, TestApiServer } from './api-server.ts';
import type { Kind } from './object-history.ts';
import { namespace } from './objects.ts';
import { TestClock } from './test-clock.ts';
import { until } from './until.ts';

export async function startServer(options: ApiServerOptions = {}): Promise<TestApiServer> {
  const server = await TestApiServer.start(options);
  onTestFinished(() => server.stop());
  server.set(namespace('default'));
  return server;
}

/** Returns the configuration in a kubeconfig's text. */
export function configOf(kubeConfig: string): KubeConfig {
  const config = new KubeConfig();
  config.loadFromString(kubeConfig);
  return config;
}

export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export class WatchedCluster {
  readonly clock = new TestClock();
  /** What was delivered, batch by batch, as `set Pod default/web`. */
  readonly batches: string[][] = [];
  readonly changes: ClusterChange[] = [];
  readonly receivedAt: number[] = [];
  readonly log: LogLine[] = [];
  /** The nodes, as told one time after the other; stays empty unless they are watched. */
  readonly nodes: (readonly NodeRecord[])[] = [];
  /** Deliveries that wait to be called; undefined if each is made at once. */
  held: (() => void)[] | undefined;
  readonly watch: ClusterWatch;

  /** @param watchesNodes @default false */
  constructor(load: () => KubeConfig, watchesNodes = false) {
    this.watch = new ClusterWatch({
      connection: new ApiConnection(load, this.clock),
      log: pino({ level: 'debug' }, { write: (line) => this.log.push(JSON.parse(line)) }),
      onChanges: (take, receivedAt) => {
        const deliver = () => {
          const changes = take();
          if (changes.length === 0) return;
          this.batches.push(changes.map(nameOf));
          this.changes.push(...changes);
          this.receivedAt.push(receivedAt);
        };
        if (this.held === undefined) deliver();
        else this.held.push(deliver);
      },
      ...(watchesNodes && { onNodes: (nodes: readonly NodeRecord[]) => this.nodes.push(nodes) }),
      clock: this.clock,
      // Waits have their middle length: 250, 500, 1000 ms and so on.
      random: () => 0.5,
    });
    this.watch.start();
    onTestFinished(() => this.watch.stop());
  }

  /** Everything that was delivered. */
  get delivered(): string[] {
    return this.batches.flat();
  }

  status(kind: Kind = 'Pod') {
    const status = this.watch.status().kinds.find((candidate) => candidate.kind === kind);
    if (status === undefined) throw new Error(`no status of ${kind}`);
    return status;
  }

  pods(): string[] {
    return this.watch.snapshot().pods.map(({ name }) => name);
  }

  async isDelivered(...changes: string[]): Promise<void> {
    await until(
      `${changes} are delivered`,
      () => changes.every((change) => this.delivered.includes(change)),
      () => `those that are: ${this.delivered}`,
    );
  }

  /** Resolves when a watch of every kind is open on the server, and the client knows it. */
  async isWatching(server: TestApiServer): Promise<void> {
    await until('a watch of every kind is open', () => {
      const kinds = this.watch.status().kinds;
      return kinds.every(({ kind, watching }) => watching && server.watches(kind).length === 1);
    });
  }
}

/** Watches the server's cluster. Resolves after the first lists. */
export async function watchCluster(server: TestApiServer): Promise<WatchedCluster> {
  const cluster = new WatchedCluster(() => configOf(server.kubeConfig()));
  await cluster.watch.synced;
  await cluster.isWatching(server);
  return cluster;
}

function nameOf({ type, record }: ClusterChange): string {
  const namespaceOf = record.kind === 'Namespace' ? '' : `${record.namespace}/`;
  return `${type} ${record.kind} ${namespaceOf}${record.name}`;
}
