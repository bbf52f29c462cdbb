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
Frames that come in on one interface and that the policies allow go out on the other; what they deny goes nowhere. No packet filter of the kernel is needed,
and what is behind need not be a pod. Both interfaces must be up and should have no address of their own. Of a Service's address the wire knows
nothing: put it where packets show the pods' addresses.

Hosts need some traffic of the link that no policy is about: ARP, IPv6 neighbour discovery, and groups that no router forwards (DHCP, mDNS, LLDP …). It passes;
flags stop each. What hosts say to each other by IPv6 link-local addresses passes too, for policies know only the addresses that pods are known by: in front of a host
that must not be reached that way give --no-link-addresses. Fragments follow their first one. TCP that a network card was to cut is cut to the path's MTU.

An interface that goes away is taken up again when it is back. While either is not captured, nothing passes.
${LIVE_HELP}

Exit code: 0, 2 for wrong arguments or manifests with errors, 3 where nothing can be captured.

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
    .option('--no-link-groups', 'drop what goes to groups of the link and to 255.255.255.255')
    .option('--no-link-addresses', 'drop what IPv6 link-local addresses (fe80::) say to each other')
    .option(
      '--adopt <seconds>',
      'for so long let connections go on that were open before, where a direction allows them',
      positive,
    )
    .option('--flows <count>', 'flows that are tracked at once', positive, DEFAULT_FLOWS)
    .addHelpText('after', HELP)
    .action(async (a: string, b: string, flags: Flags) => {
      process.exitCode = await wire(a, b, flags);
    });
}

/** @returns the exit code. */
async function wire(a: string, b: string, flags: Flags): Promise<number> {
  requireRootOnLinux('a wire', 'it takes and sends frames as they are');
  if (a === b) throw new InputError(`a wire has two ends: ${a} was given twice`);
  for (const name of [a, b]) {
    if (isOfLibpcap(name)) throw new InputError(`a wire has network interfaces as its ends, and ${name} is none`);
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

/** What libpcap captures from and is no interface that frames could be sent on. */
function isOfLibpcap(name: string): boolean {
  return /^(any|nflog|nfqueue)(:|$)/.test(name);
}

/** The ports of a bridge are joined already, by the kernel and without a policy. @throws InputError */
function requireFree(name: string): void {
  const master = `/sys/class/net/${name}/master`;
  if (!existsSync(master)) return;
  const bridge = basename(readlinkSync(master));
  throw new InputError(
    `${name} belongs to ${bridge}, which carries its frames by itself. Take it out: ip link set ${name} nomaster`,
  );
}

/** A pod that could not be read is a pod that is not protected; a file that is no manifest at all holds none. @throws InputError */
function requireWhole({ problems }: ClusterInput): void {
  if (problems.some((problem) => hidesObjects(problem) && !problem.isNoObject))
    throw new InputError('a wire carries nothing by manifests of which not everything could be read');
}

/** What comes in for this machine itself is taken by it, wire or not. */
function warnOfAddress(name: string): void {
  const own = networkInterfaces()[name]?.find(({ address }) => !address.startsWith('fe80:'));
  if (own === undefined) return;
  tell(
    `${name} has the address ${own.address}: packets to this machine, and those that it routes, pass by the wire.\n`,
  );
}
