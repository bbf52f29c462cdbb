/**
 * Reads the cluster of a kubeconfig as it is at this moment. Load this file only when needed: its
 * API client is large.
 */
import { formatPath, type Projection } from '../../cluster/field.ts';
import { recordKey, type WatchedRecord } from '../../cluster/records.ts';
import type { ServiceRecord } from '../../cluster/services.ts';
import { NONE_ASSIGNED } from '../../explain/assigned-addresses.ts';
import { ApiConnection } from '../../kube/api-connection.ts';
import { ApiError, toApiError } from '../../kube/api-error.ts';
import { KubeConfigError, loadKubeConfig } from '../../kube/kubeconfig.ts';
import { listObjects } from '../../kube/list-objects.ts';
import { NAMESPACES, PODS, POLICIES, type Resource, SERVICES_PATH } from '../../kube/resources.ts';
import type { ManifestProblem } from '../../manifests/problems.ts';
import { allocateServices, isExternalName, projectService } from '../../manifests/services.ts';
import type { ClusterRead } from './cluster-read.ts';
import { InputError, UnavailableError } from './exit-code.ts';

/**
 * Lists the records of a kubeconfig's cluster.
 * @throws InputError if the kubeconfig cannot be used, UnavailableError if the cluster does not
 * answer
 */
export async function readKubeCluster(
  kubeconfig: string | undefined,
  context: string | undefined,
): Promise<ClusterRead> {
  const choice = { ...(kubeconfig === undefined ? {} : { kubeconfig }), ...(context === undefined ? {} : { context }) };
  const connection = connect(choice);
  const lists = new ClusterLists(connection);
  try {
    const [namespaces, pods, policies, services] = await Promise.all([
      lists.records(NAMESPACES),
      lists.records(PODS),
      lists.records(POLICIES),
      lists.services(),
    ]);
    const snapshot = { namespaces, pods, policies };
    const { problems } = lists;
    return { snapshot, services, assigned: NONE_ASSIGNED, locate: () => undefined, problems, title: connection.server };
  } catch (error) {
    throw new UnavailableError(`cannot read the cluster at ${connection.server}: ${toApiError(error).message}`);
  } finally {
    lists.stop();
  }
}

function connect(choice: Parameters<typeof loadKubeConfig>[0]): ApiConnection {
  try {
    return new ApiConnection(() => loadKubeConfig(choice));
  } catch (error) {
    if (!(error instanceof KubeConfigError)) throw error;
    throw new InputError(`${error.message.replace(/\.?$/, '.')} Or give manifests: --manifests FOLDER.`);
  }
}

class ClusterLists {
  readonly problems: ManifestProblem[] = [];
  readonly #connection: ApiConnection;
  readonly #stopping = new AbortController();

  constructor(connection: ApiConnection) {
    this.#connection = connection;
  }

  async records<R extends WatchedRecord>({ path, kind, project }: Resource<R>): Promise<R[]> {
    return await this.#list(path, kind, project, recordKey);
  }

  /** Lists Services, for their names: a user who may not list them can still name pods. */
  async services(): Promise<readonly ServiceRecord[]> {
    const project = (object: unknown) =>
      isExternalName(object)
        ? { record: undefined, problems: [] }
        : projectService(object, 'default', ['IPv4', 'IPv6']);
    const keyOf = ({ namespace, name }: ServiceRecord) => `${namespace}/${name}`;
    try {
      return allocateServices(await this.#list(SERVICES_PATH, 'Service', project, keyOf), new Map());
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'forbidden') throw error;
      this.#add('warning', 'Services', '', `you may not list them, so their names are not known: ${error.message}`);
      return [];
    }
  }

  /** Aborts pending requests, and lets the process end. */
  stop(): void {
    this.#stopping.abort();
    this.#connection.close();
  }

  async #list<R>(
    path: string,
    kind: string,
    project: (object: unknown) => Projection<R>,
    keyOf: (record: R) => string,
  ): Promise<R[]> {
    const records: R[] = [];
    for await (const object of listObjects(this.#connection, path, kind, this.#stopping.signal)) {
      const { record, problems } = project(object);
      const title = record === undefined ? kind : `${kind} ${keyOf(record)}`;
      for (const { path: field, message } of problems) this.#add('error', title, formatPath(field), message);
      if (record !== undefined) records.push(record);
    }
    return records;
  }

  #add(severity: ManifestProblem['severity'], object: string, field: string, message: string): void {
    this.problems.push({ file: '', line: 0, column: 0, object, field, message, severity });
  }
}
