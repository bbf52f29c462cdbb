import { parseAddress } from '../cluster/addresses.ts';
import type { RuleTable } from '../policy/rule-table.ts';

/** The slot of an address given as text; -1 where the table does not know it, or the text is no address. */
export function slotOf(table: RuleTable, text: string): number {
  const address = parseAddress(text);
  if (address === undefined) return -1;
  const word = (index: number) => Number(BigInt.asIntN(32, address.value >> BigInt(32 * index)));
  return address.family === 'IPv4' ? table.lookup4(word(0)) : table.lookup6(word(3), word(2), word(1), word(0));
}
