/** Traffic that only gets through if ICMP reports to the sender how large a packet may be. */
import type { Lab, LabHost } from '../../src/lab/lab.ts';
import {
  close,
  errno,
  errnoName,
  MSG_NOSIGNAL,
  recv,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  send,
  setsockopt,
  socket,
} from '../../src/sys/libc.ts';
import { accept, connect, familyOf, listen, resetOnClose, socketAddress, tryBind } from '../../src/sys/sockets.ts';
import { patience } from '../patience.ts';
import { familyAddress } from './icmp.ts';
import type { World } from './world.ts';

const PATIENCE = patience(6000);
/** linux/in.h, linux/in6.h: never fragment, but report an error to the sender. */
const MTU_DISCOVER = { 4: { level: 0, name: 10 }, 6: { level: 41, name: 23 } };
const PMTUDISC_DO = 2;

const chunk = new Uint8Array(32_768);

/**
 * Sends `bytes` each way over one TCP connection. Returns how many bytes have arrived, once all
 * have or after PATIENCE.
 */
export async function transfer(
  from: LabHost,
  to: LabHost,
  family: 4 | 6,
  port: number,
  bytes: number,
): Promise<{ toServer: number; toClient: number }> {
  const target = socketAddress(familyAddress(to, family), port);
  const listener = open(to, family, SOCK_STREAM);
  const client = open(from, family, SOCK_STREAM);
  const sockets = [listener, client];
  try {
    if (tryBind(listener, target) < 0) throw new Error(`bind: ${errnoName(errno())}`);
    listen(listener, 1);
    connect(client, target);
    const sent = { client: 0, server: 0 };
    const arrived = { toServer: 0, toClient: 0 };
    let server = -1;
    await until(() => {
      if (server < 0) {
        server = accept(listener, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (server < 0) return false;
        sockets.push(server);
      }
      sent.client += sendSome(client, bytes - sent.client);
      sent.server += sendSome(server, bytes - sent.server);
      arrived.toServer += receiveSome(server);
      arrived.toClient += receiveSome(client);
      return arrived.toServer === bytes && arrived.toClient === bytes;
    });
    return arrived;
  } finally {
    for (const fd of sockets) {
      resetOnClose(fd);
      close(fd);
    }
  }
}

/**
 * Sends datagrams of `length` bytes that may not be fragmented until the kernel refuses one.
 * Returns the error's name, or 'sent' if the kernel never refuses.
 */
export async function sendUntilTooLong(
  from: LabHost,
  to: LabHost,
  family: 4 | 6,
  port: number,
  length: number,
): Promise<string> {
  const fd = open(from, family, SOCK_DGRAM);
  try {
    const { level, name } = MTU_DISCOVER[family];
    setsockopt(fd, level, name, PMTUDISC_DO);
    connect(fd, socketAddress(familyAddress(to, family), port));
    let refusal = 'sent';
    await until(() => {
      if (send(fd, chunk, length, MSG_NOSIGNAL) < 0) refusal = errnoName(errno());
      return refusal !== 'sent';
    });
    return refusal;
  } finally {
    close(fd);
  }
}

/**
 * Makes the router between the nodes forward packets of at most `mtu` bytes to any pod. It uses the
 * MTU of routes: with a smaller link MTU the interface would silently drop larger packets that it
 * receives.
 */
export async function narrowRoutes({ lab }: World, mtu: number): Promise<void> {
  const changes = lab.pods.flatMap(({ addresses }) => {
    return addresses.map((address) => {
      const ip = `ip -${address.includes(':') ? 6 : 4}`;
      return `${ip} route change $(${ip} route show ${address} | head -n 1) mtu lock ${mtu}`;
    });
  });
  const fabric = { name: 'fabric', netns: lab.fabric, addresses: [] };
  const { code, stderr } = await lab.exec(fabric, ['sh', '-ec', changes.join('\n')]);
  if (code !== 0) throw new Error(stderr);
}

/** Makes hosts forget what ICMP reported before. */
export async function forgetPathMtu(lab: Lab, ...hosts: readonly LabHost[]): Promise<void> {
  const command = 'ip route flush cache; ip -6 route flush cache';
  const results = await Promise.all(hosts.map((host) => lab.exec(host, ['sh', '-ec', command])));
  for (const { code, stderr } of results) if (code !== 0) throw new Error(stderr);
}

/**
 * Returns the largest packet that `from` knows to reach `to`; undefined if ICMP has reported none.
 */
export async function pathMtu(lab: Lab, from: LabHost, to: LabHost, family: 4 | 6): Promise<number | undefined> {
  const { stdout } = await lab.exec(from, ['ip', `-${family}`, 'route', 'get', familyAddress(to, family)]);
  const mtu = /\bmtu (\d+)/.exec(stdout)?.[1];
  return mtu === undefined ? undefined : Number(mtu);
}

function open(host: LabHost, family: 4 | 6, type: number): number {
  return host.netns.run(() => socket(familyOf(familyAddress(host, family)), type | SOCK_NONBLOCK, 0));
}

function sendSome(fd: number, rest: number): number {
  return rest <= 0 ? 0 : Math.max(0, send(fd, chunk, Math.min(rest, chunk.length), MSG_NOSIGNAL));
}

function receiveSome(fd: number): number {
  return Math.max(0, recv(fd, chunk, chunk.length, 0));
}

async function until(holds: () => boolean): Promise<void> {
  const end = performance.now() + PATIENCE;
  while (!holds() && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 1));
}
