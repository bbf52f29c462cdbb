/** Ports as people write them: `5432`, `5432/tcp`, `53/udp`, `http`, `dns/udp`, `icmp`. */
import { didYouMean } from '../cluster/nearest.ts';
import { FlowError } from './flow-error.ts';
import { FLOW_PROTOCOLS, type FlowProtocol, NO_PORT } from './judgement.ts';

export interface PortQuery {
  /** Undefined if omitted: TCP, or the protocol of the port with this name. */
  readonly protocol: FlowProtocol | undefined;
  /** A number, a name, or NO_PORT for ICMP. */
  readonly port: number | string;
}

/** @throws FlowError BAD_PORT */
export function parsePort(text: string): PortQuery {
  const [port = '', protocolText, ...others] = text.trim().split('/');
  if (others.length > 0 || port === '' || protocolText === '') throw badPort(text);
  if (/^(icmp|icmpv6)$/i.test(port) && protocolText === undefined) return { protocol: 'ICMP', port: NO_PORT };
  const protocol = protocolText === undefined ? undefined : parseProtocol(protocolText);
  if (/^[-+\d.]+$/.test(port)) return { protocol, port: checkPort(Number(port), text) };
  return { protocol, port };
}

/** @throws FlowError BAD_PORT */
export function parseProtocol(text: string): FlowProtocol {
  const protocol = FLOW_PROTOCOLS.find((each) => each === text.toUpperCase());
  if (protocol !== undefined) return protocol;
  const hint = didYouMean(text, FLOW_PROTOCOLS);
  throw new FlowError(
    'BAD_PORT',
    `there is no protocol ${JSON.stringify(text)}; protocols are ${FLOW_PROTOCOLS.join(', ')}${hint ? `. ${hint}` : ''}`,
  );
}

/** @throws FlowError BAD_PORT */
export function checkPort(port: number, text = String(port)): number {
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  throw new FlowError('BAD_PORT', `${text} is not a port; ports are 1 to 65535`);
}

function badPort(text: string): FlowError {
  return new FlowError('BAD_PORT', `${JSON.stringify(text)} is not a port; write 5432/tcp, 53/udp, http or icmp`);
}
