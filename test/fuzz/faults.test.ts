import { expect, it } from 'vitest';
import { faultOf, minimised } from './faults.ts';
import { Random } from './random.ts';
import { check, type Target } from './target.ts';

/** Fails if the input contains two bytes 7. */
const target: Target = {
  generate: (random) => random.bytes(64),
  run: (input) => check(input.filter((byte) => byte === 7).length < 2, `two bytes of ${input.length}`),
};

it('an input depends on seed and index alone', () => {
  const input = (seed: number, index: number) => target.generate(new Random(seed, index));
  expect(input(1, 2)).toEqual(input(1, 2));
  expect(input(1, 2)).not.toEqual(input(1, 3));
  expect(input(1, 2)).not.toEqual(input(2, 2));
});

it('a fault is the same whatever numbers and addresses its message contains, and another if its words differ', async () => {
  const signature = async (message: string) =>
    (await faultOf({ ...target, run: () => check(false, message) }, Uint8Array.of()))?.signature;
  expect(await signature('packet 1: fd00::1')).toBe(await signature('packet 22: fd00::3'));
  expect(await signature('packet 1: fd00::1')).not.toBe(await signature('no packet'));
});

it('an input is made as small as the same fault allows', async () => {
  const input = Uint8Array.from({ length: 100 }, (_, i) => (i === 13 || i === 77 ? 7 : i % 7));
  const fault = await faultOf(target, input);
  expect(await minimised(target, input, fault?.signature ?? '', 10_000)).toEqual(Uint8Array.of(7, 7));
  expect(await faultOf(target, Uint8Array.of(7))).toBeUndefined();
});
