/** Which bits of connection marks a rule writes, read from the output of nft and iptables-save. */

const ALL_BITS = 0xffffffff;

/**
 * Returns the bits of the connection mark that a rule writes, as nft(8) prints it; 0 if it writes
 * none.
 */
export function nftMarkBits(line: string): number {
  const [, value] = /\bct mark set (.+?)(?: comment ".*)?$/.exec(line.trim()) ?? [];
  if (value === undefined) return 0;
  // A value derived from the mark itself changes only the bits that it names: `ct mark and 0xff or
  // 0x1`, `ct mark | 0x1`.
  if (!/^\(?ct mark\b/.test(value)) return ALL_BITS;
  let bits = 0;
  for (const [, operator = '', number = ''] of value.matchAll(/(and|or|xor|[&|^]) (0x[0-9a-f]+|\d+)/g))
    bits |= /^(?:and|&)$/.test(operator) ? ~Number(number) : Number(number);
  return bits >>> 0;
}

/**
 * Does the same for a rule as iptables-save prints it: `--set-xmark value/mask` and `--save-mark
 * --nfmask mask --ctmask mask` (iptables-extensions(8)).
 */
export function iptablesMarkBits(rule: string): number {
  if (!/-j CONNMARK\b/.test(rule)) return 0;
  const set = /--set-x?mark (0x[0-9a-f]+)(?:\/(0x[0-9a-f]+))?/.exec(rule);
  if (set !== null) return (Number(set[1]) | Number(set[2] ?? ALL_BITS)) >>> 0;
  if (!rule.includes('--save-mark')) return 0;
  return Number(/--ctmask (0x[0-9a-f]+)/.exec(rule)?.[1] ?? ALL_BITS) >>> 0;
}
