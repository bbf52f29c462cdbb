/**
 * What a text that does not parse still says about its NetworkPolicies. An error must fail closed:
 * the policies isolate their pods, and only certain fields may narrow down which pods of the
 * namespace those are. A field is certain if a key after it was read before the first error.
 * Otherwise its value may be cut off, and a selector that lacks an element of `values` selects
 * too few pods.
 */
import { isMap, isNode, isScalar, isSeq, parseDocument, visit, type YAMLMap } from 'yaml';

export interface RecoveredPolicy {
  /** Offset of the policy, or of the words `kind: NetworkPolicy`. */
  readonly offset: number;
  /** See BrokenPolicy.readable. */
  readonly readable: Readonly<Record<string, unknown>> | undefined;
}

/** @param firstError offset of the first syntax error in `text` */
export function recoverPolicies(text: string, firstError: number): readonly RecoveredPolicy[] {
  const mentions = [...text.matchAll(/(?<=^|[\s{,-])(["']?)kind\1\s*:\s*(["']?)NetworkPolicy\2(?=[\s,}#]|$)/g)];
  if (mentions.length === 0) return [];
  const recovered: (RecoveredPolicy & { readonly end: number })[] = [];
  for (const { map, isEnded } of candidateMaps(text, firstError)) {
    if (scalarOf(map, 'kind') !== 'NetworkPolicy') continue;
    const [offset, , end] = map.range ?? [0, 0, text.length];
    recovered.push({ offset, end, readable: readCertain(map, text.slice(offset, end), firstError, isEnded) });
  }
  // Mentions that the parser did not recognize as part of an object.
  const others: RecoveredPolicy[] = [];
  let next = 0;
  for (const { index: offset } of mentions) {
    // Both lists are sorted by offset.
    while (next < recovered.length && (recovered[next]?.end ?? 0) <= offset) next++;
    const policy = recovered[next];
    if (policy === undefined || offset < policy.offset) others.push({ offset, readable: undefined });
  }
  return [...recovered.map(({ offset, readable }) => ({ offset, readable })), ...others];
}

interface Candidate {
  readonly map: YAMLMap;
  /** The next element of its list was read before the first error. */
  readonly isEnded: boolean;
}

/** Returns the object of a document, or the objects of its List. */
function candidateMaps(text: string, firstError: number): readonly Candidate[] {
  let root: unknown;
  try {
    root = parseDocument(text, { logLevel: 'silent', prettyErrors: false, uniqueKeys: false }).contents;
  } catch {
    return [];
  }
  if (!isMap(root)) return [];
  const items = root.items.find((pair) => isScalar(pair.key) && pair.key.value === 'items')?.value;
  if (!isSeq(items)) return [{ map: root, isEnded: false }];
  return items.items.flatMap((item, index) => {
    const next = items.items[index + 1];
    return isMap(item) ? [{ map: item, isEnded: isMap(next) && startsBefore(next, firstError) }] : [];
  });
}

function readCertain(
  policy: YAMLMap,
  text: string,
  firstError: number,
  isEnded: boolean,
): Record<string, unknown> | undefined {
  const metadata = certain(policy, 'metadata', firstError, isEnded);
  // A tab before them moves the metadata's fields into the map around it.
  const named = isMap(metadata.value) ? metadata.value : policy;
  const name = firstWord(scalarOf(named, 'name'));
  // An uncertain namespace is better than none: without one the policy would isolate no pod.
  const namespace = firstWord(scalarOf(named, 'namespace'));
  // A namespace that is mentioned but unreadable is unknown. Without a mention it is the default.
  if (namespace === undefined && !metadata.isCertain && MENTIONS_NAMESPACE.test(text)) return undefined;
  const spec = certain(policy, 'spec', firstError, isEnded);
  const podSelector = certain(spec.value, 'podSelector', firstError, spec.isCertain);
  const policyTypes = certain(spec.value, 'policyTypes', firstError, spec.isCertain);
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { ...(name === undefined ? {} : { name }), ...(namespace === undefined ? {} : { namespace }) },
    spec: {
      ...(podSelector.isCertain ? { podSelector: plain(podSelector.value) } : {}),
      policyTypes: policyTypes.isCertain ? plain(policyTypes.value) : ['Ingress', 'Egress'],
    },
  };
}

const MENTIONS_NAMESPACE = /(?<!\w)namespace["']?\s*:/;

/** Returns the first word only: a string that lost its end contains the next lines. */
function firstWord(value: unknown): string | undefined {
  return typeof value === 'string' ? /^\S+/.exec(value)?.[0] : undefined;
}

/** Keys of a policy and of its spec that can follow another key. */
const POLICY_KEYS: ReadonlySet<unknown> = new Set([
  ...['apiVersion', 'kind', 'metadata', 'spec', 'status'],
  ...['podSelector', 'policyTypes', 'ingress', 'egress'],
]);

interface Certain {
  readonly value: unknown;
  readonly isCertain: boolean;
}

/**
 * Returns the value of `key`, and whether it is certain. It is if the key occurs once, another key
 * follows before the error, in this map or one around it, and the value has no aliases, which only
 * a whole document resolves.
 */
function certain(map: unknown, key: string, firstError: number, isEnded: boolean): Certain {
  if (!isMap(map)) return { value: undefined, isCertain: false };
  const indexes = map.items.flatMap((pair, index) => (isScalar(pair.key) && pair.key.value === key ? [index] : []));
  const [index] = indexes;
  if (index === undefined) return { value: undefined, isCertain: false };
  const next = map.items[index + 1]?.key;
  // After an error the parser often sees a key where there is none, so only known keys count.
  const isFollowed = isEnded || (isScalar(next) && POLICY_KEYS.has(next.value) && startsBefore(next, firstError));
  const value = map.items[index]?.value;
  return { value, isCertain: isFollowed && indexes.length === 1 && !hasAlias(value) };
}

function startsBefore(node: unknown, offset: number): boolean {
  const start = (node as { range?: readonly number[] | null } | null | undefined)?.range?.[0];
  return start !== undefined && start < offset;
}

function scalarOf(map: YAMLMap, key: string): unknown {
  const value = map.items.find((pair) => isScalar(pair.key) && pair.key.value === key)?.value;
  return isScalar(value) ? value.value : undefined;
}

function hasAlias(node: unknown): boolean {
  let found = false;
  if (isNode(node)) {
    visit(node, {
      Alias() {
        found = true;
        return visit.BREAK;
      },
    });
  }
  return found;
}

/** Returns the JSON value of a node without aliases. */
function plain(node: unknown): unknown {
  if (isScalar(node)) return node.value;
  if (isSeq(node)) return node.items.map(plain);
  if (isMap(node)) return Object.fromEntries(node.items.map((pair) => [String(plain(pair.key)), plain(pair.value)]));
  return undefined;
}
