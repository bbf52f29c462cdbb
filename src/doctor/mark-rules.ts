/** Which bits of connections' marks a rule writes, as the tools print it. */

const ALL_BITS = 0xffffffff;

/** The bits that a rule as nft(8) prints it writes in a connection's mark; 0 for another rule. */
export function nftMarkBits(line: string): number {
  const [, value] = /\bct mark set (.+?)(?: comment ".*)?$/.exec(line.trim()) ?? [];
  if (value === undefined) return 0;
  // What is made of the mark itself leaves the bits that it names: `ct mark and 0xff or 0x1`, `ct mark | 0x1`.
  if (!/^\(?ct mark\b/.test(value)) return ALL_BITS;
  let bits = 0;
  for (const [, operator = '', number = ''] of value.matchAll(/(and|or|xor|[&|^]) (0x[0-9a-f]+|\d+)/g))
    bits |= /^(?:and|&)$/.test(operator) ? ~Number(number) : Number(number);
  return bits >>> 0;
}

/** The same of a rule as iptables-save prints it: `--set-xmark value/mask` and `--save-mark --nfmask mask --ctmask mask` (iptables-extensions(8)). */
export function iptablesMarkBits(rule: string): number {
  if (!/-j CONNMARK\b/.test(rule)) return 0;
  const set = /--set-x?mark (0x[0-9a-f]+)(?:\/(0x[0-9a-f]+))?/.exec(rule);
  if (set !== null) return (Number(set[1]) | Number(set[2] ?? ALL_BITS)) >>> 0;
  if (!rule.includes('--save-mark')) return 0;
  return Number(/--ctmask (0x[0-9a-f]+)/.exec(rule)?.[1] ?? ALL_BITS) >>> 0;
}
