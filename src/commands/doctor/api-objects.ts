/**
 * API objects as doctor reads them. It does not trust the server: a malformed field counts as
 * absent.
 */

import type { NodeObject } from '../../doctor/cluster.ts';
import type { ContainerFacts, PodFacts } from '../../doctor/enforcers.ts';
import { bytesOf } from '../../doctor/memory.ts';

type Fields = Readonly<Record<string, unknown>>;

export function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function itemsOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Returns undefined for a node that does not run Linux, and for anything that is not a node. */
export function readNode(object: unknown): NodeObject | undefined {
  const { metadata, status } = fieldsOf(object);
  const name = textOf(fieldsOf(metadata).name);
  const info = fieldsOf(fieldsOf(status).nodeInfo);
  if (name === '' || (textOf(info.operatingSystem) || 'linux') !== 'linux') return undefined;
  return {
    name,
    kernelVersion: textOf(info.kernelVersion),
    kubeletVersion: textOf(info.kubeletVersion),
    containerRuntime: textOf(info.containerRuntimeVersion),
  };
}

export interface PodObject extends PodFacts {
  readonly phase: string;
  /** Why the pod does not run or is not Ready; undefined if it is Ready. */
  readonly obstacle: string | undefined;
  readonly serviceAccount: string;
  /** The number of the container port named metrics. */
  readonly metricsPort: number | undefined;
}

/** Returns undefined for anything that is not a pod, and for pods that have ended. */
export function readPod(object: unknown): PodObject | undefined {
  const { metadata, spec, status } = fieldsOf(object);
  const { name, namespace, labels } = fieldsOf(metadata);
  const { nodeName, containers, serviceAccountName } = fieldsOf(spec);
  const phase = textOf(fieldsOf(status).phase);
  if (typeof name !== 'string' || phase === 'Succeeded' || phase === 'Failed') return undefined;
  const ports = itemsOf(containers).flatMap((container) => itemsOf(fieldsOf(container).ports).map(fieldsOf));
  const metricsPort = ports.find((port) => port.name === 'metrics')?.containerPort;
  return {
    name,
    namespace: textOf(namespace),
    node: textOf(nodeName),
    labels: Object.fromEntries(Object.entries(fieldsOf(labels)).map(([key, value]) => [key, textOf(value)])),
    containers: itemsOf(containers).map(readContainer),
    phase,
    obstacle: obstacleOf(fieldsOf(status)),
    serviceAccount: textOf(serviceAccountName),
    metricsPort: typeof metricsPort === 'number' ? metricsPort : undefined,
  };
}

/**
 * Returns `its pod is pending` or `its pod is not Ready (CrashLoopBackOff)`, with the reason of the
 * container or else of the condition.
 */
function obstacleOf({ phase, conditions, containerStatuses }: Fields): string | undefined {
  const states = itemsOf(containerStatuses).map((each) => fieldsOf(fieldsOf(each).state));
  const waiting = states.map((state) => textOf(fieldsOf(state.waiting).reason)).find((reason) => reason !== '');
  const failed = itemsOf(conditions)
    .map(fieldsOf)
    .filter(({ type, status }) => (type === 'Ready' || type === 'PodScheduled') && status !== 'True');
  if (phase === 'Running' && failed.length === 0) return undefined;
  const words = waiting ?? failed.map(({ reason }) => textOf(reason)).find((reason) => reason !== '');
  const state = phase === 'Running' ? 'not Ready' : textOf(phase).toLowerCase() || 'not running';
  return `its pod is ${state}${words === undefined ? '' : ` (${words})`}`;
}

function readContainer(container: unknown): ContainerFacts {
  const { name, image, command, args, resources } = fieldsOf(container);
  const limit = bytesOf(textOf(fieldsOf(fieldsOf(resources).limits).memory));
  return {
    name: textOf(name),
    image: textOf(image),
    command: [...itemsOf(command), ...itemsOf(args)].map(textOf),
    ...(limit !== undefined && { memoryLimit: limit }),
  };
}
