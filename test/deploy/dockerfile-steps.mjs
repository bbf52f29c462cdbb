/**
 * Executes the steps of the Dockerfile without a container engine and examines the result. It needs
 * root, Debian or Ubuntu, and the network:
 *
 *     node test/deploy/dockerfile-steps.mjs           this machine's architecture: 2 minutes,
 *                                                     4 the first time
 *     node test/deploy/dockerfile-steps.mjs --root F  the same without the examination; leaves the
 *                                                     finished root in the folder F
 *     node test/deploy/dockerfile-steps.mjs arm64     another architecture, without the last stage,
 *                                                     which would execute its programs
 *
 * debootstrap makes the root that stands for debian:bookworm-slim. With a Node 24 and this
 * machine's npm in it, the root stands for node:24-bookworm-slim. It stays in
 * .cache/dockerfile-steps; everything else is removed afterwards. Each stage is an overlay on its
 * image, and its RUN steps run in a chroot of it. The examination of the finished root shows its
 * size, and checks that there is no compiler, no npm and no development package, that Node and
 * koffi find every library, the versions of the tools, that the agent starts under the security
 * context of the DaemonSet, and a lab of examples/three-tier with real packets.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { parseDockerfile, substitute } from './dockerfile.ts';

/** @typedef {import('./dockerfile.ts').Stage} Stage */
/** @typedef {import('./dockerfile.ts').Instruction} Instruction */
/**
 * @typedef {{ root: string, layer: string }} BuiltStage root: the finished file system; layer: only
 * what the stage added
 */

const PROJECT = resolve(import.meta.dirname, '..', '..');
const CACHE = join(PROJECT, '.cache', 'dockerfile-steps');
const WORK = join(CACHE, 'work');
const DEBIAN = join(CACHE, 'debian');
/** debootstrap's own default if none is given. */
const MIRROR = process.env.DEBIAN_MIRROR === undefined ? [] : [process.env.DEBIAN_MIRROR];
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const HERE = process.arch === 'arm64' ? 'arm64' : 'amd64';
const { values: FLAGS, positionals: POSITIONALS } = parseArgs({
  allowPositionals: true,
  options: { root: { type: 'string' } },
});
const TARGET = POSITIONALS[0] ?? HERE;

/** @param {string} line */
const say = (line) => console.log(line);

/**
 * Runs a command and shows its output.
 * @param {string} command
 * @param {readonly string[]} args
 */
function run(command, args) {
  const { status, error } = spawnSync(command, args, { stdio: 'inherit' });
  if (status !== 0) throw error ?? new Error(`${command} ${args.join(' ')}: exit code ${status}`);
}

/**
 * Returns a shell's output, including standard error.
 * @param {string} root
 * @param {string} script
 * @param {readonly string[]} [launcher] command before the shell
 * @param {NodeJS.ProcessEnv} [variables]
 */
function inside(root, script, launcher = [], variables = {}) {
  const [command = '', ...args] = [...launcher, 'chroot', root, '/bin/sh', '-c', `exec 2>&1\n${script}`];
  const { status, stdout, error } = spawnSync(command, args, {
    encoding: 'utf8',
    env: { PATH, HOME: '/root', ...variables },
  });
  if (error) throw error;
  return { status, output: stdout.trimEnd() };
}

/**
 * Certificates that this machine trusts (often a company proxy's), for the stages on the Node
 * image. The finished image has none of them.
 */
const TRUSTED = { machine: '/etc/ssl/certs/ca-certificates.crt', inside: '/usr/local/share/machine-certificates.crt' };

/**
 * Returns the images that the Dockerfile builds on, as lists of folders for an overlay, the top
 * first.
 */
