/**
 * The loader of manifests. Mistakes in a text become problems with a place in the text and a
 * message without control characters; nothing is thrown. The same text gives the same cluster. What
 * is loaded compiles, and judges as the naive evaluator does. Fixes keep the lines in place.
 */
import type { PodRecord } from '../../../src/cluster/records.ts';
import { fixText } from '../../../src/manifests/fixes.ts';
import type { LoadedManifests } from '../../../src/manifests/load.ts';
import { formatProblem, type ManifestProblem } from '../../../src/manifests/problems.ts';
import { load } from '../../manifests/manifest-files.ts';
import { checkJudged, checkPod } from '../judged.ts';
import { objects } from '../kube-objects.ts';
import { mutate } from '../mutate.ts';
import { check, checkSame, type Target } from '../target.ts';
import { text } from '../yaml-text.ts';

/** Checks that read a text several times run for one text in this many. */
const SOME = 4;
const MOST_PODS = 20;

export const target: Target = {
  generate: (random) => {
    const bytes = Buffer.from(text(random, objects(random)));
    return random.oneIn(8) ? mutate(random, bytes) : bytes;
  },
  run: async (input) => {
    const loaded = await loadBytes(input);
    for (const problem of loaded.problems) checkProblem(problem, input);
    checkLoaded(loaded);
    if (input.length % SOME === 0) {
      checkSame(plain(await loadBytes(input)), plain(loaded), 'the same text is a different cluster');
    }
    if (input.length % SOME === 1) await checkFixes(loaded.problems, input);
    await checkAsYaml(loaded, input);
  },
};

function loadBytes(input: Uint8Array): Promise<LoadedManifests> {
  return load(input);
}

function plain({ snapshot, services, problems }: LoadedManifests): unknown {
  return JSON.parse(JSON.stringify({ snapshot, services, problems }));
}

function checkLoaded({ snapshot, services }: LoadedManifests): void {
  const { pods, policies, namespaces } = snapshot;
  for (const policy of policies) {
    check(policy.isolates.length > 0, 'a policy isolates no direction');
    const rules = policy.ingress.length + policy.egress.length;
    check(policy.error === undefined || rules === 0, 'a policy that fails closed has rules');
  }
  const keys = policies.map(({ namespace, name }) => `${namespace}/${name}`);
  check(new Set(keys).size === keys.length, 'two policies have the same name');
  for (const { namespace } of [...pods, ...policies, ...services]) {
    check(
      namespaces.some(({ name }) => name === namespace),
      `namespace ${namespace} is missing`,
    );
  }
  pods.forEach(checkPod);
  // As if all pods ran on this node.
  const here = pods.slice(0, MOST_PODS).map((pod): PodRecord => ({ ...pod, nodeName: 'here' }));
  checkJudged({ ...snapshot, pods: here });
}

function checkProblem(problem: ManifestProblem, input: Uint8Array): void {
  const { file, line, column, message } = problem;
  const lines = Buffer.from(input).toString().split('\n');
  check(file === '-' || file === '', `a problem of the file ${file}`);
  check(line >= 0 && line <= lines.length, `a problem in line ${line} of ${lines.length}: ${message}`);
  check(line === 0 || column >= 1, `a problem in column ${column}: ${message}`);
  check(message !== '', 'a problem without a message');
  for (const said of formatProblem(problem).split('\n    ')) {
    check(!/\p{Cc}/u.test(said), () => `a problem with control characters: ${JSON.stringify(said)}`);
  }
}

/**
 * Edits lie within the text. The fixed text has the same number of lines, and no more of it is
 * unreadable than before.
 */
async function checkFixes(problems: readonly ManifestProblem[], input: Uint8Array): Promise<void> {
  const written = new TextDecoder().decode(input);
  const edits = problems.flatMap(({ fix }) => fix?.edits ?? []);
  if (edits.length === 0) return;
  for (const { start, end } of edits) {
    check(start >= 0 && start <= end && end <= written.length, `an edit of ${start} to ${end} in ${written.length}`);
  }
  const { text } = await fixText(written);
  const lines = [text, written].map((each) => each.split('\n').length);
  check(lines[0] === lines[1], `${lines[1]} lines become ${lines[0]}`);
  const before = problems.filter(({ field }) => field === '').length;
  const after = (await load(text)).problems.filter(({ field }) => field === '').length;
  check(after <= before, 'fixes make more of it unreadable');
}

/** JSON is also YAML: if neither reading finds a problem, both are the same. */
async function checkAsYaml(loaded: LoadedManifests, input: Uint8Array): Promise<void> {
  if (input[0] !== 0x7b || loaded.problems.length > 0) return;
  const asYaml = await load(`# not JSON any more\n${Buffer.from(input).toString()}`);
  if (asYaml.problems.length > 0) return;
  checkSame(plain(asYaml), plain(loaded), 'as YAML it is a different cluster than as JSON');
}
