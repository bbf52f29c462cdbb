/** What rules allow, compared by the parts that compile them: port sets by number, ipBlocks as longest prefixes. */
import type { IpBlock, LabelSelector, PolicyPeer, PolicyPort, PolicyRule } from '../cluster/records.ts';
import { matchesSelector } from '../cluster/selector.ts';
import { prefixWords } from '../policy/address-words.ts';
import { type Block, prefixPorts } from '../policy/cidr.ts';
import { PortNames } from '../policy/port-names.ts';
import { PortSets } from '../policy/port-set.ts';
import { type KnownCluster, NAMESPACE_NAME_LABEL } from './known-cluster.ts';
import { selectorCovers } from './selector-cover.ts';

const EVERY: LabelSelector = { matchLabels: {}, matchExpressions: [] };

export class Allowances {
  readonly #cluster: KnownCluster;
  readonly #portSets = new PortSets(new PortNames());
  /** By rule: rules are compared many times. */
  readonly #ports = new WeakMap<readonly PolicyPort[], number>();

  constructor(cluster: KnownCluster) {
    this.#cluster = cluster;
  }

  /** Whether the wide rule allows all that the narrow one does, both being rules of policies of this namespace. */
  ruleCovers(wide: PolicyRule, narrow: PolicyRule, namespace: string): boolean {
    return this.portsCover(wide.ports, narrow.ports) && this.#peersCover(wide.peers, narrow.peers, namespace);
  }

  portsCover(wide: readonly PolicyPort[], narrow: readonly PolicyPort[]): boolean {
    const [outer, inner] = [this.#portSet(wide), this.#portSet(narrow)];
    return outer === inner || this.#portSets.union([outer, inner]) === outer;
  }

  peerCovers(wide: PolicyPeer, narrow: PolicyPeer, namespace: string): boolean {
    return this.#peersCover([wide], [narrow], namespace);
  }

  /** What blocks allow together; equal texts allow the same. */
  blocksText(blocks: readonly { readonly ipBlock: IpBlock; readonly ports: readonly PolicyPort[] }[]): string {
    const compiled = blocks.flatMap(({ ipBlock, ports }): readonly Block[] => {
      const cidr = prefixWords(ipBlock.cidr);
      return cidr
        ? [{ cidr, except: ipBlock.except.flatMap((each) => prefixWords(each) ?? []), ports: this.#portSet(ports) }]
        : [];
    });
    return JSON.stringify(prefixPorts(compiled, this.#portSets));
  }

  #peersCover(wide: readonly PolicyPeer[], narrow: readonly PolicyPeer[], namespace: string): boolean {
    if (wide.length === 0) return true;
    return narrow.length > 0 && narrow.every((peer) => this.#somePeerCovers(wide, peer, namespace));
  }

  #somePeerCovers(wide: readonly PolicyPeer[], narrow: PolicyPeer, namespace: string): boolean {
    const { ipBlock } = narrow;
    if (ipBlock === undefined) return wide.some((peer) => this.#selectsAll(peer, narrow, namespace));
    const blocks = wide.flatMap((peer) => (peer.ipBlock ? [{ ipBlock: peer.ipBlock, ports: [] }] : []));
    if (blocks.length === 0) return false;
    return this.blocksText([...blocks, { ipBlock, ports: [] }]) === this.blocksText(blocks);
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
