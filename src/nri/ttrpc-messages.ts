/** The two messages of ttrpc (containerd/ttrpc, request.proto; google/rpc/status.proto). */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { decode, delimited, type Fields, text, varint } from './protobuf.ts';

interface CallRequest {
  service: string;
  method: string;
  payload: Uint8Array;
}

/** google.rpc.Status without details. */
export interface CallStatus {
  /** google.rpc.Code; 0 is success. */
  code: number;
  message: string;
}

interface CallResponse {
  status: CallStatus;
  payload: Uint8Array;
}

const NO_BYTES = new Uint8Array(0);

const REQUEST: Fields<CallRequest> = {
  1: delimited((request, reader) => {
    request.service = text(reader);
  }),
  2: delimited((request, reader) => {
    request.method = text(reader);
  }),
  3: delimited((request, reader) => {
    request.payload = reader.bytes();
  }),
};

const STATUS: Fields<CallStatus> = {
  1: varint((status, reader) => {
    status.code = reader.int32();
  }),
  2: delimited((status, reader) => {
    status.message = text(reader);
  }),
};

const RESPONSE: Fields<CallResponse> = {
  1: delimited((response, reader) => {
    decode('Status', reader.bytes(), STATUS, response.status);
  }),
  2: delimited((response, reader) => {
    response.payload = reader.bytes();
  }),
};

/** The payload shares memory with `bytes`. Throws NriError `malformed`. */
export function decodeCallRequest(bytes: Uint8Array): CallRequest {
  return decode('Request', bytes, REQUEST, { service: '', method: '', payload: NO_BYTES });
}

/** The payload shares memory with `bytes`. Throws NriError `malformed`. */
export function decodeCallResponse(bytes: Uint8Array): CallResponse {
  return decode('Response', bytes, RESPONSE, { status: { code: 0, message: '' }, payload: NO_BYTES });
}

export function encodeCallRequest({ service, method, payload }: CallRequest): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).string(service);
  writer.tag(2, WireType.LengthDelimited).string(method);
  writer.tag(3, WireType.LengthDelimited).bytes(payload);
  return writer.finish();
}

/** A successful response has no status. */
export function encodeCallResponse({ status, payload }: CallResponse): Uint8Array {
  const writer = new BinaryWriter();
  if (status.code !== 0) {
    writer.tag(1, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.Varint).int32(status.code);
    writer.tag(2, WireType.LengthDelimited).string(status.message);
    writer.join();
  }
  writer.tag(2, WireType.LengthDelimited).bytes(payload);
  return writer.finish();
}
