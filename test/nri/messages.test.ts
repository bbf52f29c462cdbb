/** NRI's messages: what is read, what is skipped, and what is refused. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NriError } from '../../src/nri/error.ts';
import {
  decodeConfigureRequest,
  decodePodRequest,
  decodeStateChangeEvent,
  decodeSynchronizeRequest,
} from '../../src/nri/messages.ts';
import { field, message, pod } from './fake-runtime.ts';

const POD = pod({
  id: 'a1',
  name: 'web-0',
  uid: 'u1',
  namespace: 'shop',
  labels: { app: 'web', empty: '' },
  annotations: { note: 'ä' },
  ips: ['10.0.0.1', 'fd00::1'],
  netnsPath: '/var/run/netns/cni-1',
  pid: 4_000_000_000,
});

test('A pod is read with its maps, lists, and the path of its network namespace among others', () => {
  expect(decodePodRequest(field(1, POD))).toEqual({
    id: 'a1',
    name: 'web-0',
    uid: 'u1',
    namespace: 'shop',
    labels: new Map([
      ['app', 'web'],
      ['empty', ''],
    ]),
    annotations: new Map([['note', 'ä']]),
    netnsPath: '/var/run/netns/cni-1',
    pid: 4_000_000_000,
    ips: ['10.0.0.1', 'fd00::1'],
  });
});

test('Fields that are missing are empty, and fields of later versions are skipped, of every wire type', () => {
  const later = Buffer.from([0xa0, 0x06, 0x01, 0xa9, 0x06, 1, 2, 3, 4, 5, 6, 7, 8, 0xa5, 0x06, 1, 2, 3, 4]);
  const { id, ips, netnsPath, pid } = decodePodRequest(message(later, field(1, message(later, field(1, 'a1')))));
  expect({ id, ips, netnsPath, pid }).toEqual({ id: 'a1', ips: [], netnsPath: '', pid: 0 });
});

test('The runtime says who it is and how long it waits', () => {
  const request = message(field(2, 'containerd'), field(3, '2.2.9'), field(4, 5000), field(5, 2000));
  expect(decodeConfigureRequest(request)).toEqual({
    runtimeName: 'containerd',
    runtimeVersion: '2.2.9',
    requestTimeout: 2000,
  });
});

test('Containers in Synchronize are skipped', () => {
  const { pods, more } = decodeSynchronizeRequest(message(field(1, POD), field(2, 'a container'), field(3, 1)));
  expect([pods.map(({ id }) => id), more]).toEqual([['a1'], true]);
});

test.each([
  ['is cut', POD.subarray(0, POD.length - 1)],
  ['has a field of another wire type', field(1, 5)],
  ['has a string that is not UTF-8', field(1, Buffer.from([0xff, 0xfe]))],
  ['has field number 0', Buffer.from([0x00, 0x00])],
  ['has a number that never ends', Buffer.alloc(20, 0xff)],
])('A pod that %s is malformed', (_, bytes) => {
  expect(() => decodePodRequest(field(1, bytes))).toThrow(expect.objectContaining({ code: 'malformed' }));
});

test('Whatever bytes come, a decoder gives a message or says that it is malformed', () => {
  const damaged = fc
    .tuple(fc.nat({ max: POD.length - 1 }), fc.integer({ min: 0, max: 255 }), fc.nat({ max: POD.length }))
    .map(([at, byte, length]) => {
      const bytes = Buffer.from(message(field(1, 1), field(2, POD)));
      bytes[at] = byte;
      return bytes.subarray(0, length);
    });
  const decoders = [decodePodRequest, decodeStateChangeEvent, decodeSynchronizeRequest, decodeConfigureRequest];
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), damaged), fc.constantFrom(...decoders), (bytes, decode) => {
      try {
        decode(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(NriError);
        expect(error).toHaveProperty('code', 'malformed');
      }
    }),
    { numRuns: 2000 },
  );
});
