import { describe, expect, it } from 'vitest';
import { MessageWriter } from '../../src/netlink/message.ts';

describe('a netlink message', () => {
  it('counts padding in the message but not in the attribute', () => {
    const writer = new MessageWriter(64).begin(3, 2, 5, 9, 2, 100).attribute(2, Uint8Array.of(1, 2, 3, 4, 5));
    expect(Buffer.from(writer.bytes.subarray(0, writer.length)).toString('hex')).toBe(
      '2000000002030500090000000000000002000064' + '09000200' + '0102030405000000',
    );
  });

  it('starts behind the previous one', () => {
    const writer = new MessageWriter(64).begin(1, 0, 1, 1).be32(8, -1).begin(1, 1, 1, 2).be16(18, 0x0102);
    const view = new DataView(writer.bytes.buffer);
    expect(view.getUint32(0, true)).toBe(28);
    expect(view.getUint32(28, true)).toBe(28);
    expect(writer.length).toBe(56);
  });

  it('refuses to grow past its buffer', () => {
    expect(() => new MessageWriter(24).begin(1, 0, 1, 1).be32(8, 1)).toThrow(RangeError);
  });
});
