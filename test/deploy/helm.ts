/** Helm, if it is installed: on the PATH, or packed beside the checkout, with the test cluster. */
import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PROJECT } from './folders.ts';

const PACKED = join(PROJECT, '..', 'shared', 'cluster', 'bin', 'helm.xz');

export interface HelmOutcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class Helm implements Disposable {
  readonly #binary: string;
  /** Where the binary is unpacked, and where Helm keeps its files. */
  readonly #folder: string;

  /** Whether Helm is installed. */
  static readonly isThere = isOnPath() || existsSync(PACKED);

  constructor() {
    this.#folder = mkdtempSync(join(tmpdir(), 'podfence-helm-'));
    this.#binary = isOnPath() ? 'helm' : unpack(join(this.#folder, 'helm'));
  }

  run(...args: readonly string[]): HelmOutcome {
    const homes = { HELM_CACHE_HOME: this.#folder, HELM_CONFIG_HOME: this.#folder, HELM_DATA_HOME: this.#folder };
    // Helm must not contact the user's cluster.
    const env = { ...process.env, ...homes, KUBECONFIG: join(this.#folder, 'none') };
    const { status: code, stdout, stderr } = spawnSync(this.#binary, args, { encoding: 'utf8', env });
    return { code, stdout, stderr };
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true });
  }
}

function isOnPath(): boolean {
  return spawnSync('helm', ['version']).status === 0;
}

function unpack(to: string): string {
  const out = openSync(to, 'wx', 0o755);
  const { status, stderr } = spawnSync('xz', ['--decompress', '--stdout', PACKED], { stdio: ['ignore', out, 'pipe'] });
  closeSync(out);
  if (status !== 0) throw new Error(`${PACKED} cannot be unpacked: ${stderr}`);
  return to;
}