function images() {
  if (!existsSync(DEBIAN)) {
    rmSync(`${DEBIAN}.new`, { recursive: true, force: true });
    run('debootstrap', ['--variant=minbase', 'bookworm', `${DEBIAN}.new`, ...MIRROR]);
    // The slim image has no documentation either.
    rmSync(`${DEBIAN}.new/var/cache/apt/archives`, { recursive: true });
    renameSync(`${DEBIAN}.new`, DEBIAN);
  }
  const node = join(WORK, 'node');
  const bin = join(node, 'usr', 'local', 'bin');
  mkdirSync(bin, { recursive: true });
  cpSync(process.execPath, join(bin, 'node'));
  // node-gyp compiles against them. The official image has them in the same place.
  cpSync(resolve(dirname(process.execPath), '..', 'include'), join(node, 'usr', 'local', 'include'), {
    recursive: true,
  });
  const npm = spawnSync('sh', ['-c', 'realpath "$(command -v npm)"'], { encoding: 'utf8' }).stdout.trim();
  const packages = join(node, 'usr', 'local', 'lib', 'node_modules');
  cpSync(resolve(dirname(npm), '..'), join(packages, 'npm'), { recursive: true });
  mkdirSync(join(node, dirname(TRUSTED.inside)), { recursive: true });
  cpSync(TRUSTED.machine, join(node, TRUSTED.inside));
  symlinkSync('../lib/node_modules/npm/bin/npm-cli.js', join(bin, 'npm'));
  return new Map([
    ['debian:bookworm-slim', [DEBIAN]],
    ['node:24-bookworm-slim', [node, DEBIAN]],
  ]);
}

/**
 * Mounts an overlay on `lower`, with what a chroot needs.
 * @param {string} name
 * @param {readonly string[]} lower the top first
 * @returns {BuiltStage}
 */
function mountRoot(name, lower) {
  const folder = (/** @type {string} */ part) => {
    const path = join(WORK, name, part);
    mkdirSync(path, { recursive: true });
    return path;
  };
  const [root, layer, scratch] = [folder('root'), folder('layer'), folder('scratch')];
  const options = `lowerdir=${lower.join(':')},upperdir=${layer},workdir=${scratch}`;
  run('mount', ['-t', 'overlay', 'overlay', '-o', options, root]);
  run('mount', ['-t', 'proc', 'proc', join(root, 'proc')]);
  run('mount', ['--rbind', '/dev', join(root, 'dev')]);
  return { root, layer };
}

/**
 * @param {Stage} stage
 * @param {BuiltStage} built
 * @param {ReadonlyMap<string, BuiltStage>} earlier
 */
function carryOut(stage, built, earlier) {
  const values = new Map([
    ['TARGETARCH', TARGET],
    ['BUILDPLATFORM', `linux/${HERE}`],
  ]);
  /** The environment of RUN: arguments only if the stage declares them. */
  const env = new Map([
    ['PATH', PATH],
    ['HOME', '/root'],
    ['NODE_EXTRA_CA_CERTS', TRUSTED.inside],
  ]);
  let directory = '/';
  for (const step of stage.instructions) {
    if (step.kind === 'ARG') {
      const value = values.get(step.name) ?? step.value ?? '';
      values.set(step.name, value);
      env.set(step.name, value);
    } else if (step.kind === 'ENV') {
      env.set(step.name, substitute(step.value, values));
    } else if (step.kind === 'WORKDIR') {
      directory = resolve(directory, step.path);
      mkdirSync(join(built.root, directory), { recursive: true });
    } else if (step.kind === 'COPY') {
      copy(step, built.root, directory, step.from === undefined ? undefined : earlier.get(step.from));
    } else if (step.kind === 'RUN') {
      say(`[${stage.name}] RUN ${step.script.replaceAll(/\s+/g, ' ').slice(0, 110)}`);
      const variables = Array.from(env, ([name, value]) => `${name}=${value}`);
      const script = `cd "$0" && { ${step.script}\n}`;
      run('env', ['-i', ...variables, 'chroot', built.root, '/bin/sh', '-c', script, directory]);
    }
  }
}

/**
 * @param {Extract<Instruction, { kind: 'COPY' }>} step
 * @param {string} root
 * @param {string} directory
 * @param {BuiltStage | undefined} from undefined: the checkout
 */
function copy({ from: name, sources, to }, root, directory, from) {
  if (name !== undefined && from === undefined) throw new Error(`COPY --from=${name}: there is no such stage before`);
  const target = join(root, resolve(directory, to));
  for (const source of sources) {
    const path = from === undefined ? fromCheckout(source) : join(from.root, source);
    const isFolder = statSync(path).isDirectory();
    const into = !isFolder && (to.endsWith('/') || sources.length > 1) ? join(target, basename(source)) : target;
    mkdirSync(dirname(into), { recursive: true });
    cpSync(path, into, { recursive: true, verbatimSymlinks: true });
  }
}

