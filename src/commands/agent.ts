/** `podfence agent`: what runs on every node. */
import { hostname, networkInterfaces } from 'node:os';
import type { Command } from 'commander';
import { AgentProcess, type ClusterSource, type OnChanges } from '../agent/agent-process.ts';
import { ApiConnection } from '../kube/api-connection.ts';
import { ClusterWatch } from '../kube/cluster-watch.ts';
import { loadKubeConfig } from '../kube/kubeconfig.ts';
import { ManifestWatch } from '../manifests/manifest-watch.ts';
import { createLogger } from '../telemetry/logger.ts';
import { applyConfigFile } from './agent-config.ts';
import { type AgentSettings, agentOptions, settingsOf } from './agent-options.ts';
import { ExitCode, InputError } from './exit-code.ts';
import { requireRootOnLinux } from './machine.ts';

const HELP = `
Every setting is a flag, a variable of the environment, or a key of the --config file (YAML; the flag's name without the dashes).
The first of the three that names it decides. A wrong value anywhere stops the start.

Without --manifests the agent watches Pods, Namespaces and NetworkPolicies of a cluster. It enforces the policies on the pods of
its own node, on packets that the node forwards. It must run in the node's network namespace, with the capability NET_ADMIN.
Stopping it leaves its kernel rules in place, so that nothing slips through until the next one starts; podfence cleanup removes them.

Example, on one machine without a cluster:
  podfence agent --manifests policies/ --metrics-address 127.0.0.1:9464`;

export function register(program: Command): void {
  const command = program
    .command('agent')
    .description('Enforce the policies of a cluster on the pods of this node.')
    .option('--config <file>', 'configuration file, YAML')
    .option('--check-config', 'only say whether the configuration is right')
    .addHelpText('after', HELP);
  const options = agentOptions(hostname());
  for (const option of options) command.addOption(option);
  command.option('--no-offload', 'the same as --offload no');
  command.action(async ({ config, checkConfig }: { config?: string; checkConfig?: true }) => {
    if (config !== undefined) applyConfigFile(command, config, options);
    const settings = settingsOf(command);
    checkSettings(settings);
    if (checkConfig) process.stdout.write('The configuration is right.\n');
    else await run(settings, program.version() ?? '');
  });
}

/** What no single setting can tell. */
function checkSettings({ manifests, kubeconfig, context }: AgentSettings): void {
  if (manifests !== undefined && (kubeconfig ?? context) !== undefined) {
    throw new InputError('manifests and kubeconfig: give one or the other, for the policies come from one place');
  }
}

/** Runs until SIGTERM or Ctrl-C. */
async function run(settings: AgentSettings, version: string): Promise<void> {
  requireRootOnLinux('the agent');
  const log = createLogger('agent', settings.logLevel);
  const {
    nodeName,
    queues,
    nodeAddresses = ownAddresses(),
    adopt,
    metricsAddress,
    policyMetrics,
    ...others
  } = settings;
  const agent = new AgentProcess({
    agent: {
      ...others,
      ...(queues === undefined ? {} : { queues }),
      node: { name: nodeName, addresses: nodeAddresses },
      adopt: adopt * 1000,
      policyFlows: policyMetrics,
    },
    source: sourceOf(settings, log),
    metricsAddress,
    version,
    log,
  });
  const ended = Promise.withResolvers<void>();
  const end = (signal: NodeJS.Signals) => {
    log.info({ signal }, 'stopping; the kernel rules stay');
    ended.resolve();
  };
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
  await Promise.race([agent.start(), ended.promise]);
  await ended.promise;
  await agent.stop();
  process.exitCode = ExitCode.ok;
}

function sourceOf(
  settings: AgentSettings,
  log: ReturnType<typeof createLogger>,
): (onChanges: OnChanges) => ClusterSource {
  const { manifests, kubeconfig, context, nodeName } = settings;
  if (manifests !== undefined) {
    return (onChanges) => {
      const watch = new ManifestWatch({ paths: manifests, nodeName, log, onChanges });
      const location = manifests.join(', ');
      return source(watch, () => ({ type: 'manifests', location, age: watch.age, kinds: [] }));
    };
  }
  const choice = { ...(kubeconfig === undefined ? {} : { kubeconfig }), ...(context === undefined ? {} : { context }) };
  const connection = new ApiConnection(() => loadKubeConfig(choice));
  return (onChanges) => {
    const watch = new ClusterWatch({ connection, log, onChanges });
    return source(watch, () => {
      const { server, age, kinds } = watch.status();
      return { type: 'kubernetes', location: server, age, kinds };
    });
  };
}

function source(watch: Omit<ClusterSource, 'view'>, view: ClusterSource['view']): ClusterSource {
  return {
    start: () => watch.start(),
    synced: watch.synced,
    snapshot: () => watch.snapshot(),
    stop: () => watch.stop(),
    view,
  };
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) => addresses?.map(({ address }) => address) ?? []);
}
