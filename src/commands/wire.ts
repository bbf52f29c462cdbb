/** `podfence wire`: the cable between two interfaces, which carries what the policies allow. */
import { existsSync, readlinkSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { basename } from 'node:path';
import type { Command } from 'commander';
import { hidesObjects } from '../manifests/losses.ts';
import { DEFAULT_FLOWS, LiveTraffic } from '../traffic/live-traffic.ts';
import type { ClusterInput } from './shared/cluster-input.ts';
import { InputError } from './shared/exit-code.ts';
import {
  bufferBytes,
  exitCodeOf,
  LIVE_HELP,
  type LiveFlags,
  positive,
  runLive,
  withLiveFlags,
} from './shared/live-command.ts';
import { requireRootOnLinux } from './shared/machine.ts';
import { tell } from './shared/tell.ts';

const HELP = `
Forwards frames from each interface to the other if the policies allow them, and drops the rest. It
needs no packet filter of the kernel, and the hosts behind it need not be pods. Both interfaces must
be up and should have no address of their own. The wire does not know the addresses of Services: put
it where packets carry the addresses of pods.

Hosts need some link-local traffic that no policy covers: ARP, IPv6 neighbour discovery, and groups
that no router forwards (DHCP, mDNS, LLDP …). It passes, and flags drop each kind. Traffic between
IPv6 link-local addresses passes too, because policies know pods only by their other addresses: in
front of a host that must not be reached that way, give --no-link-addresses. Fragments share the
verdict of their first fragment. TCP segments that a network card should have cut are cut to the
path's MTU.

If an interface goes away, capturing starts again when it is back. While either is not captured,
nothing passes.
${LIVE_HELP}

Exit code: 0, 2 for wrong arguments or manifests with errors, 3 if nothing can be captured.

Example:
  podfence wire eth1 eth2 --manifests cluster.yaml`;

interface Flags extends LiveFlags {
  readonly arp: boolean;
  readonly neighbourDiscovery: boolean;
  readonly linkGroups: boolean;
  readonly linkAddresses: boolean;
  readonly adopt?: number;
  readonly flows: number;
}

export function register(program: Command): void {
  withLiveFlags(
    program
      .command('wire')
      .description('Be the cable between two interfaces, and carry what the policies allow. Needs root.')
      .argument('<interface-a>')
      .argument('<interface-b>'),
  )
    .option('--no-arp', 'drop ARP')
    .option('--no-neighbour-discovery', 'drop IPv6 neighbour discovery')
    .option('--no-link-groups', 'drop traffic to link-local groups and to 255.255.255.255')
    .option('--no-link-addresses', 'drop traffic between IPv6 link-local addresses (fe80::)')
    .option(
      '--adopt <seconds>',
      'how long connections that were open before may go on, if either direction allows them',
      positive,
    )
    .option('--flows <count>', 'most flows tracked at once', positive, DEFAULT_FLOWS)
    .addHelpText('after', HELP)
    .action(async (a: string, b: string, flags: Flags) => {
      process.exitCode = await wire(a, b, flags);
    });
}

/** @returns the exit code. */
async function wire(a: string, b: string, flags: Flags): Promise<number> {
  requireRootOnLinux('a wire', 'it captures and sends raw frames');
  if (a === b) throw new InputError(`a wire has two ends: ${a} was given twice`);
  for (const name of [a, b]) {
    if (isOfLibpcap(name)) throw new InputError(`the ends of a wire are network interfaces, and ${name} is not one`);
    requireFree(name);
    warnOfAddress(name);
  }
  const { arp, neighbourDiscovery, linkGroups: groups, linkAddresses, adopt = 0, flows } = flags;
  const end = await runLive(flags, (cluster, onChange, input) => {
    requireWhole(input);
    return LiveTraffic.wire({
      ...{ cluster, onChange, pairs: [[a, b]], pass: { arp, neighbourDiscovery, groups, linkAddresses } },
      ...{ adopt: 1000 * adopt, flowCapacity: Math.ceil(flows), bufferBytes: bufferBytes(flags) },
    });
  });
  return exitCodeOf(end);
}

/** Whether libpcap captures from it, though it is not an interface that can send frames. */
function isOfLibpcap(name: string): boolean {
  return /^(any|nflog|nfqueue)(:|$)/.test(name);
}

/** The kernel already joins the ports of a bridge, and asks no policy. @throws InputError */
function requireFree(name: string): void {
  const master = `/sys/class/net/${name}/master`;
  if (!existsSync(master)) return;
  const bridge = basename(readlinkSync(master));
  throw new InputError(
    `${name} belongs to ${bridge}, which carries its frames by itself. Take it out: ip link set ${name} nomaster`,
  );
}

/**
 * A pod that could not be read would not be protected. A file that is not a manifest contains none.
 * @throws InputError
 */
function requireWhole({ problems }: ClusterInput): void {
  if (problems.some((problem) => hidesObjects(problem) && !problem.isNoObject))
    throw new InputError('a wire does not start unless the manifests can be read in full');
}

/** Warns if the interface has an address: this machine takes packets to it, wire or not. */
function warnOfAddress(name: string): void {
  const own = networkInterfaces()[name]?.find(({ address }) => !address.startsWith('fe80:'));
  if (own === undefined) return;
  tell(`${name} has the address ${own.address}: packets to this machine, and those that it routes, bypass the wire.\n`);
}