/** @param {string} source */
function fromCheckout(source) {
  const allowed = readFileSync(join(PROJECT, '.dockerignore'), 'utf8').split('\n');
  if (!allowed.includes(`!${source}`)) throw new Error(`.dockerignore keeps ${source} from the build`);
  return join(PROJECT, source);
}

/** @param {string} path */
function megabytes(path) {
  const { stdout } = spawnSync('du', ['-xsk', '--apparent-size', path], { encoding: 'utf8' });
  return `${Math.round(Number.parseInt(stdout, 10) / 1000)} MB`;
}

/**
 * Checks the image and shows the output of each check. A failed check sets the exit code.
 * @param {BuiltStage} image
 */
function examine({ root, layer }) {
  say(`\nsize: ${megabytes(layer)} on top of debian:bookworm-slim, of these`);
  for (const part of ['usr/local/bin/node', 'opt/podfence/node_modules', 'opt/podfence/dist', 'usr/lib', 'usr/sbin'])
    say(`  ${megabytes(join(layer, part)).padStart(7)}  /${part}`);

  /**
   * @param {string} what
   * @param {Parameters<typeof inside> extends [any, ...infer Rest] ? Rest : never} how
   */
  const check = (what, ...how) => {
    const { status, output } = inside(root, ...how);
    say(`\n${status === 0 ? '✓' : '✗'} ${what}\n${output.replaceAll(/^/gm, '    ')}`);
    if (status !== 0) process.exitCode = 1;
  };
  check('its version', 'podfence --version');
  check('the tools', 'node --version; nft --version; iptables --version; ip6tables --version; ipset --version');
  check('no compiler, no npm', 'for c in cc gcc g++ make python3 npm npx yarn; do ! command -v $c || exit 1; done');
  check(
    'no development packages',
    `cd /opt/podfence/node_modules; for p in typescript vitest @types @biomejs; do ! test -e $p || exit 1; done`,
  );
  const libraries =
    'ldd /usr/local/bin/node $(find /opt/podfence/node_modules -name "*.node") /usr/lib/*/libpcap.so.0.8';
  check('every library is there', `${libraries} > /tmp/ldd; ! grep 'not found' /tmp/ldd; rm /tmp/ldd`);
  check(
    'native code of this platform only: koffi and cap',
    'find /opt -name "*.node"; [ $(find /opt -name "*.node" | wc -l) = 2 ]',
  );
  check('the agent enforces with no more than the DaemonSet gives it', ...confined(root), { SCRIPT: AGENT });
  check('and audits', ...confined(root), { SCRIPT: AGENT, PODFENCE_MODE: 'audit' });
}

/** Starts, reports ready, stops and is cleaned up. Then the kernel has nothing left of it. */
const AGENT = `
  grep -E 'Cap(Eff|Bnd)|NoNewPrivs' /proc/self/status
  touch /x && exit 1
  podfence agent --manifests /opt/podfence/examples/three-tier --metrics-address 127.0.0.1:9464 & agent=$!
  node -e "
    const ready = () => fetch('http://127.0.0.1:9464/readyz').then((answer) => answer.ok, () => false);
    for (let i = 0; i < 100 && !(await ready()); i++) await new Promise((resolve) => setTimeout(resolve, 100));
    const text = await (await fetch('http://127.0.0.1:9464/readyz')).text();
    console.log(text);
    const audits = text.includes('nothing enforced');
    process.exitCode = (await ready()) && audits === (process.env.PODFENCE_MODE === 'audit') ? 0 : 1;
  " --input-type=module
  ready=$?
  kill $agent && wait $agent && podfence cleanup && exit $ready`;

/**
 * The DaemonSet's security context: its capabilities, no new privileges, a read-only root. Also a
 * network of its own, so that it does not steer the machine's packets.
 * @param {string} root
 * @returns {readonly [script: string, launcher: readonly string[]]} the script carries out $SCRIPT
 */
