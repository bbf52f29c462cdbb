/** The rules, sets and marks in a node's kernel, for comparison before and after. */
import type { Cluster } from './cluster.ts';
import { until } from './until.ts';

/** Each prints its own rules or sets. If one fails on a node, the node cannot be compared. */
const TOOLS = ['nft list ruleset', 'iptables-save', 'ip6tables-save', 'ipset save'];
/** Debian's second iptables, which many nodes lack. */
const LEGACY = ['iptables-legacy-save', 'ip6tables-legacy-save'];

/**
 * An empty built-in chain that accepts: iptables makes it at the first use of a table, and never
 * removes it.
 */
const EMPTY_CHAIN = /chain \w+ \{\s*type [^\n]*; policy accept;\s*\}/g;

/** The same for its tables. */
const EMPTY_TABLE = /^table \w+ \w+ \{\s*\}$/gm;
const EMPTY_SAVED_TABLE = /^\*\w+\n(?::\w+ ACCEPT \[\d+:\d+\]\n)*COMMIT\n/gm;

/**
 * kube-proxy's own rules in its nftables mode: it removes chains of deleted Services in a later
 * sync.
 */
const KUBE_PROXY = /^table ip6? kube-proxy \{\n[\s\S]*?^\}$/gm;

/**
 * Returns a line for each rule and set, sorted, without counters and times.
 * @throws Error if the node lacks a tool
 */
async function rulesOf(cluster: Cluster, node: string): Promise<readonly string[]> {
  const shown = (tool: string, otherwise: string) => `echo '== ${tool}'; ${tool} ${otherwise}`;
  const script = [
    ...TOOLS.map((tool) => shown(tool, '|| exit 1')),
    ...LEGACY.map((tool) => shown(tool, '2>/dev/null || true')),
  ];
  const text = await cluster.onNode(node, script.join('\n'));
  const rules: string[] = [];
  let tool = '';
  const rest = [KUBE_PROXY, EMPTY_CHAIN, EMPTY_TABLE, EMPTY_SAVED_TABLE].reduce(
    (left, empty) => left.replaceAll(empty, ''),
    text,
  );
  for (const line of rest.split('\n')) {
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

/**
 * Returns those that are podfence's: its table, chains and sets, by their names. Services and pods
 * may be called podfence, too.
 */
export async function ownRulesOf(cluster: Cluster, node: string): Promise<readonly string[]> {
  const rules = await rulesOf(cluster, node);
  return rules.filter((rule) => /\bPODFENCE-|\bpodfence-(isolated|steered)|\btable \w+ podfence\b/.test(rule));
}

/**
 * Returns the connections of a node's kernel that have a mark.
 * @throws Error if the node lacks the tool
 */
async function markedConnections(cluster: Cluster, node: string): Promise<readonly string[]> {
  const text = await cluster.onNode(node, 'conntrack -L && conntrack -L -f ipv6');
  return text.split('\n').filter((line) => /mark=[1-9]/.test(line));
}

/** The rules and sets of all nodes at one time. */
export class NodeRules {
  readonly #cluster: Cluster;
  readonly #rules: ReadonlyMap<string, readonly string[]>;

  private constructor(cluster: Cluster, rules: ReadonlyMap<string, readonly string[]>) {
    this.#cluster = cluster;
    this.#rules = rules;
  }

  static async of(cluster: Cluster, nodes: readonly string[]): Promise<NodeRules> {
    const rules = nodes.map(async (node) => [node, await rulesOf(cluster, node)] as const);
    return new NodeRules(cluster, new Map(await Promise.all(rules)));
  }

  /**
   * Resolves when every node has the same rules again, and no connection has a mark.
   * @throws Error with the difference
   */
  async isBack(): Promise<void> {
    for (const [node, was] of this.#rules) {
      const marked = await markedConnections(this.#cluster, node);
      if (marked.length > 0) throw new Error(`${node} has marked connections:\n${marked.join('\n')}`);
      // kube-proxy removes its rules for deleted Services a moment later.
      let is: readonly string[] = [];
      const same = async () => {
        is = await rulesOf(this.#cluster, node);
        return JSON.stringify(is) === JSON.stringify(was);
      };
      await until(`${node} has the same rules as before`, same, () => difference(was, is));
    }
  }
}

function difference(was: readonly string[], is: readonly string[]): string {
  const gone = was.filter((line) => !is.includes(line)).map((line) => `- ${line}`);
  const come = is.filter((line) => !was.includes(line)).map((line) => `+ ${line}`);
  return [...gone, ...come].join('\n');
}
