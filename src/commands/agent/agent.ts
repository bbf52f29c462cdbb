/** `podfence agent`: what runs on every node. */
import { hostname, networkInterfaces } from 'node:os';
import type { Command } from 'commander';
import type { Logger } from 'pino';
import { AgentProcess } from '../../agent/agent-process.ts';
import { refuseReadersOfRules } from '../../agent/other-agents.ts';
import { removeSpoofing } from '../../dataplane/spoofing/spoofing-guard.ts';
import { removeQueueing } from '../../dataplane/steering/leftovers.ts';
import { findPredecessor } from '../../dataplane/steering/predecessor.ts';
import { system } from '../../dataplane/steering/run.ts';
import { keepYoungSpaceSmall } from '../../sys/engine.ts';
import { createLogger, LogDestination } from '../../telemetry/logger.ts';
import { ExitCode, exitCodeOf, InputError } from '../shared/exit-code.ts';
import { requireRootOnLinux } from '../shared/machine.ts';
import { applyConfigFile } from './config.ts';
import { checkEnvironment } from './environment.ts';
import { type AgentSettings, agentOptions, configOption, settingsOf } from './options.ts';
import { agentSource, startupTaint } from './source.ts';

/** Node's own exit code for an uncaught exception. */
const CRASHED = 1;

const HELP = `
Every setting is a flag, an environment variable, or a key of the --config file (YAML; the flag's
name without the dashes). A flag overrides the variable, and the variable overrides the file. The
agent does not start if any value is wrong.

Without --manifests the agent watches the Pods, Namespaces, Nodes and NetworkPolicies of a cluster. It
enforces the policies on the pods of its own node, on packets that the node forwards. It must run in
the node's network namespace, with the capability NET_ADMIN. When it stops, its kernel rules stay in
place, so that nothing slips through until the next one starts; podfence cleanup removes them.

With --mode audit the agent holds, drops and marks nothing, whatever happens to it. It first removes
the rules of an agent that enforced. The kernel then hands copies of packets to libpcap (NFLOG).
podfence flows, podfence explain and the metrics report what enforcement would deny as would_deny.
--queues, --fail, --deny, --spoofing and --adopt have no effect. To switch, restart with the other mode.

Example, on one machine without a cluster:
  podfence agent --manifests policies/ --metrics-address 127.0.0.1:9464`;

export function register(program: Command): void {
  const config = configOption();
  const command = program
    .command('agent')
    .description('Enforce the policies of a cluster on the pods of this node.')
    .addOption(config)
    .option('--check-config', 'only check the configuration; the cluster need not answer')
    .addHelpText('after', HELP);
  const options = agentOptions(hostname());
  for (const option of options) command.addOption(option);
  command.option('--no-offload', 'the same as --offload no');
  // Before commander reads the variables, because it stops at the first mistake.
  program.hook('preSubcommand', () => checkEnvironment(process.env, [config, ...options]));
  command.action(async ({ config: file, checkConfig }: { config?: string; checkConfig?: true }) => {
    if (file !== undefined) applyConfigFile(command, file, options);
    const settings = settingsOf(command);
    checkSettings(settings);
    if (checkConfig) await check(settings);
    else await run(settings, program.version() ?? '');
  });
}

/** Checks settings that exclude each other. Throws an InputError. */
function checkSettings({ manifests, kubeconfig, context, startupTaint }: AgentSettings): void {
  if (manifests !== undefined && startupTaint !== undefined) {
    throw new InputError(
      'startup-taint: only nodes of a cluster have taints, and manifests have none. Leave out one of the two',
    );
  }
  if (manifests !== undefined && (kubeconfig ?? context) !== undefined) {
    throw new InputError('manifests and kubeconfig: give one or the other, because the policies come from one place');
  }
}

/** Makes the checks that a start makes before it touches anything. */
async function check(settings: AgentSettings): Promise<void> {
  await agentSource(settings, createLogger('agent', settings.logLevel));
  process.stdout.write('The configuration is right.\n');
}

/**
 * Runs until SIGTERM or Ctrl-C. Any other end is logged in the last line, as JSON like the others.
 */
async function run(settings: AgentSettings, version: string): Promise<void> {
  const destination = new LogDestination();
  const log = createLogger('agent', settings.logLevel, { node: settings.nodeName, destination });
  // If the log is off, the command line prints the error.
  const isLogged = log.isLevelEnabled('fatal');
  if (isLogged) process.on('uncaughtException', (error) => crash(error, log));
  try {
    await runLogged(settings, version, log, destination);
  } catch (error) {
    if (!isLogged) throw error;
    process.exitCode = exitCodeOf(error);
    const { message, hint } = error as Error & { hint?: string };
    const fields = { err: error, exitCode: process.exitCode, ...(hint !== undefined && { hint }) };
    log.fatal(fields, `the agent could not start: ${message}`);
  }
}

/**
 * Logs an uncaught exception or unhandled rejection, and exits. Node would exit too, but would not
 * write a JSON line.
 */
function crash(error: Error, log: Logger): void {
  log.fatal({ err: error, exitCode: CRASHED }, `the agent crashed: ${error.message}; the kernel rules stay`);
  process.exit(CRASHED);
}

async function runLogged(
  settings: AgentSettings,
  version: string,
  log: Logger,
  destination: LogDestination,
): Promise<void> {
  requireRootOnLinux('the agent');
  keepYoungSpaceSmall();
  const ended = Promise.withResolvers<void>();
  let agent: AgentProcess | undefined;
  const end = (signal: NodeJS.Signals) => {
    const isInForce = agent?.enforcementMode() !== undefined;
    const rules = isInForce
      ? 'the kernel rules stay'
      : 'the policies are not in force yet, and earlier rules stay as they were';
    log.info({ signal }, `stopping; ${rules}`);
    ended.resolve();
  };
  // Before the agent touches anything.
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
  const {
    nodeName,
    queues,
    nodeAddresses = ownAddresses(),
    adopt,
    metricsAddress,
    queryAddress,
    policyMetrics,
    nri,
    ...others
  } = settings;
  agent = new AgentProcess({
    agent: {
      ...others,
      ...(queues === undefined ? {} : { queues }),
      node: { name: nodeName, addresses: nodeAddresses },
      adopt: adopt * 1000,
      policyFlows: policyMetrics,
    },
    source: await agentSource(settings, log),
    metricsAddress,
    queryAddress,
    // Pods of manifests have no sandboxes.
    nri: nri === '' || settings.manifests !== undefined ? undefined : nri,
    startupTaint: startupTaint(settings, log),
    version,
    log,
    logLinesLost: () => destination.linesLost,
  });
  // Wrong settings were refused before this.
  if (settings.mode === 'audit') await stopEnforcing(log);
  await Promise.race([agent.start(), ended.promise]);
  await ended.promise;
  await agent.stop();
  process.exitCode = ExitCode.ok;
}

/**
 * Removes the rules of an agent that enforced: they drop new flows while no agent judges, and audit
 * mode drops nothing. Once the settings are valid, this precedes everything that can fail or wait:
 * a missing library, a cluster that does not answer. An agent that enforces later finds no rules
 * and adopts connections as on its first start.
 */
async function stopEnforcing(log: Logger): Promise<void> {
  refuseReadersOfRules(system(), await findPredecessor(system()));
  await removeSpoofing(system());
  if (await removeQueueing(system()))
    log.warn('removed the rules of an agent that enforced: nothing is enforced any more');
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) => addresses?.map(({ address }) => address) ?? []);
}
