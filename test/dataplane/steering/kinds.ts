/**
 * The kinds of steering that can be tested in this kernel, one for each rendering and variant of
 * the tools.
 */

import { IptablesSteering } from '../../../src/dataplane/steering/iptables.ts';
import { NftablesSteering } from '../../../src/dataplane/steering/nftables.ts';
import { type System, system } from '../../../src/dataplane/steering/run.ts';
import { DEFAULT_MARK, type Steering, type SteeringState } from '../../../src/dataplane/steering/state.ts';
import { tryNftables } from '../../../src/dataplane/steering/trial.ts';
import { Netns } from '../../../src/sys/netns.ts';
import { root } from './pods.ts';

export interface Kind {
  readonly name: string;
  /** Whether the kernel or the tests' rights lack something; `name` says what. */
  readonly skipped: boolean;
  /** `wrap` intercepts the steering's commands. */
  readonly make: (netns: Netns, wrap?: (inner: System) => System) => Steering;
}

/** Makes `iptables` on PATH the given variant. */
export function withVariant(variant: 'nft' | 'legacy', inner: System): System {
  const renamed = (command: string) => command.replace(/^(ip6?tables)(?=$|-save|-restore)/, `$1-${variant}`);
  return { run: (command, args, input) => inner.run(renamed(command), args, input), read: inner.read };
}

/**
 * For kernels without nftables' queue: replaces each queue rule by what happens to a packet of a
 * queue without a reader. Comments keep the fingerprint of the original rule, so that adopting
 * works as usual.
 */
export function withoutNftQueue(inner: System): System {
  const replaced = (input?: string) =>
    input?.replace(/queue flags bypass to [\d-]+/g, 'accept').replace(/queue to [\d-]+/g, 'drop');
  return { run: (command, args, input) => inner.run(command, args, replaced(input)), read: inner.read };
}

const same = (inner: System): System => inner;

async function kernelHasNftQueue(): Promise<boolean> {
  if (!root) return false;
  using netns = Netns.create();
  return await tryNftables(system(netns), { deny: 'reject', offload: true }).then(
    () => true,
    () => false,
  );
}

/** A command that a steering ran, with its input. */
export interface Command {
  readonly line: string;
  readonly input: string;
}

/** Records the commands that change something. */
export function recording(into: Command[]): (inner: System) => System {
  return (inner) => ({
    run: (command, args, input = '') => {
      const line = [command, ...args].join(' ');
      if (/restore|destroy|nft -f/.test(line)) into.push({ line, input });
      return inner.run(command, args, input);
    },
    read: inner.read,
  });
}

/** Whether nftables with its queue works in this kernel. */
export const nftQueue = await kernelHasNftQueue();

export const kinds: readonly Kind[] = [
  {
    name: 'iptables (nf_tables variant)',
    skipped: !root,
    make: (netns, wrap = same) => new IptablesSteering(withVariant('nft', wrap(system(netns)))),
  },
  {
    name: 'iptables (legacy variant)',
    skipped: !root,
    make: (netns, wrap = same) => new IptablesSteering(withVariant('legacy', wrap(system(netns)))),
  },
  {
    name: nftQueue || !root ? 'nftables' : 'nftables (needs a kernel with CONFIG_NFT_QUEUE: skipped)',
    skipped: !nftQueue,
    make: (netns, wrap = same) => new NftablesSteering(wrap(system(netns))),
  },
  {
    name: 'nftables with the queue statement replaced by what it does without a reader',
    skipped: !root,
    make: (netns, wrap = same) => new NftablesSteering(withoutNftQueue(wrap(system(netns))), true),
  },
];

export const STATE: SteeringState = {
  queues: { first: 100, count: 2 },
  steeredIPv4: [],
  steeredIPv6: [],
  mark: DEFAULT_MARK,
  fail: 'closed',
  deny: 'drop',
  offload: true,
};
