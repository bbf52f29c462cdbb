/** The cluster of a kubeconfig, as it is at this moment. Loaded where it is needed: the client for it is large. */
import { formatPath, type Projection } from '../../cluster/field.ts';
import { type ClusterRecord, recordKey } from '../../cluster/records.ts';
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
 * Lists what there is in the cluster of a kubeconfig.
 * @throws InputError for a kubeconfig that cannot be used, UnavailableError where the cluster does not answer
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
    throw new UnavailableError(`the cluster at ${connection.server} cannot be read: ${toApiError(error).message}`);
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

  async records<R extends ClusterRecord>({ path, kind, project }: Resource<R>): Promise<R[]> {
    return await this.#list(path, kind, project, recordKey);
  }

  /** Names, for people: whoever may not list Services can still name pods. */
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
      this.#add('warning', 'Services', '', `they may not be listed, so their names are not known: ${error.message}`);
      return [];
    }
  }

  /** Ends what is under way, and lets the process end. */
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
