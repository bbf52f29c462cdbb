/** Chooses the nodes that a canary runs on. */
import { CanaryError } from './error.ts';

/**
 * The fields of a Node that matter
 * (https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/node-v1/).
 */
export interface NodeObject {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec?: {
    readonly unschedulable?: boolean;
    readonly taints?: readonly { readonly key: string; readonly effect: string }[];
  };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/**
 * Returns one or two nodes that take pods: the requested ones, else the first two by name.
 * @throws CanaryError if there is none, or a requested one takes no pods or is requested twice
 */
export function chooseNodes(nodes: readonly NodeObject[], asked: readonly string[]): readonly string[] {
  const obstacles = new Map(nodes.map((node) => [node.metadata.name, obstacleOf(node)]));
  const twice = asked.find((name, index) => asked.indexOf(name) !== index);
  if (twice !== undefined) {
    throw new CanaryError(
      `node ${twice} is given twice: probes between nodes need two different ones. Give it once`,
      'input',
    );
  }
  for (const name of asked) {
    if (!obstacles.has(name)) {
      throw new CanaryError(`there is no node ${name}; there are: ${[...obstacles.keys()].join(', ')}`, 'input');
    }
    const obstacle = obstacles.get(name);
    if (obstacle !== undefined) throw new CanaryError(`node ${name} takes no pods: ${obstacle}`);
  }
  if (asked.length > 0) return asked;
  const able = [...obstacles].filter(([, obstacle]) => obstacle === undefined).map(([name]) => name);
  if (able.length === 0) {
    const list = [...obstacles].map(([name, obstacle]) => `${name} (${obstacle})`).join(', ');
    throw new CanaryError(`no node takes pods: ${list === '' ? 'the cluster has none' : list}`);
  }
  return able.sort().slice(0, 2);
}

function obstacleOf({ metadata, spec, status }: NodeObject): string | undefined {
  const os = metadata.labels?.['kubernetes.io/os'] ?? 'linux';
  if (os !== 'linux') return `it runs ${os}`;
  if (status?.conditions?.find(({ type }) => type === 'Ready')?.status !== 'True') return 'it is not Ready';
  if (spec?.unschedulable === true) return 'it is cordoned';
  const taint = spec?.taints?.find(({ effect }) => effect !== 'PreferNoSchedule');
  return taint && `taint ${taint.key}:${taint.effect}`;
}
