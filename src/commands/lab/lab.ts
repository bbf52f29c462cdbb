/** `podfence lab …`: the flags of its subcommands. Each has its code in a file of its own. */
import { type Command, InvalidArgumentError, Option } from 'commander';

const EXIT_CODES = `
Exit code: 0 if every probe came out as the policies say, 1 if any did not, 2 if the arguments or
manifests had errors (the rest is still loaded and probed), 3 if the lab cannot run here, 130 after
Ctrl-C.`;

const JSON_FORMAT = `
With --json, one line per probe:
  {"from":"shop/web-1","to":"shop/db-0","port":5432,"protocol":"TCP","expected":"deny","observed":"deny",…}
Pods are namespace/name, Services service/namespace/name, external hosts their names. Further
fields: via, address, pod, delivered, detail.`;

export function register(program: Command): void {
  const lab = program
    .command('lab')
    .description('A cluster of network namespaces on this machine, with an agent on every node. Needs root.')
    .helpCommand(false);

  withInput(lab.command('run'))
    .description('Probe every port of every pod and Service from everywhere, and compare with what the policies say.')
    .option('--json', 'one line of JSON per probe, and nothing else, on standard output')
    .addOption(
      new Option('--capture <how>', 'what judges packets: the queues of an agent on each node, or a wire for each pod')
        .choices(['queue', 'wire'])
        .default('queue'),
    )
    .addHelpText('after', `${JSON_FORMAT}\n${EXIT_CODES}`)
    .action(async (options) => {
      process.exitCode = await (await import('./run.ts')).labRun(options);
    });

  withName(withInput(lab.command('up')))
    .description('Start a lab that stays up, to play with by hand: lab exec, lab status, lab down.')
    .action(async (options) => {
      process.exitCode = await (await import('./up.ts')).labUp(options);
    });

  withName(lab.command('exec'))
    .description('Run a command in a pod, an external host or a node of a running lab, as kubectl exec does.')
    .argument('<pod>', 'namespace/name, or the name alone')
    .argument('<command...>', 'after --: the command and its arguments')
    .addHelpText(
      'after',
      '\nExample: podfence lab exec shop/frontend-1 -- curl -m 2 http://10.96.0.10\n\nExit code: that of the command.',
    )
    .action(async (pod: string, command: string[], options) => {
      process.exitCode = await (await import('./exec.ts')).labExec(pod, command, options);
    });

  withName(lab.command('status'))
    .description('Show the running lab: its nodes, pods, Services and addresses.')
    .action(async (options) => {
      process.exitCode = await (await import('./status.ts')).labStatus(options);
    });

  withName(lab.command('down'))
    .description('End a running lab and everything that runs in it.')
    .action(async (options) => {
      process.exitCode = await (await import('./down.ts')).labDown(options);
    });
}

function withName(command: Command): Command {
  return command.option('--name <name>', 'which lab, if there are several', labName, 'default');
}

function withInput(command: Command): Command {
  return command
    .requiredOption(
      '-m, --manifests <path>',
      'file or folder with manifests, or - for standard input; repeatable',
      collect,
    )
    .option('-n, --nodes <count>', 'nodes (default: as many as pods name in spec.nodeName)', count)
    .option('-e, --external <name=ip>', 'a host outside the cluster; repeatable', collect, [])
    .addOption(
      new Option('--family <family>', 'address family for pods and Services without an address')
        .choices(['ipv4', 'ipv6', 'dual'])
        .default('ipv4'),
    )
    .option('--max-replicas <count>', 'most pods that a workload is expanded to', count, 3)
    .option('--queues <count>', 'queues of each agent (default: the number of cores, at most 4)', count)
    .addOption(
      new Option('--steering <kind>', 'how packets reach the agents')
        .choices(['auto', 'nftables', 'iptables'])
        .default('auto'),
    )
    .option('--no-offload', 'send every packet through the agents, not only the first of a flow')
    .addOption(new Option('--deny <how>', 'what a denied sender gets').choices(['drop', 'reject']).default('drop'));
}

function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}

function count(value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1) throw new InvalidArgumentError('Give a whole number from 1.');
  return number;
}

function labName(value: string): string {
  if (!/^[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?$/.test(value)) {
    throw new InvalidArgumentError('Use lower-case letters, digits and hyphens.');
  }
  return value;
}
