/** Copies of packets from a real NFLOG group, more than the reader takes. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Capture, readerOf } from '../../src/capture/capture.ts';
import { linkTypeOf } from '../../src/capture/capture-messages.ts';
import { nflogInterface } from '../../src/capture/nflog-socket.ts';
import { LinkFrame } from '../../src/frames/link-frame.ts';
import { AF_INET, close, SOCK_DGRAM, socket } from '../../src/sys/libc.ts';
import { Netns } from '../../src/sys/netns.ts';
import { sendTo, socketAddress } from '../../src/sys/sockets.ts';
import { shell } from '../dataplane/steering/pods.ts';
import { eventually } from '../patience.ts';
import { describeAsRoot } from '../root.ts';

const GROUP = 7;
const DATAGRAM = 700;
/** Datagrams whose copies take three times the ring. */
const FLOOD = 60_000;

describeAsRoot('an NFLOG group that is captured', () => {
  let netns: Netns;
  let capture: Capture;
  beforeEach(async () => {
    netns = Netns.create();
    shell(netns, 'ip link set lo up');
    shell(netns, `iptables -A OUTPUT -p udp -j NFLOG --nflog-group ${GROUP} --nflog-size 128 --nflog-threshold 1`);
    capture = new Capture({
      interfaces: [nflogInterface(GROUP)],
      frames: 'all',
      bufferBytes: 1 << 16,
      snapLength: 1024,
      inNamespace: (start) => netns.run(start),
      onChange: () => undefined,
    });
    await capture.tried;
  });
  afterEach(async () => {
    await capture.stop();
    netns.close();
  });

  function send(datagrams: number): void {
    const fd = netns.run(() => socket(AF_INET, SOCK_DGRAM, 0));
    const bytes = new Uint8Array(DATAGRAM);
    const nobody = socketAddress('127.0.0.1', 9);
    // An ICMP error comes back because no socket listens there. It fails the next call, which then
    // sends nothing.
    for (let sent = 0; sent < datagrams; ) if (sendTo(fd, bytes, 0, nobody) === DATAGRAM) sent++;
    close(fd);
  }

  test('gives the beginning of each packet, and its real length', async () => {
    expect(capture.closed).toEqual([]);
    send(1);
    const ring = readerOf(capture.handle);
    await eventually(() => expect(ring.next()).toBe(true));
    const frame = new LinkFrame();
    frame.read(ring.view, ring.offset, ring.length, ring.realLength, linkTypeOf(ring.tag), true);
    expect(frame.isIp).toBe(true);
    expect(ring.view.getUint16(frame.payload + 2)).toBe(20 + 8 + DATAGRAM);
    expect(frame.captured).toBe(128);
    expect(frame.length).toBeGreaterThan(20 + 8 + DATAGRAM);
  });

  test('goes on when there are more copies than the reader takes, and counts each lost one', async () => {
    const ring = readerOf(capture.handle);
    send(FLOOD);
    let taken = 0;
    await eventually(() => {
      while (ring.next()) taken++;
      ring.release();
      expect(taken + capture.dropped).toBe(FLOOD);
    });
    expect(capture.dropped).toBeGreaterThan(0);
    expect(capture.captured).toBe(taken);
    send(1);
    await eventually(() => expect(ring.next()).toBe(true));
    expect(capture.restarts).toBe(0);
  });
});
