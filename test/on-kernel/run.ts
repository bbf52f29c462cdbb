/** `npm run test:kernel -- [FILE …]`: tests podfence on Debian's own kernel. See HELP. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { totalLine } from '../../setup/test.mjs';
import { PROJECT } from '../on-cluster/cluster.ts';
import { Running, run, say, stopRunning } from '../on-cluster/shell.ts';
import { CACHE, makeInitramfs, obstacle, type StockKernel, stockKernel } from './stock-kernel.ts';

const HELP = `usage: npm run test:kernel -- [FILE …]

Boots the kernel of Debian's package linux-image-amd64 in an emulated machine (QEMU), with this machine's files read-only under a
layer in memory, and runs the tests there that need nftables' queue. The machine has no network and leaves nothing behind.
FILE names tests by a part of their path; without one all run. The kernel is kept in .cache/test-kernel.
`;

/** In minutes: an emulated machine is slow, and one that takes this long hangs. */
const HANGS_AFTER = 40;

let interrupted = false;

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const COMPILED = join(CACHE, 'compiled');

/**
 * Loads what the tests load in the machine, to fill Node's compile cache: the machine would take
 * minutes to compile it. Tests that need the queue may fail here.
 */
async function compileAhead(): Promise<void> {
  const env = { ...process.env, NODE_COMPILE_CACHE: COMPILED };
  const vitest = [
    'node_modules/.bin/vitest',
    'run',
    '--config',
    'test/on-kernel/vitest.config.ts',
    'scenarios/nftables',
  ];
  const lab = ['src/cli.ts', 'lab', 'run', '--manifests', 'examples/three-tier'];
  for (const args of [vitest, lab]) await run([process.execPath, ...args], { cwd: PROJECT, env });
}

/** Boots the machine, passes its lines on, and returns the tests' counts. */
async function runInMachine(kernel: StockKernel, files: readonly string[]): Promise<Counts> {
  const temporary = mkdtempSync(join(tmpdir(), 'podfence-kernel-'));
  try {
    await compileAhead();
    const initramfs = await makeInitramfs(kernel, temporary, {
      checkout: PROJECT,
      node: dirname(process.execPath),
      compiled: COMPILED,
      modules: kernel.modules,
      tests: files.join(' '),
    });
    if (interrupted) throw new Error('interrupted');
    say(`booting Linux ${kernel.release}`);
    let counts: Counts = { passed: 0, failed: 0, skipped: 0 };
    let code: number | undefined;
    const machine = new Running(qemu(kernel.image, initramfs), {
      echo: (line) => {
        const [, word, rest = ''] = /podfence-(results|exit) (.*)$/.exec(line.trim()) ?? [];
        if (word === 'results') counts = JSON.parse(rest) as Counts;
        else if (word === 'exit') code = Number(rest);
        else console.log(line.trimEnd());
      },
    });
    await machine.exit(HANGS_AFTER * 60_000);
    if (code === undefined) console.log('the machine powered off before the tests had ended');
    const unexplained = counts.failed === 0 && (code !== 0 || counts.passed === 0);
    return unexplained ? { ...counts, failed: 1 } : counts;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/**
 * Without KVM, which not every machine has, so that runs are the same everywhere. With one
 * processor, because QEMU's emulation of several is less reliable.
 */
function qemu(image: string, initramfs: string): string[] {
  return [
    ...['qemu-system-x86_64', '-accel', 'tcg', '-cpu', 'Nehalem', '-smp', '1', '-m', '3072'],
    ...['-nographic', '-nodefaults', '-no-reboot', '-serial', 'stdio', '-nic', 'none'],
    ...['-kernel', image, '-initrd', initramfs, '-append', 'console=ttyS0 quiet panic=-1'],
    ...['-virtfs', 'local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap'],
  ];
}

function skipped(why: string): number {
  console.log(`Skipped:\n  test:kernel (${why})`);
  console.log(totalLine({ passed: 0, failed: 0, skipped: 1 }));
  return 0;
}

async function main(args: readonly string[]): Promise<number> {
  const flag = args.find((each) => each.startsWith('-'));
  if (flag !== undefined) {
    (flag === '--help' || flag === '-h' ? process.stdout : process.stderr).write(HELP);
    return flag === '--help' || flag === '-h' ? 0 : 2;
  }
  const why = obstacle();
  if (why !== undefined) return skipped(why);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      interrupted = true;
      void stopRunning('SIGKILL');
    });
  }
  let kernel: StockKernel;
  try {
    kernel = await stockKernel();
  } catch (error) {
    return skipped(`the kernel is not available: ${error instanceof Error ? error.message : error}`);
  }
  const counts = await runInMachine(kernel, args);
  say(`the run took ${(performance.now() / 1000).toFixed(0)} s`);
  console.log(totalLine(counts));
  return counts.failed > 0 ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2));
