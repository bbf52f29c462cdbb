/** Projects core/v1 Nodes to records, as projection.ts does for the other kinds. */
import { canonicalAddress, formatCidr, isMistake, parseCidr } from './addresses.ts';
import { Field, type Problem, type Projection, readEach } from './field.ts';
import { readIdentity } from './names.ts';
import type { NodeRecord } from './records.ts';

/** Types of `status.addresses` whose addresses are IP addresses; the others are names. */
const ADDRESS_TYPES: readonly unknown[] = ['InternalIP', 'ExternalIP'];

/**
 * Without a usable name there is no record; a block or address with a problem is left out. Throws
 * nothing.
 */
export function projectNode(object: unknown): Projection<NodeRecord> {
  const problems: Problem[] = [];
  const root = new Field(object, problems);
  const { name, labels } = readIdentity(root.child('metadata'), '');
  const podRanges = readPodRanges(root.child('spec'));
  const addresses = readAddresses(root.child('status'));
  if (name === undefined) return { record: undefined, problems };
  return { record: { kind: 'Node', name, labels, podRanges, addresses }, problems };
}

function readPodRanges(spec: Field): readonly string[] {
  spec.keys();
  const listed = spec.child('podCIDRs').list();
  return readEach(listed.length > 0 ? listed : [spec.child('podCIDR')], 'a CIDR block', (text) => {
    const cidr = parseCidr(text);
    return isMistake(cidr) ? undefined : formatCidr(cidr);
  });
}

function readAddresses(status: Field): readonly string[] {
  status.keys();
  const listed = status.child('addresses').list();
  const ofIp = listed.filter((entry) => {
    entry.keys();
    return ADDRESS_TYPES.includes(entry.child('type').value);
  });
  return readEach(
    ofIp.map((entry) => entry.child('address')),
    'an IP address',
    canonicalAddress,
  );
}
