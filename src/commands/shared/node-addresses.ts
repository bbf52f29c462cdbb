/**
 * `--node NAME=IP`: addresses of nodes. Traffic between a node and its own pods is always allowed,
 * and only the node's address identifies it.
 */
import type { Command } from 'commander';
import type { NodeIdentity } from '../../policy/compiler.ts';
import { collect } from './cluster-input.ts';
import { parseNamedAddress } from './external-host.ts';

export interface NodeFlags {
  readonly node: readonly string[];
}

export function withNodes(command: Command): Command {
  return command.option(
    '--node <name=ip>',
    'an address of a node that none of its host-network pods has; repeatable',
    collect,
    [],
  );
}

/** @throws InputError */
export function nodesOf({ node }: NodeFlags): readonly NodeIdentity[] {
  return node.map((text) => {
    const { name, address } = parseNamedAddress('--node', text);
    return { name, addresses: [address] };
  });
}
