/** Reads a RuleTable's buffer, as table-layout.ts describes it. */
import type { RuleTable } from '../../src/policy/rule-table.ts';
import {
  ADDRESS4_WORDS,
  ADDRESS6_WORDS,
  FIRST_SECTION,
  GROUP_RULE_WORDS,
  PREFIX4_WORDS,
  PREFIX6_WORDS,
  SECTIONS,
  type Section,
} from '../../src/policy/table-layout.ts';

export const ENTRY_WORDS = {
  addresses4: ADDRESS4_WORDS,
  addresses6: ADDRESS6_WORDS,
  groupRules: GROUP_RULE_WORDS,
  prefixes4: PREFIX4_WORDS,
  prefixes6: PREFIX6_WORDS,
} as const;

export function section(table: RuleTable, name: Section): Int32Array {
  const words = new Int32Array(table.buffer);
  const at = FIRST_SECTION + 2 * SECTIONS.indexOf(name);
  const start = words[at] as number;
  return words.subarray(start, start + (words[at + 1] as number));
}

/** Returns which entries of a hash table are in use. */
export function used(table: RuleTable, name: keyof typeof ENTRY_WORDS): boolean[] {
  const words = section(table, name);
  const used: boolean[] = [];
  for (let at = ENTRY_WORDS[name] - 1; at < words.length; at += ENTRY_WORDS[name]) used.push(words[at] !== 0);
  return used;
}

/** Returns the most entries that a lookup in this table reads. */
export function longestProbe(table: RuleTable, name: keyof typeof ENTRY_WORDS): number {
  const entries = used(table, name);
  let longest = 0;
  let run = 0;
  // Twice around, because a run may wrap around the end.
  for (const inUse of [...entries, ...entries]) {
    run = inUse ? run + 1 : 0;
    longest = Math.max(longest, run);
  }
  return longest + 1;
}