function confined(root) {
  const daemonSet = parse(readFileSync(join(PROJECT, 'daemonset', 'base', 'daemonset.yaml'), 'utf8'));
  const added =
    JSON.stringify(daemonSet)
      .match(/"capabilities":.*?"add":\[(.*?)\]/)?.[1]
      ?.toLowerCase() ?? '';
  const capabilities = `-all,${added.replaceAll('"', '').replaceAll(/^|(?<=,)/g, '+')}`;
  const script = `exec setpriv --no-new-privs --bounding-set ${capabilities} --inh-caps ${capabilities} sh -c "$SCRIPT"`;
  return [
    script,
    ['unshare', '--net', '--mount', 'sh', '-c', `mount -o remount,ro ${root} && ip link set lo up && exec "$@"`, 'sh'],
  ];
}

/**
 * Runs the lab, which needs two more commands than the agent.
 * @param {BuiltStage} image
 */
function lab(image) {
  const { root } = mountRoot('lab', [image.layer, DEBIAN]);
  say('\n[lab] apt-get install iproute2 iputils-ping (the lab needs them, the agent does not)');
  cpSync('/etc/resolv.conf', join(root, 'etc/resolv.conf'), { dereference: true });
  const install = 'apt-get update -q && apt-get install -y -q --no-install-recommends iproute2 iputils-ping';
  const installed = inside(root, install);
  if (installed.status !== 0) throw new Error(installed.output);
  const { status, output } = inside(root, 'podfence lab run --manifests /opt/podfence/examples/three-tier');
  say(output.replaceAll(/^/gm, '    '));
  say(`${status === 0 ? '✓' : '✗'} podfence lab run: exit code ${status}`);
  if (status !== 0) process.exitCode = 1;
}

function main() {
  rmSync(WORK, { recursive: true, force: true });
  mkdirSync(WORK, { recursive: true });
  const bases = images();
  const stages = parseDockerfile(readFileSync(join(PROJECT, 'Dockerfile'), 'utf8'));
  /** @type {Map<string, BuiltStage>} */
  const built = new Map();
  for (const stage of stages) {
    const last = stage === stages.at(-1);
    if (last && TARGET !== HERE) {
      const packages = built.get('packages')?.root;
      run('sh', ['-c', `find ${packages}/build/node_modules -name '*.node' -exec od -An -tx1 -j18 -N2 {} \\; -print`]);
      say(`the last stage would execute programs of ${TARGET}: not here`);
      return;
    }
    const base = bases.get(stage.image);
    if (base === undefined) throw new Error(`nothing stands for the image ${stage.image}`);
    const root = mountRoot(stage.name, base);
    if (stage.instructions.some((step) => step.kind === 'RUN'))
      run('mount', ['--bind', '/etc/resolv.conf', resolvConf(root.root)]);
    carryOut(stage, root, built);
    built.set(stage.name, root);
    if (!last) continue;
    run('umount', [join(root.root, 'etc/resolv.conf')]);
    if (FLAGS.root !== undefined) {
      keep(root, FLAGS.root);
      continue;
    }
    examine(root);
    lab(root);
  }
}

/**
 * Copies a finished root without its mounts.
 * @param {BuiltStage} built
 * @param {string} folder
 */
function keep({ root }, folder) {
  mkdirSync(folder, { recursive: true });
  run('cp', ['-a', '--one-file-system', `${root}/.`, folder]);
}

/**
 * Returns a path on which to mount the machine's resolv.conf, as an engine does.
 * @param {string} root
 */
function resolvConf(root) {
  const path = join(root, 'etc', 'resolv.conf');
  rmSync(path, { force: true });
  spawnSync('touch', [path]);
  return path;
}

// A mount namespace of our own: the mounts end with it, however this process ends.
if (process.env.PODFENCE_STEPS_UNSHARED === undefined) {
  const args = ['--mount', '--propagation', 'private', process.execPath, ...process.argv.slice(1)];
  const env = { ...process.env, PODFENCE_STEPS_UNSHARED: '1' };
  const { status } = spawnSync('unshare', args, { stdio: 'inherit', env });
  rmSync(WORK, { recursive: true, force: true });
  process.exitCode = status ?? 1;
} else {
  main();
}
