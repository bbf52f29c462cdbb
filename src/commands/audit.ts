/** `podfence audit`: reports what enforcement would deny on an interface, and enforces nothing. */
import { type Command, Option } from 'commander';
import { LiveTraffic } from '../traffic/live-traffic.ts';
import { collect } from './shared/cluster-input.ts';
import { ExitCode, UnavailableError } from './shared/exit-code.ts';
import { bufferBytes, exitCodeOf, LIVE_HELP, type LiveFlags, runLive, withLiveFlags } from './shared/live-command.ts';

const HELP = `
Listens with libpcap, judges every packet by the policies, and changes nothing. It runs on a laptop,
a node, or any host with an interface that packets of pods pass. It shows what would be denied.

Pods are known by their addresses, so manifests must be those of the running cluster (kubectl get
namespaces,pods,services,networkpolicies -A -o yaml), or come from it (--kubeconfig). A connection
that was open before is judged in whichever direction a policy allows it. Packets to a Service's
address are left out: on a node they appear again with the backend's address.
${LIVE_HELP}

Exit code: 0, or with --check 1 if anything would be denied; 2 for wrong arguments or manifests with
errors; 3 if nothing can be captured.`;

interface Flags extends LiveFlags {
  readonly interface: readonly string[];
  readonly check?: true;
}

export function register(program: Command): void {
  withLiveFlags(
    program
      .command('audit')
      .description('Listen on interfaces and report what the policies would deny. Nothing is held or dropped.')
      .addOption(
        new Option('-i, --interface <name>', 'interface to listen on; repeatable; "any" means all of them')
          .argParser(collect)
          .makeOptionMandatory(),
      ),
  )
    .option('--check', 'exit with 1 if anything would be denied')
    .addHelpText('after', HELP)
    .action(async (flags: Flags) => {
      process.exitCode = await audit(flags);
    });
}

/** @returns the exit code. */
async function audit(flags: Flags): Promise<number> {
  const interfaces = [...new Set(flags.interface)];
  if (process.platform !== 'linux')
    throw new UnavailableError(
      'audit needs Linux; elsewhere record with tcpdump, and give the file to podfence replay',
    );
  const end = await runLive(flags, (cluster, onChange) =>
    LiveTraffic.listen({ cluster, interfaces, bufferBytes: bufferBytes(flags), onChange }),
  );
  return flags.check && end.denied > 0 ? ExitCode.differs : exitCodeOf(end);
}
