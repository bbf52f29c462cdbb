/**
 * What the kernel reports about changes of nftables rules, and what the filter on its notices
 * leaves out.
 */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { NFNLGRP_NFTABLES } from '../../src/netlink/constants.ts';
import { NftablesNotices, noticeFilter, type TableFilter } from '../../src/netlink/nftables-notices.ts';
import { NetlinkSocket } from '../../src/netlink/socket.ts';
import { Netns } from '../../src/sys/netns.ts';
import { attachFilter } from '../../src/sys/socket-filter.ts';
import { shell } from '../dataplane/steering/pods.ts';
import { describeAsRoot } from '../root.ts';

const WANTED: readonly TableFilter[] = [
  { table: 'podfence' },
  ...['mangle', 'filter'].map((table) => ({ table, chains: ['PODFENCE-', 'FORWARD'] })),
];

/**
 * Since Linux 6.8 a socket may have options of 128 KiB, so that the longest filter fits, and each
 * network namespace has a limit of its own.
 */
const isLarge = Number(readFileSync('/proc/sys/net/core/optmem_max', 'utf8')) >= 131_072;
const since68 = (title: string) => (isLarge ? title : `${title} (needs Linux 6.8: skipped)`);

describeAsRoot('Notices of nftables', () => {
  test.skipIf(!isLarge).each(['nat', 'filter'])(
    since68('of 10,000 rules that kube-proxy rewrites in its own chains of %s do not get past the filter'),
    (table) => {
      using node = Netns.create();
      using filtered = node.run(() => new NetlinkSocket(1 << 20));
      using all = node.run(() => new NetlinkSocket(64 << 20));
      attachFilter(filtered.fd, noticeFilter(WANTED));
      for (const socket of [filtered, all]) socket.join(NFNLGRP_NFTABLES);
      shell(node, 'iptables-nft-restore --noflush', services(table, 10_000));
      messages(filtered);
      messages(all);
      shell(node, 'iptables-nft-restore --noflush', services(table, 10_000));
      expect(messages(all)).toBeGreaterThan(20_000);
      expect(messages(filtered)).toBe(0);
      shell(node, 'iptables-nft -t mangle -A FORWARD -j ACCEPT');
      expect(messages(filtered)).toBeGreaterThan(0);
    },
  );

  test('arrive one by one with type, family, table and name, whatever precedes them in the same datagram', () => {
    using node = Netns.create();
    const told: object[] = [];
    const onNotice = ({ type, family, table, name }: { type: number; family: number; table: string; name: string }) =>
      told.push({ type, family, table, name });
    using notices = node.run(() => new NftablesNotices(WANTED, onNotice, () => told.push({ lost: true })));
    shell(
      node,
      'nft -f -',
      'add table inet other; add chain inet other c; add table inet podfence; add chain inet podfence forward',
    );
    shell(node, 'nft flush ruleset');
    notices.take();
    expect(told).toEqual([
      { type: 0, family: 1, table: 'podfence', name: '' },
      { type: 3, family: 1, table: 'podfence', name: 'forward' },
      { type: 5, family: 1, table: 'podfence', name: 'forward' },
      { type: 2, family: 1, table: 'podfence', name: '' },
    ]);
  });

  test.skipIf(!isLarge).each([20_480, 4096, 512])(
    since68('arrive if sockets may have options of only %i bytes, as on older kernels'),
    (bytes) => {
      using node = Netns.create();
      shell(node, `sysctl -qw net.core.optmem_max=${bytes}`);
      const told: string[] = [];
      using notices = node.run(
        () =>
          new NftablesNotices(
            WANTED,
            ({ table }) => told.push(table),
            () => undefined,
          ),
      );
      shell(node, 'nft -f -', 'add table inet other; add chain inet other c; add table inet podfence');
      notices.take();
      expect(told).toEqual(['podfence']);
    },
  );

  test('are reported as lost when there are too many', () => {
    using node = Netns.create();
    let lost = 0;
    using notices = node.run(
      () =>
        new NftablesNotices(
          WANTED,
          () => undefined,
          () => lost++,
        ),
    );
    const rules = Array.from(
      { length: 10_000 },
      (_, i) => `-A PODFENCE-FORWARD -s 10.0.${i >> 8}.${i & 255}/32 -j ACCEPT`,
    );
    shell(node, 'iptables-nft-restore', ['*mangle', ':PODFENCE-FORWARD - [0:0]', ...rules, 'COMMIT', ''].join('\n'));
    notices.take();
    expect(lost).toBe(1);
  });
});

function messages(socket: NetlinkSocket): number {
  let count = 0;
  socket.takeWaiting(() => count++);
  return count;
}

/** Input as kube-proxy passes it to iptables-restore: each chain flushed and filled again. */
function services(table: string, count: number): string {
  const lines = [`*${table}`];
  for (let i = 0; i < count; i++) lines.push(`:KUBE-SVC-${i} - [0:0]`);
  for (let i = 0; i < count; i++)
    lines.push(`-A KUBE-SVC-${i} -d 10.96.${i >> 8}.${i & 255}/32 -p tcp -m tcp --dport 80 -j RETURN`);
  return [...lines, 'COMMIT', ''].join('\n');
}
