import { addressWords } from '../policy/address-words.ts';
import type { RuleTable } from '../policy/rule-table.ts';

/** The slot of an address given as text; -1 where the table does not know it, or the text is no address. */
export function slotOf(table: RuleTable, text: string): number {
  const [first, ...rest] = addressWords(text) ?? [];
  if (first === undefined) return -1;
  const [second = 0, third = 0, fourth = 0] = rest;
  return rest.length === 0 ? table.lookup4(first) : table.lookup6(first, second, third, fourth);
}
