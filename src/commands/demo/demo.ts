/**
 * `podfence demo`: a three-tier application in a lab, first without policies and then with them,
 * and a policy that changes while a connection is open. The manifests are in examples/three-tier.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type { PolicyRecord } from '../../cluster/records.ts';
import { Conversation } from '../../lab/conversation.ts';
import { Lab, type LabOptions, type ProbeResult } from '../../lab/lab.ts';
import { judgeOnPaper } from '../../lab/paper-lab.ts';
import type { ExternalHost } from '../../lab/plan.ts';
import { type LoadedManifests, loadManifests } from '../../manifests/load.ts';
import { ExitCode } from '../shared/exit-code.ts';
import { ProgressLine } from '../shared/progress.ts';
import { exitOnSignals } from '../shared/signals.ts';
import { DemoReport } from './report.ts';

const EXAMPLE = fileURLToPath(new URL('../../../examples/three-tier', import.meta.url));
const NODE = 'node-1';
const EXTERNALS: readonly ExternalHost[] = [{ name: 'client', address: '192.0.2.10' }];
/** How long to wait for an answer that must come, and for one that must not come; in ms. */
const PATIENCE = 5000;
const SILENCE = 1000;
const BETWEEN_QUESTIONS = 5;

export function register(program: Command): void {
  program
    .command('demo')
    .description('A three-tier application, real packets, and what its NetworkPolicies make of them, in 20 seconds.')
    .action(async () => {
      process.exitCode = await demo();
    });
}

/** @returns the exit code. */
async function demo(): Promise<number> {
  const all = await loadManifests([EXAMPLE]);
  const open: LoadedManifests = { ...all, snapshot: { ...all.snapshot, policies: [] } };
  const report = new DemoReport(process.stdout);
  const hindrance = whyNoLab();
  report.introduce(all, EXTERNALS, hindrance);
  return hindrance === undefined ? await demoInLab(open, all, report) : demoOnPaper(open, all, report);
}

/** Returns what the lab lacks here, if anything. */
function whyNoLab(): string | undefined {
  if (process.platform !== 'linux') return 'Linux';
  return process.getuid?.() === 0 ? undefined : 'root';
}

function demoOnPaper(open: LoadedManifests, all: LoadedManifests, report: DemoReport): number {
  const before = judgeOnPaper(open, [NODE], EXTERNALS);
  report.matrix('Without policies everybody reaches everybody', before.results);
  const after = judgeOnPaper(all, [NODE], EXTERNALS);
  report.matrix(`With the ${all.snapshot.policies.length} policies of the shop`, after.results);
  report.changes(before.results, after.results);
  report.summaryOnPaper(before.judged + after.judged);
  return verdict(report, [...before.results, ...after.results], true);
}

async function demoInLab(open: LoadedManifests, all: LoadedManifests, report: DemoReport): Promise<number> {
  const progress = new ProgressLine();
  exitOnSignals(progress);
  const options: LabOptions = { manifests: open, nodes: [NODE], externals: EXTERNALS };
  const lab = await Lab.start({ ...options, onProgress: (step) => progress.show(step) });
  try {
    const before = await lab.probe();
    progress.clear();
    report.matrix('Without policies everybody reaches everybody', before);

    await lab.apply(all);
    const after = await lab.probe();
    progress.clear();
    report.matrix(`With the ${all.snapshot.policies.length} policies of the shop`, after);
    report.changes(before, after);

    const asPromised = await editWhileOpen(lab, all, report);
    report.summary([...(await lab.counters()).values()]);
    return verdict(report, [...before, ...after], asPromised);
  } finally {
    progress.clear();
    await lab.stop();
  }
}

/**
 * Edits the backend's policy under an open connection. Returns whether each conversation went as it
 * should.
 */
async function editWhileOpen(lab: Lab, all: LoadedManifests, report: DemoReport): Promise<boolean> {
  const policy = all.snapshot.policies.find(({ namespace, name }) => namespace === 'shop' && name === 'backend');
  if (policy === undefined) throw new Error(`${EXAMPLE} has no policy shop/backend`);
  const [backend, database] = [lab.pod('shop/backend-1'), lab.pod('shop/database-0')];
  const [backendAddress = '', databaseAddress = ''] = [backend.addresses[0], database.addresses[0]];
  using concerned = new Conversation(lab.pod('shop/frontend-1').netns, backendAddress, 9000);
  using other = new Conversation(backend.netns, databaseAddress, 5432);

  report.editing();
  const connected = await concerned.ask(PATIENCE);
  report.step(
    connected,
    'frontend asks backend on an open connection: it answers',
    'frontend gets no answer from backend',
  );
  const talk = keepTalking(other);

  const inForce = await apply(lab, allowOnly('checkout', policy));
  report.edit('app: frontend', 'app: checkout', inForce);
  const silent = !(await concerned.ask(SILENCE));
  report.step(
    silent,
    'frontend asks again on the same connection: no answer, it is cut',
    'the connection still answers',
  );

  report.edit('app: checkout', 'app: frontend', await apply(lab, policy));
  const alive = await concerned.ask(PATIENCE);
  report.step(alive, 'the same connection goes on: the question that was held up is answered', 'it stays cut');

  const { asked, answered } = await talk.end();
  const whole = asked === answered;
  report.step(
    whole,
    `meanwhile backend and database: ${asked} questions, ${answered} answers`,
    `only ${answered} of ${asked} answered`,
  );
  return connected && silent && alive && whole;
}

/** Returns the policy with ingress only from pods with this `app` label. */
function allowOnly(app: string, policy: PolicyRecord): PolicyRecord {
  const peers = [{ podSelector: { matchLabels: { app }, matchExpressions: [] } }];
  return { ...policy, ingress: policy.ingress.map((rule) => ({ ...rule, peers })) };
}

/** Applies the policy. Resolves when it is in force, with the ms that it took. */
async function apply(lab: Lab, policy: PolicyRecord): Promise<number> {
  const start = performance.now();
  await lab.apply([{ type: 'set', record: policy }]);
  return performance.now() - start;
}

/** Asks question after question, until `end`. */
function keepTalking(conversation: Conversation): { end(): Promise<{ asked: number; answered: number }> } {
  let going = true;
  let asked = 0;
  const talking = (async () => {
    while (going) {
      asked++;
      if (!(await conversation.ask(PATIENCE))) return;
      await sleep(BETWEEN_QUESTIONS);
    }
  })();
  const end = async () => {
    going = false;
    await talking;
    return { asked, answered: conversation.answered };
  };
  return { end };
}

function verdict(report: DemoReport, results: readonly ProbeResult[], asPromised: boolean): number {
  const right = results.filter(({ expected, observed }) => expected === observed).length;
  report.verdict(right, results.length, asPromised);
  return right === results.length && asPromised ? ExitCode.ok : ExitCode.differs;
}
