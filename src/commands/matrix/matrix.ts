/** `podfence matrix`: who can reach whom. */

import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { escapedJson } from '../../cluster/printable.ts';
import type { ClusterSnapshot } from '../../cluster/store.ts';
import { dependsOnAssigned } from '../../explain/assigned-addresses.ts';
import { Explainer } from '../../explain/explain.ts';
import { showsColour } from '../../lab/paint.ts';
import { formatProblem } from '../../manifests/problems.ts';
import { AssertionChecker } from '../../matrix/assertion-check.ts';
import { matrixJson } from '../../matrix/json.ts';
import { renderPage } from '../../matrix/page/page.ts';
import { Reachability } from '../../matrix/reachability.ts';
import {
  type ClusterInput,
  type ClusterInputFlags,
  collect,
  loadForQuestions,
  readClusterInput,
  tellRefused,
  withClusterInput,
} from '../shared/cluster-input.ts';
import { ExitCode, InputError } from '../shared/exit-code.ts';
import { parseExternal } from '../shared/external-host.ts';
import { tell } from '../shared/tell.ts';
import { assertionsReport, checkAssertions, readAssertions } from './assertions.ts';
import { changesReport, tableReport } from './report.ts';

/** Characters per line without a terminal. */
const PLAIN_WIDTH = 160;

const HELP = `
Rows send, columns receive: pods by their container ports and the ports that Services send to, and
"other" if a sender reaches all other ports too. Replicas that no policy tells apart share a row.
Outside the cluster are "outside" for every address that no policy names, a row for each ipBlock,
and --external.

--html writes one page that needs nothing else: filter by port, fold namespaces, click a cell for
the explanation.

--diff compares with other manifests: their policies, and their labels of the pods and namespaces
that still exist. Folders of policies alone will do. Every port of TCP, UDP and SCTP counts. Ports
that no pod declares are shown where something changed, a range by its first port.

--fail-on takes a file with one assertion per line, or one assertion; repeatable:
  # no pod of the default namespace reaches the database
  deny  default/* -> prod/db:5432
  allow shop/frontend-* -> shop/backend:9000/tcp
  outside -> prod/*                        # without a word before it: deny; without a port: every port
  10.0.0.0/8 -> monitoring/*:9000-9100
An end is NAMESPACE/NAME of pods, of a workload or, on the right, of a Service, with * and ?; or an
address or CIDR block, which stands for addresses that no pod has; or "outside". [fd00::1]:443 has a
port, fd00::1 has none. A port of a Service stands for the pods' port behind it. If pods have the
same name as the Service, a deny covers their own port of that number too. Pods in the network of
their node are not checked, and the report says so.

With --json, one document:
  {"ends":[{"kind":"pods","name":"shop/backend","namespace":"shop","pods":["shop/backend-1",…],
            "ports":[{"port":9000,"protocol":"TCP","name":"api","services":["shop/backend:80"]}]},
           {"kind":"addresses","name":"outside","addresses":["198.51.100.1"],"ports":[{"port":65535,"protocol":"TCP","other":true}]}],
   "cells":[{"from":"shop/frontend-1","to":"shop/backend","port":9000,"protocol":"TCP",
             "verdict":"allow|deny|mixed","egress":"allow|deny","ingress":"allow|deny","reason":"allowed-by-policy"}],
   "notes":["…"],
   "assertions":[{"place":"rules.txt:2","assertion":"deny default/* -> prod/db:5432","holds":false,"flows":6,
                  "violations":[{"from":"default/web-1","to":"prod/db-0","port":5432,"protocol":"TCP","verdict":…,"alike":3}]}]}
mixed: in one address family only. A port with "other" stands for all that no policy names. With
--diff, a cell has "before", its earlier verdict, and "change", opened or closed, if it changed.
"assertions" is there only with --fail-on; "alike" counts the flows of the same kind.

Exit code: 0, 1 if an assertion does not hold, 2 if arguments, manifests or assertions have errors,
3 if the cluster cannot be read.

Examples:
  podfence matrix -m k8s/
  podfence matrix -m k8s/ --html matrix.html --diff ../main/k8s/
  podfence matrix -m k8s/ --fail-on reachability.txt`;

const MADE_UP =
  'Note: the manifests do not give the addresses of pods, so podfence made some up. Some ipBlocks match them and may decide otherwise in the cluster. --pod-range gives the address range of pods.';

interface Flags extends ClusterInputFlags {
  readonly external?: readonly string[];
  readonly json?: true;
  readonly html?: string;
  readonly diff?: readonly string[];
  readonly failOn?: readonly string[];
  readonly full?: true;
}

