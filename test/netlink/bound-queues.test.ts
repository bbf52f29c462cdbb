import { expect, test } from 'vitest';
import { parseBoundQueues } from '../../src/netlink/bound-queues.ts';

test('recorded: /proc/net/netfilter/nfnetlink_queue', () => {
  expect(
    parseBoundQueues(
      '   98   3748     7 2   128     3     1       29  1\n 9464 -4123456     0 2   128     0     0        0  1\n',
    ),
  ).toEqual([
    { queue: 98, port: 3748, waiting: 7, droppedByKernel: 3, droppedByUser: 1 },
    { queue: 9464, port: -4_123_456, waiting: 0, droppedByKernel: 0, droppedByUser: 0 },
  ]);
});
