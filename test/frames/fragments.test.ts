import { describe, expect, it } from 'vitest';
import { Fragments, UNKNOWN_DATAGRAM } from '../../src/frames/fragments.ts';

describe('datagrams in fragments', () => {
  it('are forgotten when a receiver has forgotten them', () => {
    const fragments = new Fragments();
    fragments.judged('a', 1, 0);
    expect(fragments.reason('a', 30_000)).toBe(1);
    expect(fragments.reason('a', 30_001)).toBe(UNKNOWN_DATAGRAM);
  });

  it('are limited in number; the oldest is dropped first', () => {
    const fragments = new Fragments();
    for (let i = 0; i <= 4096; i++) fragments.judged(`datagram ${i}`, 1, 0);
    expect(fragments.reason('datagram 0', 0)).toBe(UNKNOWN_DATAGRAM);
    expect(fragments.reason('datagram 1', 0)).toBe(1);
  });

  it('hold a limited number of waiting fragments, until those that waited too long expire', () => {
    const fragments = new Fragments();
    for (let i = 0; i < 256; i++) expect(fragments.hold(`datagram ${i % 16}`, Uint8Array.of(i), 0)).toBe(true);
    expect(fragments.hold('one more', Uint8Array.of(1), 1000)).toBe(false);
    expect(fragments.judged('datagram 1', 1, 1000)).toHaveLength(16);
    expect(fragments.hold('one more', Uint8Array.of(1), 1000)).toBe(true);
    for (let i = 0; i < 15; i++) fragments.hold('one more', Uint8Array.of(1), 1000);
    expect(fragments.hold('too many', Uint8Array.of(1), 1000)).toBe(false);
    expect(fragments.hold('later', Uint8Array.of(1), 40_000)).toBe(true);
  });
});
