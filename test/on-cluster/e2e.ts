/** Upstream's NetworkPolicy tests against podfence. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Cluster } from './cluster.ts';
import { install } from './installation.ts';
import type { Results } from './results.ts';
import { Running, say } from './shell.ts';
import { artifactFolder, type ClusterTarget } from './target.ts';

/** Part of the name of each test. */
const SUITE = 'Netpol';
/** In ms; the 47 tests take 40 minutes on two cores. */
const LIMIT = 100 * 60_000;

/**
 * Installs podfence and runs all tests except those that need SCTP sockets, which the cluster's
 * script excludes.
 */
export async function runUpstreamTests(target: ClusterTarget): Promise<{ results: Results | undefined; code: number }> {
  const { scripts } = target;
  if (scripts === undefined) throw new Error("upstream's tests run on a cluster of this machine only");
  await install(new Cluster(target));
  const folder = artifactFolder(target, 'e2e');
  say("upstream's NetworkPolicy tests, 40 minutes");
  const tests = new Running([join(scripts, 'e2e'), SUITE, '', folder], {
    echo: /^(•|\[It\]|\[FAIL\]|Ran \d|Running in)/,
  });
  const code = (await tests.exit(LIMIT)) ?? 1;
  const report = readdirSync(folder).find((file) => file.startsWith('junit') && file.endsWith('.xml'));
  return { results: report === undefined ? undefined : readJunit(readFileSync(join(folder, report), 'utf8')), code };
}

/**
 * Returns all NetworkPolicy cases of a JUnit report, including skipped ones. Ginkgo also lists
 * every other case of the binary.
 */
function readJunit(xml: string): Results {
  const cases = [...xml.matchAll(/<testcase ([^>]*?)(\/>|>)/g)]
    .map(([, text = '']) => ({
      name: withoutEntities(/name="([^"]*)"/.exec(text)?.[1] ?? ''),
      outcome: /status="([^"]*)"/.exec(text)?.[1] ?? '',
      seconds: Math.round(Number(/time="([^"]*)"/.exec(text)?.[1] ?? 0)),
    }))
    .filter(({ name }) => name.startsWith('[It]') && name.includes(SUITE));
  const those = (outcome: string) => cases.filter((each) => each.outcome === outcome).length;
  const [passed, skipped] = [those('passed'), those('skipped')];
  return { passed, failed: cases.length - passed - skipped, skipped, cases };
}

function withoutEntities(text: string): string {
  const entities: Readonly<Record<string, string>> = { quot: '"', amp: '&', lt: '<', gt: '>', apos: "'" };
  return text
    .replaceAll(/&(\w+);/g, (whole, name: string) => entities[name] ?? whole)
    .replaceAll('&#34;', '"')
    .replaceAll('&#39;', "'");
}
