/** `--node NAME=IP`: addresses of nodes. What a node and its own pods say to each other is always allowed, and only their addresses tell it. */
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
    'an address of a node that no pod of its host network has; repeatable',
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
