/**
 * Compares what rules allow with the compiler's own parts: port sets as numbers, ipBlocks as
 * longest prefixes.
 */
import type { IpBlock, LabelSelector, PolicyPeer, PolicyPort, PolicyRule } from '../cluster/records.ts';
import { matchesSelector } from '../cluster/selector.ts';
import { prefixWords } from '../policy/address-words.ts';
import { type Block, type PrefixPorts, prefixPorts } from '../policy/cidr.ts';
import { PortNames } from '../policy/port-names.ts';
import { PortSets } from '../policy/port-set.ts';
import { type KnownCluster, NAMESPACE_NAME_LABEL } from './known-cluster.ts';
import { selectorCovers } from './selector-cover.ts';

const EVERY: LabelSelector = { matchLabels: {}, matchExpressions: [] };

interface RuleBlock {
  readonly ipBlock: IpBlock;
  readonly ports: readonly PolicyPort[];
}

export class Allowances {
  readonly #cluster: KnownCluster;
  readonly #portSets = new PortSets(new PortNames());
  /** Port sets by rule, because rules are compared many times. */
  readonly #ports = new WeakMap<readonly PolicyPort[], number>();

  constructor(cluster: KnownCluster) {
    this.#cluster = cluster;
  }

  /**
   * Whether the wide rule allows everything that the narrow one does. Both are rules of policies of
   * this namespace.
   */
  ruleCovers(wide: PolicyRule, narrow: PolicyRule, namespace: string): boolean {
    return this.portsCover(wide.ports, narrow.ports) && this.#peersCover(wide.peers, narrow.peers, namespace);
  }

  portsCover(wide: readonly PolicyPort[], narrow: readonly PolicyPort[]): boolean {
    return this.#portSets.includes(this.#portSet(wide), this.#portSet(narrow));
  }

  peerCovers(wide: PolicyPeer, narrow: PolicyPeer, namespace: string): boolean {
    return this.#peersCover([wide], [narrow], namespace);
  }

  /** Whether a port set from `prefixesOf` includes all these ports. */
  setCovers(set: number, narrow: readonly PolicyPort[]): boolean {
    return this.#portSets.includes(set, this.#portSet(narrow));
  }

  /** Returns what blocks allow together, as prefixes of which the longest decides. */
  prefixesOf(blocks: readonly RuleBlock[]): readonly PrefixPorts[] {
    const compiled = blocks.flatMap(({ ipBlock, ports }): readonly Block[] => {
      const cidr = prefixWords(ipBlock.cidr);
      return cidr
        ? [{ cidr, except: ipBlock.except.flatMap((each) => prefixWords(each) ?? []), ports: this.#portSet(ports) }]
        : [];
    });
    return prefixPorts(compiled, this.#portSets);
  }

  /** Returns a text that is equal for blocks that allow the same. */
  #blocksText(blocks: readonly RuleBlock[]): string {
    return JSON.stringify(this.prefixesOf(blocks));
  }

  #peersCover(wide: readonly PolicyPeer[], narrow: readonly PolicyPeer[], namespace: string): boolean {
    if (wide.length === 0) return true;
    if (narrow.length === 0) return false;
    const selectors = narrow.filter(({ ipBlock }) => ipBlock === undefined);
    return (
      this.#blocksCover(wide, narrow) &&
      selectors.every((peer) => wide.some((other) => this.#selectsAll(other, peer, namespace)))
    );
  }

  /** Compares all blocks at once: comparing every pair would take quadratic time. */
  #blocksCover(wide: readonly PolicyPeer[], narrow: readonly PolicyPeer[]): boolean {
    const inner = blocksOf(narrow);
    if (inner.length === 0) return true;
    const outer = blocksOf(wide);
    if (outer.length === 0) return false;
    return this.#blocksText([...outer, ...inner]) === this.#blocksText(outer);
  }

  #selectsAll(wide: PolicyPeer, narrow: PolicyPeer, namespace: string): boolean {
    if (wide.ipBlock !== undefined || !selectorCovers(wide.podSelector ?? EVERY, narrow.podSelector ?? EVERY))
      return false;
    const own = { matchLabels: { [NAMESPACE_NAME_LABEL]: namespace }, matchExpressions: [] };
    const outer = wide.namespaceSelector ?? own;
    if (selectorCovers(outer, narrow.namespaceSelector ?? own)) return true;
    const labels = narrow.namespaceSelector === undefined && this.#cluster.definedNamespace(namespace)?.labels;
    return labels !== false && labels !== undefined && matchesSelector(outer, labels);
  }

  #portSet(ports: readonly PolicyPort[]): number {
    let set = this.#ports.get(ports);
    if (set === undefined) {
      set = this.#portSets.ofRule(ports);
      this.#ports.set(ports, set);
    }
    return set;
  }
}

function blocksOf(peers: readonly PolicyPeer[]): readonly RuleBlock[] {
  return peers.flatMap(({ ipBlock }) => (ipBlock ? [{ ipBlock, ports: [] }] : []));
}
