/** Saves the results of a long run, with every case, as a file of the project. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { Cluster, PROJECT } from './cluster.ts';
import { output, say } from './shell.ts';
import type { ClusterTarget } from './target.ts';

export interface Results {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly cases: readonly { readonly name: string; readonly outcome: string; readonly seconds: number }[];
}

/** Writes test/on-cluster/results/NAME.json. */
export async function keepResults(name: string, target: ClusterTarget, results: Results): Promise<void> {
  const folder = join(PROJECT, 'test', 'on-cluster', 'results');
  mkdirSync(folder, { recursive: true });
  const git = async (...args: string[]) => (await output(['git', '-C', PROJECT, ...args], { quiet: true })).trim();
  const changed = (await git('status', '--porcelain', '--', '.', ':!test/on-cluster/results')) !== '';
  const [node] = await new Cluster(target).list('nodes');
  const { nodeInfo } = (node?.status ?? {}) as { nodeInfo?: Readonly<Record<string, string>> };
  const kept = {
    commit: `${await git('rev-parse', 'HEAD')}${changed ? ' and changes that are not committed' : ''}`,
    date: new Date().toISOString().slice(0, 10),
    kubernetes: nodeInfo?.kubeletVersion,
    runtime: nodeInfo?.containerRuntimeVersion,
    kernel: release(),
    ...results,
  };
  const file = join(folder, `${name}.json`);
  writeFileSync(file, `${JSON.stringify(kept, null, 2)}\n`);
  say(`kept: ${file}`);
}
