/**
 * Projects networking.k8s.io/v1 NetworkPolicy to PolicyRecord, with the API's defaults and its
 * validation
 * (https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/;
 * pkg/apis/networking/validation).
 *
 * Fields that the API does not know are errors, as in its strict validation: a rule with `form`
 * instead of `from` would allow everybody.
 */
import { isMistake, isStrictlyInside, parseCidr } from './addresses.ts';
import { describe, Field, formatPath, isMap, type Meant, type Problem, type Projection, show } from './field.ts';
import { readMode } from './mode.ts';
import { otherCase, readIdentity, readPort, readPortNumber, readProtocol } from './names.ts';
import { didYouMean } from './nearest.ts';
import { readSelector } from './projection-selector.ts';
import type { Direction, IpBlock, LabelSelector, PolicyPeer, PolicyPort, PolicyRecord, PolicyRule } from './records.ts';

const BOTH: readonly Direction[] = ['ingress', 'egress'];
const POLICY_TYPES = ['Ingress', 'Egress'];
const EVERY_POD: LabelSelector = { matchLabels: {}, matchExpressions: [] };

/**
 * Projects a policy; any object yields a record. If it has a problem, the record has no rules. It
 * isolates the pods and directions that it names or, if those are unreadable, every pod of the
 * namespace in both directions. A policy without a usable name is called `unnamed`.
 */
export function projectPolicy(
  object: unknown,
  defaultNamespace = 'default',
): Projection<PolicyRecord> & { readonly record: PolicyRecord } {
  const problems: Problem[] = [];
  const root = new Field(object, problems);
  const rootIsClear = root.hasOnly(['apiVersion', 'kind', 'metadata', 'spec', 'status'], {
    podSelector: 'Put it under spec.',
    policyTypes: 'Put it under spec.',
    ingress: 'Put it under spec.',
    egress: 'Put it under spec.',
  });
  const metadata = root.child('metadata');
  const { name, namespace } = readIdentity(metadata, defaultNamespace);
  const spec = root.child('spec');
  const specIsClear = spec.hasOnly(['podSelector', 'policyTypes', 'ingress', 'egress'], {
    matchLabels: 'Put it under podSelector.',
    matchExpressions: 'Put it under podSelector.',
    from: 'Put it in a rule, an element of the list ingress.',
    to: 'Put it in a rule, an element of the list egress.',
    ports: 'Put it in a rule, an element of the list ingress or egress.',
  });
  const podSelector = readSelector(spec.child('podSelector'));
  const ingress = spec
    .child('ingress')
    .list()
    .map((rule) => readRule(rule, 'ingress'));
  const egress = spec
    .child('egress')
    .list()
    .map((rule) => readRule(rule, 'egress'));
  const isolates = readIsolates(spec, rootIsClear && specIsClear);

  const error = summarize(problems);
  const record: PolicyRecord = {
    kind: 'NetworkPolicy',
    namespace,
    name: name ?? 'unnamed',
    podSelector,
    isolates,
    ingress,
    egress,
    // A wrong mode is not an error: the rest of the policy stands.
    ...readMode(metadata),
  };
  if (error === undefined) return { record, problems };
  const isolated = spec.child('podSelector').isClean ? podSelector : EVERY_POD;
  return { record: { ...record, podSelector: isolated, ingress: [], egress: [], error }, problems };
}

/** Returns the first problem in one line, for `PolicyRecord.error`. */
function summarize(problems: readonly Problem[]): string | undefined {
  const [first] = problems;
  if (first === undefined) return undefined;
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
  return `${formatPath(first.path)}: ${first.message}${more}`;
}

/**
 * Returns `policyTypes`, or the API's default: Ingress always, Egress if there are egress rules.
 * @param isClear whether the object and its spec have known fields only; an unknown one may have
 * been meant as one of these
 */
function readIsolates(spec: Field, isClear: boolean): readonly Direction[] {
  const field = spec.child('policyTypes');
  const types = field.list();
  const read = types.map(readPolicyType);
  const named = BOTH.filter((direction) => read.includes(direction));
  for (const surplus of types.slice(BOTH.length)) surplus.problem('a policy has at most two types, Ingress and Egress');
  if (!field.isClean) return BOTH;
  if (named.length > 0) return named;
  const egress = spec.child('egress');
  const hasEgress = Array.isArray(egress.value) ? egress.value.length > 0 : !egress.isClean;
  return hasEgress || !isClear ? BOTH : ['ingress'];
}

function readPolicyType(field: Field): Direction | undefined {
  if (field.value === 'Ingress') return 'ingress';
  if (field.value === 'Egress') return 'egress';
  field.problem(
    `there is no policy type ${typeof field.value === 'string' ? show(field.value) : describe(field.value)}; types are Ingress and Egress`,
    typeof field.value === 'string' ? didYouMean(field.value, POLICY_TYPES) : undefined,
    otherCase(field.value, POLICY_TYPES),
  );
  return undefined;
}

function readRule(rule: Field, direction: Direction): PolicyRule {
  // A null element is an empty rule, which allows everything.
  const peers = direction === 'ingress' ? 'from' : 'to';
  const other = direction === 'ingress' ? 'to' : 'from';
  rule.hasOnly([peers, 'ports'], {
    [other]: `Did you mean ${peers}? Rules of ${direction} have ${peers}, those of ${direction === 'ingress' ? 'egress' : 'ingress'} have ${other}.`,
    podSelector: `Put peers in a list under ${peers}.`,
    namespaceSelector: `Put peers in a list under ${peers}.`,
    ipBlock: `Put peers in a list under ${peers}.`,
    port: 'Put ports in a list under ports.',
    protocol: 'Put ports in a list under ports.',
  });
  return { peers: rule.child(peers).list().map(readPeer), ports: rule.child('ports').list().map(readPolicyPort) };
}

