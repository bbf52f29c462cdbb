/** What is said of a policy's named port that none of the pods in question has. */
import { show } from '../cluster/field.ts';
import { didYouMean } from '../cluster/nearest.ts';
import type { ContainerPort, Direction, Protocol } from '../cluster/records.ts';

/** Names and ports that a message lists. */
export const MOST_LISTED = 6;

/** The pods that the ports of a rule are about. */
export const WHOSE: Readonly<Record<Direction, string>> = {
  ingress: 'that the policy selects',
  egress: 'that the rule leads to',
};

/**
 * @param ports those of the pods in question
 * @param service looks for a Service in front of them that has such a port: `shop/backend (80 to 9000)`
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
    (behind && `It is a port of Service ${behind}; policies go by the names of container ports.`) ??
    didYouMean(name, names) ??
    (names.length > 0
      ? `Names there: ${names.slice(0, MOST_LISTED).join(', ')}.`
      : 'Their ports have no names; write the number.');
  return { message, hint };
}
