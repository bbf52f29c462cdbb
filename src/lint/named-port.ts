/** The message about a policy's named port that none of the pods in question has. */
import { show } from '../cluster/field.ts';
import { didYouMean } from '../cluster/nearest.ts';
import type { ContainerPort, Direction, Protocol } from '../cluster/records.ts';

/** The most names and ports that a message lists. */
export const MOST_LISTED = 6;

/** Describes the pods to which a rule's ports belong. */
export const WHOSE: Readonly<Record<Direction, string>> = {
  ingress: 'that the policy selects',
  egress: 'that the rule matches',
};

/**
 * Describes a named port that none of the pods in question has, and what was probably meant.
 * @param ports those of the pods in question
 * @param service finds a Service in front of them with such a port: `shop/backend (80 to 9000)`
 */
export function unknownNamedPort(
  { name, protocol }: { readonly name: string; readonly protocol: Protocol },
  ports: readonly ContainerPort[],
  direction: Direction,
  service: () => string | undefined = () => undefined,
): { readonly message: string; readonly hint: string } {
  const message = `no container of the pods ${WHOSE[direction]} has a ${protocol} port named ${show(name)}: the entry allows nothing`;
  const other = ports.find((each) => each.name === name);
  if (other !== undefined) {
    const hint = `${show(name)} is a ${other.protocol} port there. Did you mean protocol: ${other.protocol}?`;
    return { message, hint };
  }
  const behind = service();
  const names = [...new Set(ports.flatMap((each) => each.name ?? []))];
  const hint =
    (behind && `It is a port of Service ${behind}; policies use the names of container ports.`) ??
    didYouMean(name, names) ??
    (names.length > 0
      ? `Names there: ${names.slice(0, MOST_LISTED).join(', ')}.`
      : 'Their ports have no names; write the number.');
  return { message, hint };
}
