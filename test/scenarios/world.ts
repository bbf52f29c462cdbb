/**
 * Clusters for the scenarios in few words: small constructors for pods, namespaces and Services;
 * policies as the YAML that people write.
 */
import { Lab, type LabOptions } from '../../src/lab/lab.ts';
import { type LoadedManifests, type LoadOptions, loadManifests } from '../../src/manifests/load.ts';

/** A Kubernetes object. */
type Manifest = Readonly<Record<string, unknown>>;
type Labels = Readonly<Record<string, string>>;

export interface PodOptions {
  readonly node?: string;
  readonly addresses?: readonly string[];
  readonly hostNetwork?: boolean;
}

/** `name` is `name` or `namespace/name`. Ports are `80`, `53/UDP`, or with a name `http=8080`. */
export function pod(name: string, labels: Labels, ports: readonly string[], options: PodOptions = {}): Manifest {
  const { node, addresses = [], hostNetwork = false } = options;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...identity(name), labels },
    spec: {
      hostNetwork,
      ...(node === undefined ? {} : { nodeName: node }),
      containers: [{ name: 'main', ports: ports.map(containerPort) }],
    },
    ...(addresses.length === 0 ? {} : { status: { podIPs: addresses.map((ip) => ({ ip })) } }),
  };
}

export function namespace(name: string, labels: Labels = {}): Manifest {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
}

/**
 * Ports are `80:8080` or `53:dns/UDP`: the Service's port, and the pods' port by number or name.
 */
export function service(name: string, selector: Labels, ports: readonly string[], spec: Manifest = {}): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: identity(name),
    spec: { selector, ports: ports.map(servicePort), ...spec },
  };
}

/** Loads the objects and the policies, which must not contain mistakes. */
async function manifests(
  objects: readonly Manifest[],
  policies = '',
  options: LoadOptions = {},
): Promise<LoadedManifests> {
  const text = [...objects.map((object) => JSON.stringify(object)), dedented(policies)].join('\n---\n');
  const loaded = await loadManifests(['-'], { ...options, stdin: oneText(text) });
  if (loaded.problems.length > 0) throw new Error(`the scenario is faulty: ${JSON.stringify(loaded.problems)}`);
  return loaded;
}

/** A running lab for one scenario after another: the same pods, other policies. */
export class World implements AsyncDisposable {
  readonly lab: Lab;
  readonly #objects: readonly Manifest[];
  readonly #load: LoadOptions;

  private constructor(lab: Lab, objects: readonly Manifest[], load: LoadOptions) {
    this.lab = lab;
    this.#objects = objects;
    this.#load = load;
  }

  static async start(
    objects: readonly Manifest[],
    options: Omit<LabOptions, 'manifests'> & { readonly policies?: string; readonly load?: LoadOptions } = {},
  ): Promise<World> {
    const { policies, load = {}, ...rest } = options;
    const lab = await Lab.start({ manifests: await manifests(objects, policies, load), ...rest });
    return new World(lab, objects, load);
  }

  /** Replaces the policies; resolves when the new ones are in force. */
  async policies(policies: string): Promise<void> {
    await this.change(this.#objects, policies);
  }

  /** Replaces the objects, too. */
  async change(objects: readonly Manifest[], policies: string): Promise<void> {
    await this.lab.apply(await manifests(objects, policies, this.#load));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab.stop();
  }
}

/**
 * Removes the indentation that policies have in tests: YAML requires document separators at the
 * left margin.
 */
function dedented(text: string): string {
  const margin = /^ *(?=\S)/m.exec(text)?.[0] ?? '';
  return text.replaceAll(new RegExp(`^${margin}`, 'gm'), '');
}

async function* oneText(text: string): AsyncGenerator<string> {
  yield text;
}

function identity(name: string): Manifest {
  const slash = name.indexOf('/');
  return slash < 0 ? { name } : { namespace: name.slice(0, slash), name: name.slice(slash + 1) };
}

function containerPort(text: string): Manifest {
  const { name, number, protocol } =
    /^(?:(?<name>[^=]+)=)?(?<number>\d+)(?:\/(?<protocol>\w+))?$/.exec(text)?.groups ?? {};
  return { ...(name === undefined ? {} : { name }), containerPort: Number(number), protocol: protocol ?? 'TCP' };
}

function servicePort(text: string): Manifest {
  const {
    port,
    target = '',
    protocol = 'TCP',
  } = /^(?<port>\d+):(?<target>[^/]+)(?:\/(?<protocol>\w+))?$/.exec(text)?.groups ?? {};
  return {
    name: `${protocol.toLowerCase()}-${port}`,
    port: Number(port),
    targetPort: /^\d+$/.test(target) ? Number(target) : target,
    protocol,
  };
}
