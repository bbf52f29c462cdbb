/**
 * The process that holds a lab open: `lab up` starts it, and `lab down` ends it with SIGTERM. Until
 * it has reported that the lab is up, it exits when its starter does.
 */
import { openSync, readdirSync, readlinkSync } from 'node:fs';
import { listeningPorts } from '../cluster/service-ports.ts';
import type { KeeperReply, KeepRequest } from './keeper-messages.ts';
import { Lab } from './lab.ts';
import { type KeptHost, type LabState, processStartTime, removeState, writeState } from './state-file.ts';

const endWithStarter = () => process.exit(1);

process.on('disconnect', endWithStarter);
process.on('SIGINT', () => undefined);
process.on('SIGHUP', () => undefined);
process.once('message', async (request: KeepRequest) => {
  try {
    await keep(request);
  } catch (error) {
    reply({ type: 'failed', message: error instanceof Error ? error.message : String(error) });
    process.exitCode = 1;
    process.disconnect();
  }
});

async function keep({ name, options }: KeepRequest): Promise<void> {
  const lab = await Lab.start({ ...options, onProgress: (progress) => reply({ type: 'progress', progress }) });
  if (!writeState(stateOf(name, lab))) {
    await lab.stop();
    throw new Error(`a lab called ${name} is up already`);
  }
  process.once('SIGTERM', () => void takeDown(name, lab));
  process.off('disconnect', endWithStarter);
  reply({ type: 'up', notes: lab.notes });
  process.disconnect();
  // A lab without agents needs something else to keep the process alive.
  setInterval(() => undefined, 2 ** 30);
}

/**
 * Also ends the processes in the lab's namespaces: like a container's, a pod's processes do not
 * outlive the pod.
 */
async function takeDown(name: string, lab: Lab): Promise<void> {
  const hosts = [
    ...lab.pods,
    ...lab.nodes.map((node) => lab.node(node.name)),
    ...lab.externals.map((host) => lab.external(host.name)),
  ];
  // Keep the namespaces open beyond the lab: the kernel may reuse the inode number of a closed one
  // for a namespace of another program.
  const held = hosts.map(({ netns }) => openSync(netns.path, 'r'));
  const namespaces = new Set(held.map((fd) => readlinkSync(`/proc/self/fd/${fd}`)));
  await lab.stop();
  processesIn(namespaces).forEach(end);
  removeState(name);
  process.exit(0);
}

/** @param namespaces in the form of /proc/PID/ns/net: `net:[4026531840]` */
function processesIn(namespaces: ReadonlySet<string>): readonly number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => {
      try {
        return pid > 0 && pid !== process.pid && namespaces.has(readlinkSync(`/proc/${pid}/ns/net`));
      } catch {
        return false; // it has ended
      }
    });
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

function stateOf(name: string, lab: Lab): LabState {
  const services = lab.services;
  const hosts: KeptHost[] = [
    ...lab.pods.map(({ name: pod, addresses, node, record, netns }) => {
      const ports = listeningPorts(record, services);
      return { name: pod, kind: 'pod' as const, addresses, node, ports, netns: netns.fd };
    }),
    ...lab.nodes.map((node) => ({ ...node, kind: 'node' as const, ports: [], netns: lab.node(node.name).netns.fd })),
    ...lab.externals.map((host) => ({
      ...host,
      kind: 'external' as const,
      ports: [],
      netns: lab.external(host.name).netns.fd,
    })),
  ];
  return {
    name,
    pid: process.pid,
    startTime: processStartTime(process.pid) ?? '',
    hosts,
    services: services.map(({ service, clusterIP, protocol, port, nodePort, backends }) => ({
      name: service,
      address: clusterIP,
      protocol,
      port,
      ...(nodePort === undefined ? {} : { nodePort }),
      backends: backends.length,
    })),
  };
}

function reply(message: KeeperReply): void {
  process.send?.(message);
}
