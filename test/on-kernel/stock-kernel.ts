/** Debian's own kernel, unpacked in the checkout's cache, and the initramfs that it boots from. */
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { inPath, PROJECT } from '../on-cluster/cluster.ts';
import { output } from '../on-cluster/shell.ts';

/** Kept from run to run. */
export const CACHE = join(PROJECT, '.cache', 'test-kernel');
const META_PACKAGE = 'linux-image-amd64';
/** The modules that the machine needs to reach the host's files; it loads all others from there. */
const EARLY_MODULES = ['virtio_pci', '9pnet_virtio', '9p', 'overlay'];

export interface StockKernel {
  /** For example `6.1.0-57-amd64`. */
  readonly release: string;
  readonly image: string;
  /** A folder like /lib/modules. */
  readonly modules: string;
}

/** Returns why this machine cannot run it; undefined if it can. */
export function obstacle(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'it needs Linux on x86-64';
  const missing = ['qemu-system-x86_64', 'busybox', 'modprobe', 'depmod', 'apt-get', 'dpkg-deb'].filter(
    (command) => inPath(command) === undefined,
  );
  return missing.length === 0 ? undefined : `missing: ${missing.join(', ')}`;
}

/**
 * Fetches the kernel that Debian's package names today, unless it is there. Throws CommandError if
 * apt has none.
 */
export async function stockKernel(): Promise<StockKernel> {
  const depends = await output(['apt-cache', 'depends', META_PACKAGE], { quiet: true });
  const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (name === undefined) throw new Error(`${META_PACKAGE} names no kernel:\n${depends}`);
  const folder = join(CACHE, name);
  if (!existsSync(folder)) {
    const fetched = `${folder}.new`;
    rmSync(fetched, { recursive: true, force: true });
    mkdirSync(fetched, { recursive: true });
    await output(['apt-get', 'download', name], { cwd: fetched, timeout: 600_000 });
    const [file = ''] = readdirSync(fetched).filter((each) => each.endsWith('.deb'));
    await output(['dpkg-deb', '-x', join(fetched, file), fetched]);
    rmSync(join(fetched, file));
    await output(['depmod', '-b', fetched, releaseIn(fetched)]);
    renameSync(fetched, folder);
  }
  const release = releaseIn(folder);
  return { release, image: join(folder, 'boot', `vmlinuz-${release}`), modules: join(folder, 'lib', 'modules') };
}

function releaseIn(folder: string): string {
  const [release] = readdirSync(join(folder, 'lib', 'modules'));
  if (release === undefined) throw new Error(`${folder} has no modules`);
  return release;
}

/**
 * Makes the initramfs: busybox, the modules that reach the host's files, init.sh, guest.sh and the
 * job.
 * @param folder an empty folder for the file and its parts
 * @param job shell variables for guest.sh
 */
export async function makeInitramfs(
  { release, modules }: StockKernel,
  folder: string,
  job: Readonly<Record<string, string>>,
): Promise<string> {
  const root = join(folder, 'root');
  for (const each of ['bin', 'modules']) mkdirSync(join(root, each), { recursive: true });
  cpSync(inPath('busybox') ?? 'busybox', join(root, 'bin', 'busybox'), { dereference: true });
  cpSync(join(import.meta.dirname, 'init.sh'), join(root, 'init'));
  cpSync(join(import.meta.dirname, 'guest.sh'), join(root, 'guest.sh'));
  for (const [place, file] of (await modulesInOrder(release, modules)).entries())
    cpSync(file, join(root, 'modules', `${String(place).padStart(2, '0')}-${basename(file)}`));
  const lines = Object.entries(job).map(([name, value]) => `${name}='${value.replaceAll("'", "'\\''")}'\n`);
  const archive = join(folder, 'initramfs');
  await output(['sh', '-c', 'cat > job.sh && chmod 755 init && find . | busybox cpio -o -H newc > ../initramfs'], {
    cwd: root,
    input: lines.join(''),
    quiet: true,
  });
  return archive;
}

async function modulesInOrder(release: string, modules: string): Promise<readonly string[]> {
  const files = new Set<string>();
  for (const name of EARLY_MODULES) {
    const base = join(modules, '..', '..');
    const lines = await output(['modprobe', '-d', base, '-S', release, '--show-depends', name], { quiet: true });
    for (const [, file = ''] of lines.matchAll(/^insmod (\S+)/gm)) files.add(file);
  }
  return [...files];
}
