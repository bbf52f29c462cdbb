/**
 * The messages of NRI that podfence reads and writes, with the fields that it needs. Their numbers
 * are the same in every version (containerd/nri, pkg/api/api.proto).
 */
import { type BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { decode, delimited, type Fields, text, varint } from './protobuf.ts';

export const PLUGIN_SERVICE_NAME = 'nri.pkg.api.v1alpha1.Plugin';
export const RUNTIME_SERVICE_NAME = 'nri.pkg.api.v1alpha1.Runtime';

/** Numbers of events. Event N is bit N - 1 of an event mask. */
export const RUN_POD_SANDBOX = 1;
export const STOP_POD_SANDBOX = 2;
export const REMOVE_POD_SANDBOX = 3;

export interface PodSandbox {
  id: string;
  name: string;
  uid: string;
  namespace: string;
  readonly labels: Map<string, string>;
  readonly annotations: Map<string, string>;
  /** Path of the pod's network namespace as the runtime sees it; '' if it has none of its own. */
  netnsPath: string;
  /** The process that holds the sandbox; 0 if there is none. */
  pid: number;
  /** Empty before containerd 2.1 and CRI-O 1.32, which do not tell them. */
  readonly ips: string[];
}

export interface RegisterPluginRequest {
  readonly name: string;
  /** Two digits. The runtime calls plugins in the order of their indexes. */
  readonly index: string;
}

export interface ConfigureRequest {
  /** `containerd`, `cri-o`. */
  runtimeName: string;
  runtimeVersion: string;
  /** How long the runtime waits for an answer, in ms; 0 if it does not say. */
  requestTimeout: number;
}

export interface SynchronizeRequest {
  readonly pods: PodSandbox[];
  /** Whether another piece follows. */
  more: boolean;
}

export interface StateChangeEvent {
  /** A number of an event; 0 if it is missing. */
  event: number;
  pod: PodSandbox;
}

interface Namespace {
  type: string;
  path: string;
}

const MAP_ENTRY: Fields<{ key: string; value: string }> = {
  1: delimited((entry, reader) => {
    entry.key = text(reader);
  }),
  2: delimited((entry, reader) => {
    entry.value = text(reader);
  }),
};

function readEntry(map: Map<string, string>, reader: BinaryReader): void {
  const { key, value } = decode('map entry', reader.bytes(), MAP_ENTRY, { key: '', value: '' });
  map.set(key, value);
}

const NAMESPACE: Fields<Namespace> = {
  1: delimited((namespace, reader) => {
    namespace.type = text(reader);
  }),
  2: delimited((namespace, reader) => {
    namespace.path = text(reader);
  }),
};

const LINUX_POD_SANDBOX: Fields<PodSandbox> = {
  5: delimited((pod, reader) => {
    const { type, path } = decode('LinuxNamespace', reader.bytes(), NAMESPACE, { type: '', path: '' });
    if (type === 'network') pod.netnsPath = path;
  }),
};

const POD_SANDBOX: Fields<PodSandbox> = {
  1: delimited((pod, reader) => {
    pod.id = text(reader);
  }),
  2: delimited((pod, reader) => {
    pod.name = text(reader);
  }),
  3: delimited((pod, reader) => {
    pod.uid = text(reader);
  }),
  4: delimited((pod, reader) => {
    pod.namespace = text(reader);
  }),
  5: delimited((pod, reader) => readEntry(pod.labels, reader)),
  6: delimited((pod, reader) => readEntry(pod.annotations, reader)),
  8: delimited((pod, reader) => {
    decode('LinuxPodSandbox', reader.bytes(), LINUX_POD_SANDBOX, pod);
  }),
  9: varint((pod, reader) => {
    pod.pid = reader.uint32();
  }),
  10: delimited((pod, reader) => {
    pod.ips.push(text(reader));
  }),
};

function emptyPod(): PodSandbox {
  return {
    id: '',
    name: '',
    uid: '',
    namespace: '',
    labels: new Map(),
    annotations: new Map(),
    netnsPath: '',
    pid: 0,
    ips: [],
  };
}

function readPod(reader: BinaryReader): PodSandbox {
  return decode('PodSandbox', reader.bytes(), POD_SANDBOX, emptyPod());
}

const CONFIGURE_REQUEST: Fields<ConfigureRequest> = {
  2: delimited((request, reader) => {
    request.runtimeName = text(reader);
  }),
  3: delimited((request, reader) => {
    request.runtimeVersion = text(reader);
  }),
  5: varint((request, reader) => {
    request.requestTimeout = Number(reader.int64());
  }),
};

const SYNCHRONIZE_REQUEST: Fields<SynchronizeRequest> = {
  1: delimited((request, reader) => {
    request.pods.push(readPod(reader));
  }),
  3: varint((request, reader) => {
    request.more = reader.bool();
  }),
};

const STATE_CHANGE_EVENT: Fields<StateChangeEvent> = {
  1: varint((event, reader) => {
    event.event = reader.int32();
  }),
  2: delimited((event, reader) => {
    event.pod = readPod(reader);
  }),
};

/** RunPodSandboxRequest, StopPodSandboxRequest and RemovePodSandboxRequest have one field. */
const POD_REQUEST: Fields<{ pod: PodSandbox }> = {
  1: delimited((request, reader) => {
    request.pod = readPod(reader);
  }),
};

/** Throws NriError `malformed`, like all decoders here. */
export function decodeConfigureRequest(bytes: Uint8Array): ConfigureRequest {
  const empty = { runtimeName: '', runtimeVersion: '', requestTimeout: 0 };
  return decode('ConfigureRequest', bytes, CONFIGURE_REQUEST, empty);
}

export function decodeSynchronizeRequest(bytes: Uint8Array): SynchronizeRequest {
  return decode<SynchronizeRequest>('SynchronizeRequest', bytes, SYNCHRONIZE_REQUEST, { pods: [], more: false });
}

export function decodeStateChangeEvent(bytes: Uint8Array): StateChangeEvent {
  return decode('StateChangeEvent', bytes, STATE_CHANGE_EVENT, { event: 0, pod: emptyPod() });
}

export function decodePodRequest(bytes: Uint8Array): PodSandbox {
  return decode('request about a pod', bytes, POD_REQUEST, { pod: emptyPod() }).pod;
}

export function encodeRegisterPluginRequest({ name, index }: RegisterPluginRequest): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).string(name);
  writer.tag(2, WireType.LengthDelimited).string(index);
  return writer.finish();
}

/** Subscribes to events by their numbers. */
export function encodeConfigureResponse(events: readonly number[]): Uint8Array {
  const mask = events.reduce((mask, event) => mask | (1 << (event - 1)), 0);
  return new BinaryWriter().tag(2, WireType.Varint).int32(mask).finish();
}

/** Asks for no update of any container. `more` answers that of the request. */
export function encodeSynchronizeResponse(more: boolean): Uint8Array {
  return more ? new BinaryWriter().tag(2, WireType.Varint).bool(true).finish() : new Uint8Array(0);
}
