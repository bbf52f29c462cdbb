/**
 * Runs a lab in its own process, reports its traces, and ends as it is told. Started by
 * left-behind.test.ts.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { Connections } from './connections.ts';
import { pod, World } from './world.ts';

export interface LabTraces {
  /** PIDs of the child processes. */
  readonly processes: readonly number[];
  /** Paths of the namespaces, which can be opened while the lab exists: `/proc/PID/fd/N`. */
  readonly namespaces: readonly string[];
}

const POLICY = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: web }
spec:
  podSelector: { matchLabels: { app: web } }
  ingress:
    - from: [{ podSelector: { matchLabels: { app: client } } }]
`;

const world = await World.start([pod('web', { app: 'web' }, ['80']), pod('client', { app: 'client' }, ['80'])], {
  policies: POLICY,
  nodes: 2,
  externals: [{ name: 'outside', address: '192.0.2.10' }],
});
const { lab } = world;
// Traffic that is under way when the lab ends.
const connections = new Connections(lab, 'client', 'web', 7001);
await connections.flow();

process.on('message', (order) => {
  if (order === 'throw') throw new Error('as told');
  connections[Symbol.dispose]();
  void world[Symbol.asyncDispose]().then(() => process.disconnect());
});

const hosts = [...lab.pods, ...lab.nodes.map(({ name }) => lab.node(name)), lab.external('outside')];
process.send?.({
  processes: childrenOf(process.pid),
  namespaces: [...hosts.map(({ netns }) => netns), lab.fabric].map(({ path }) => path),
} satisfies LabTraces);

function childrenOf(parent: number): readonly number[] {
  return readdirSync(`/proc/${parent}/task`)
    .flatMap((task) => readFileSync(`/proc/${parent}/task/${task}/children`, 'latin1').split(' '))
    .filter((pid) => pid.trim() !== '')
    .map(Number);
}
