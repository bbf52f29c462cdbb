import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type InternedSet, InternedSets } from '../../src/policy/interned-sets.ts';
import { finish } from '../../src/policy/pieces.ts';

interface Letter {
  readonly serial: number;
}
const [a, b, c] = [{ serial: 0 }, { serial: 1 }, { serial: 2 }] as const;

/** Returns what `settle` reports, by the serials of the sets' members. */
function settled(sets: InternedSets<Letter>): { left: string[]; entered: string[] } {
  const told: { left: string[]; entered: string[] } = { left: [], entered: [] };
  const name = (set: InternedSet<Letter>) =>
    set
      .members()
      .map(({ serial }) => serial)
      .join();
  const pieces = sets.settleInPieces(
    (set) => told.left.push(name(set)),
    (set) => told.entered.push(name(set)),
  );
  finish(pieces);
  return { left: told.left.sort(), entered: told.entered.sort() };
}

describe('InternedSets', () => {
  test('sets with the same members are one, in any order', () => {
    const sets = new InternedSets<Letter>();
    const set = sets.withAll(sets.empty, [c, a, b]);
    expect(sets.with(sets.with(sets.with(sets.empty, a), b), c)).toBe(set);
    expect(set.members()).toEqual([a, b, c]);
    const some = sets.withAll(sets.empty, [c, a]);
    expect([a, b, c].map((each) => some.has(each))).toEqual([true, false, true]);
    expect(sets.empty.has(a)).toBe(false);
    expect(sets.without(set, (each) => each === b)).toBe(sets.withAll(sets.empty, [a, c]));
  });

  test('settle reports the sets that came into use or went out of use, but not those that did both', () => {
    const sets = new InternedSets<Letter>();
    const [one, two] = [sets.with(sets.empty, a), sets.with(sets.empty, b)];
    sets.use(one);
    sets.use(two);
    sets.unuse(two);
    expect(settled(sets)).toEqual({ left: [], entered: ['0'] });
    sets.unuse(one);
    sets.use(one);
    expect(settled(sets)).toEqual({ left: [], entered: [] });
    sets.unuse(one);
    expect(settled(sets)).toEqual({ left: ['0'], entered: [] });
  });

  test('ids of sets in use are distinct and lead to them, whatever goes out of use', () => {
    const step = fc.record({ members: fc.subarray([a, b, c], { minLength: 1 }), settles: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const sets = new InternedSets<Letter>();
        const inUse = new Set<InternedSet<Letter>>();
        for (const { members, settles } of steps) {
          const set = sets.withAll(sets.empty, [...members]);
          if (inUse.delete(set)) sets.unuse(set);
          else sets.use(inUse.add(set) && set);
          if (settles) settled(sets);
          const ids = [...inUse].map(({ id }) => id);
          expect(ids.every((id) => id > 0)).toBe(true);
          expect(new Set(ids).size).toBe(inUse.size);
          expect([...inUse].every((each) => sets.withId(each.id) === each)).toBe(true);
        }
      }),
    );
  });

  test('an unused set is forgotten, and the sets on the way to it', () => {
    const sets = new InternedSets<Letter>();
    const set = sets.withAll(sets.empty, [a, b, c]);
    sets.use(set);
    settled(sets);
    const { id } = set;
    sets.unuse(set);
    settled(sets);
    expect(sets.empty.hasChildren).toBe(false);
    expect(() => sets.withId(id)).toThrow(`no set in use has the id ${id}`);
  });
});
