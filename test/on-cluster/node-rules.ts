/** What the kernel of a node has of rules, sets and marks, to be compared before and after. */
import type { Cluster } from './cluster.ts';

const TOOLS = [
  'nft list ruleset',
  'iptables-save',
  'ip6tables-save',
  'iptables-legacy-save',
  'ip6tables-legacy-save',
  'ipset save',
];

/** A built-in chain that holds nothing and accepts: iptables makes it at its first use of a table, and never takes it away. */
const EMPTY_CHAIN = /chain \w+ \{\s*type [^\n]*; policy accept;\s*\}/g;

/** A line for each rule and set, sorted, without counters and without what depends on the time of day. */
export async function rulesOf(cluster: Cluster, node: string): Promise<readonly string[]> {
  const script = TOOLS.map((tool) => `echo "== ${tool}"; ${tool} 2>/dev/null`).join('; ');
  const text = await cluster.onNode(node, `{ ${script}; }`);
  const rules: string[] = [];
  let tool = '';
  for (const line of text.replaceAll(EMPTY_CHAIN, '').split('\n')) {
    if (line.startsWith('== ')) tool = line.slice(3);
    const rule = line
      .trim()
      .replaceAll(/counter packets \d+ bytes \d+/g, 'counter')
      .replaceAll(/\[\d+:\d+\]/g, '')
      .replaceAll(/ (timeout|expires) \w+/g, '');
    if (rule !== '' && !rule.startsWith('#')) rules.push(`${tool}: ${rule}`);
  }
  return rules.sort();
}

/** Connections of a node's kernel that carry any mark. */
export async function markedConnections(cluster: Cluster, node: string): Promise<readonly string[]> {
  const text = await cluster.onNode(node, 'conntrack -L 2>/dev/null; conntrack -L -f ipv6 2>/dev/null; true');
  return text.split('\n').filter((line) => /mark=[1-9]/.test(line));
}