export function register(program: Command): void {
  withClusterInput(program.command('matrix').description('Show who can reach whom, and check assertions about it.'))
    .option('-e, --external <name=ip>', 'an address outside the cluster to ask about; repeatable', collect)
    .option('--html <file>', 'write an HTML page instead')
    .option('--diff <path>', 'show what changed since these manifests; repeatable', collect)
    .option('--fail-on <assertion>', 'an assertion, or a file of them, that must hold; repeatable', collect)
    .option('--full', 'show every pod, also of a large cluster, which is shown by namespace otherwise')
    .option('--json', 'one JSON document, and nothing else, on standard output')
    .addHelpText('after', HELP)
    .action(async (flags: Flags) => {
      process.exitCode = await matrix(flags);
    });
}

/** @returns the exit code. */
async function matrix(flags: Flags): Promise<number> {
  const externals = (flags.external ?? []).map(parseExternal);
  const assertions = readAssertions(flags.failOn ?? []);
  const input = await readClusterInput(flags);
  const before = flags.diff && (await readBefore(flags.diff, flags));
  const { snapshot, services } = input;
  if (snapshot.pods.length === 0) throw new InputError('there are no pods, so there is nothing to show');
  const results = checkAssertions(assertions, new AssertionChecker(snapshot, services));
  const options = { services, externals, ...(before && { before: before.snapshot }) };
  const reachability = new Reachability(snapshot, options);
  const refusedBefore = reachability.before ? tellRefused(reachability.before, `${flags.diff?.join(', ')}: `) : 0;
  const explainer = new Explainer(input);
  if (dependsOnAssigned(snapshot, input.assigned)) tell(`${MADE_UP}\n`);
  if (flags.html !== undefined) await writePage(flags, input, reachability, explainer);
  if (flags.json) {
    await printJson(matrixJson(reachability, assertions.length > 0 ? results : undefined));
  } else {
    const isAsked = flags.full || (flags.html === undefined && assertions.length === 0);
    printReports(reachability, { isAsked, full: flags.full === true });
    if (assertions.length > 0) process.stdout.write(assertionsReport(results, explainer, showsColour(process.stdout)));
  }
  if (results.some(({ violations }) => violations.length > 0)) return ExitCode.differs;
  return input.hasErrors || before?.hasErrors || refusedBefore > 0 ? ExitCode.badInput : ExitCode.ok;
}

/**
 * Writes piece by piece, no faster than the reader reads: a large cluster makes a large document.
 */
async function printJson(pieces: Iterable<string>): Promise<void> {
  for (const piece of pieces) if (!process.stdout.write(escapedJson(piece))) await once(process.stdout, 'drain');
}

/** Prints the table if it is asked for, and the changes if manifests are compared. */
function printReports(reachability: Reachability, { isAsked, full }: { isAsked: boolean; full: boolean }): void {
  const { stdout } = process;
  const colour = showsColour(stdout);
  const reports = [
    ...(isAsked ? [tableReport(reachability, { width: stdout.columns ?? PLAIN_WIDTH, colour, full })] : []),
    ...(reachability.before !== undefined ? [changesReport(reachability, colour)] : []),
  ];
  stdout.write(reports.join('\n'));
}

async function writePage(
  { html = '', diff = [] }: Flags,
  { title, assigned }: ClusterInput,
  reachability: Reachability,
  explainer: Explainer,
): Promise<void> {
  const { before } = reachability;
  const explainerBefore = before && new Explainer({ snapshot: before, assigned });
  const page = await renderPage(reachability, {
    title: before === undefined ? title : `${title}, compared with ${diff.join(', ')}`,
    explain: (...flow) => explainer.explain(...flow),
    ...(explainerBefore && { explainBefore: (...flow) => explainerBefore.explain(...flow) }),
  });
  try {
    writeFileSync(html, page);
  } catch (error) {
    throw new InputError(`--html ${html}: ${(error as Error).message}`);
  }
  tell(`${html}: ${Math.ceil(page.length / 1024)} kB. Open it in a browser.\n`);
}

interface Before {
  readonly snapshot: ClusterSnapshot;
  readonly hasErrors: boolean;
}

async function readBefore(paths: readonly string[], flags: Flags): Promise<Before> {
  const loaded = await loadForQuestions(paths, flags);
  for (const problem of loaded.problems) tell(`${formatProblem(problem)}\n`);
  // A namespace without a manifest there keeps its present labels: only its name is known.
  const namespaces = loaded.snapshot.namespaces.filter(({ name }) => loaded.sources.has(`Namespace ${name}`));
  const hasErrors = loaded.problems.some(({ severity }) => severity === 'error');
  return { snapshot: { ...loaded.snapshot, namespaces }, hasErrors };
}