function readPeer(peer: Field): PolicyPeer {
  const isClear = peer.hasOnly(['podSelector', 'namespaceSelector', 'ipBlock'], {
    matchLabels: emptySelector(peer, 'Put it under podSelector or namespaceSelector.'),
    matchExpressions: emptySelector(peer, 'Put it under podSelector or namespaceSelector.'),
    cidr: { hint: 'Put it under ipBlock.', correction: { nestIn: 'ipBlock' } },
    except: { hint: 'Put it under ipBlock, beside cidr.', correction: { nestIn: 'ipBlock' } },
    ports: 'Put ports beside the list of peers, without `- ` in front.',
  });
  const podSelector = peer.child('podSelector');
  const namespaceSelector = peer.child('namespaceSelector');
  const ipBlock = peer.child('ipBlock');
  if (!ipBlock.isAbsent && !(podSelector.isAbsent && namespaceSelector.isAbsent)) {
    ipBlock.problem('ipBlock cannot stand beside selectors in one peer', 'Make it a list element of its own.');
  }
  if (isClear && podSelector.isAbsent && namespaceSelector.isAbsent && ipBlock.isAbsent) {
    const [empty] = peer.keys();
    peer.problem(
      'the peer says nothing: it needs podSelector, namespaceSelector or ipBlock',
      empty !== undefined && empty !== 'ipBlock'
        ? `Did you mean ${empty}: {}, which matches all?`
        : 'For any peer leave the whole list out.',
    );
  }
  return {
    ...(podSelector.isAbsent ? {} : { podSelector: readSelector(podSelector) }),
    ...(namespaceSelector.isAbsent ? {} : { namespaceSelector: readSelector(namespaceSelector) }),
    ...(ipBlock.isAbsent ? {} : { ipBlock: readIpBlock(ipBlock) }),
  };
}

/**
 * Returns the hint for a field that stands beside a selector but belongs inside it. If the peer has
 * one selector only, the correction moves the field there.
 */
function emptySelector(peer: Field, hint: string): Meant {
  const { value } = peer;
  const selectors = ['podSelector', 'namespaceSelector'].filter((key) => isMap(value) && Object.hasOwn(value, key));
  const [only] = selectors;
  return only === undefined || selectors.length > 1
    ? { hint }
    : { hint: `Put it under ${only}, indented further.`, correction: { nestIn: only } };
}

function readIpBlock(block: Field): IpBlock {
  block.hasOnly(['cidr', 'except']);
  const cidr = block.child('cidr');
  if (cidr.isAbsent) cidr.problem('ipBlock needs a cidr', 'For any IPv4 address write 0.0.0.0/0.');
  const outer = readCidr(cidr);
  const except: string[] = [];
  for (const element of block.child('except').list()) {
    if (element.isAbsent) element.problem('expected a CIDR block, found nothing');
    const inner = readCidr(element);
    if (inner === undefined) continue;
    except.push(inner.text);
    if (outer === undefined || isStrictlyInside(inner.cidr, outer.cidr)) continue;
    element.problem(`${inner.text} is not a smaller block inside ${outer.text}`, exceptHint(inner, outer));
  }
  return { cidr: outer?.text ?? '', except };
}

type ReadCidr = NonNullable<ReturnType<typeof readCidr>>;

function readCidr(field: Field) {
  const text = field.text();
  if (text === undefined) return undefined;
  const cidr = parseCidr(text);
  if (!isMistake(cidr)) return { text, cidr };
  field.problem(cidr.message, cidr.hint);
  return undefined;
}

function exceptHint(inner: ReadCidr, outer: ReadCidr): string {
  if (inner.cidr.family !== outer.cidr.family)
    return `An ${inner.cidr.family} block excludes nothing from an ${outer.cidr.family} one.`;
  if (isStrictlyInside(outer.cidr, inner.cidr)) return `Did you mean cidr: ${inner.text} and except: ${outer.text}?`;
  if (inner.cidr.prefix === outer.cidr.prefix && inner.cidr.first === outer.cidr.first)
    return 'The rule would allow no address at all.';
  return `What lies outside ${outer.text} is not allowed anyway; remove it.`;
}

function readPolicyPort(entry: Field): PolicyPort {
  entry.hasOnly(['protocol', 'port', 'endPort'], {
    targetPort: 'Did you mean port?',
    containerPort: 'Did you mean port?',
    from: 'Put the peers beside the list of ports, without `- ` in front.',
    to: 'Put the peers beside the list of ports, without `- ` in front.',
  });
  const protocol = readProtocol(entry.child('protocol')) ?? 'TCP';
  const port = readPort(entry.child('port'));
  const endPort = readEndPort(entry.child('endPort'), entry.child('port'), port);
  return { protocol, ...(port === undefined ? {} : { port }), ...(endPort === undefined ? {} : { endPort }) };
}

function readEndPort(field: Field, portField: Field, port: number | string | undefined): number | undefined {
  const endPort = readPortNumber(field);
  if (endPort === undefined) return undefined;
  if (portField.isAbsent)
    field.problem('endPort needs a port, the first of the range', `Did you mean port: ${endPort}?`);
  else if (typeof port === 'string') field.problem(`endPort needs a numeric port; ${show(port)} is a name`);
  else if (port !== undefined && endPort < port) {
    field.problem(`endPort ${endPort} is below port ${port}`, `Did you mean port: ${endPort} and endPort: ${port}?`);
  }
  return endPort;
}
