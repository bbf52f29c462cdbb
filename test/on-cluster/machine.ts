/**
 * Kills and starts parts of a cluster of this machine: what a node's operator, its power supply and
 * its kernel do.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Cluster } from './cluster.ts';
import { output, run } from './shell.ts';
import { until } from './until.ts';

/** Uses the scripts that brought the cluster up; other clusters have none. */
export class Machine {
  readonly #cluster: Cluster;
  readonly #scripts: string;
  readonly #state: string;
  #outsideHosts = 0;

  private constructor(cluster: Cluster, scripts: string, state: string) {
    this.#cluster = cluster;
    this.#scripts = scripts;
    this.#state = state;
  }

  static of(cluster: Cluster): Machine | undefined {
    const { scripts, state } = cluster.target;
    return scripts === undefined || state === undefined ? undefined : new Machine(cluster, scripts, state);
  }

  /** Kills the API server. Policies stay, and cannot be changed. */
  async stopApiServer(): Promise<void> {
    await this.#script('api', 'stop', '0');
    // A killed process releases its port only when it is gone.
    await until('the API server is gone', async () => (await this.#pids('kube-apiserver')).length === 0);
  }

  /** Starts the API server again, and resolves when it is ready. */
  async startApiServer(): Promise<void> {
    await this.#script('api', 'start');
    await until('the API server is ready', async () => {
      const { code } = await run(this.#cluster.kubectlCommand(['get', '--raw', '/readyz']), { quiet: true });
      return code === 0;
    });
  }

  /** Suspends the API server while `during` runs, then lets it continue. */
  async whileApiServerHangs(during: () => Promise<void>): Promise<void> {
    const pids = await this.#pids('kube-apiserver');
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    try {
      await during();
    } finally {
      for (const pid of pids) process.kill(pid, 'SIGCONT');
    }
  }

  /** Blocks all packets between a node and the API server while `during` runs. */
  async whileCutOff(node: string, during: () => Promise<void>): Promise<void> {
    const addresses = (await this.#cluster.get('node', node)).status.addresses as { type: string; address: string }[];
    const address = addresses.find(({ type }) => type === 'InternalIP')?.address ?? '';
    const rules = [
      `INPUT -s ${address} -p tcp --dport 6443 -j DROP`,
      `OUTPUT -d ${address} -p tcp --sport 6443 -j DROP`,
    ];
    const cut = async (verb: '-I' | '-D') => {
      for (const rule of rules) await this.#inControlPlane('iptables', verb, ...rule.split(' '));
    };
    await cut('-I');
    try {
      await during();
    } finally {
      await cut('-D');
    }
  }

  /**
   * Compacts all versions of objects but the newest: older watches are answered 410 from then on
   * (etcd's v3 gateway).
   */
  async compact(): Promise<void> {
    const post = (path: string, body: object) =>
      this.#inControlPlane('curl', '-sf', '-d', JSON.stringify(body), `http://127.0.0.1:2379/v3/kv/${path}`);
    const { header } = JSON.parse(await post('range', { key: Buffer.from('x').toString('base64') })) as {
      header: { revision: string };
    };
    await post('compaction', { revision: header.revision, physical: true });
  }

  /**
   * Kills a node's containerd or kubelet, and starts it again with the same command; the node's
   * pods keep running.
   */
  async restart(part: 'containerd' | 'kubelet', node: string): Promise<void> {
    const number = numberOf(node);
    const pidFile = join(this.#state, 'log', `${part}${number}.pid`);
    const pid = Number(readFileSync(pidFile, 'utf8'));
    const command = words(`/proc/${pid}/cmdline`);
    const path = words(`/proc/${pid}/environ`).find((each) => each.startsWith('PATH=')) ?? '';
    process.kill(pid, 'SIGKILL');
    await until(
      `${part} has ended`,
      () => !existsSync(`/proc/${pid}/cmdline`) || words(`/proc/${pid}/cmdline`).length === 0,
    );
    const log = join(this.#state, 'log', `${part}${number}.log`);
    const started = await this.#cluster.onNode(
      node,
      `${path} setsid nohup ${command.map((word) => `'${word}'`).join(' ')} >> ${log} 2>&1 < /dev/null & echo $!`,
    );
    writeFileSync(pidFile, started);
    // A kubelet that finds its runtime not fully started exits; on a real node systemd would
    // restart it.
    if (part === 'containerd')
      await until('containerd answers', async () => {
        const { code } = await run(this.#cluster.nodeCommand(node, 'ctr version'), { quiet: true });
        return code === 0;
      });
  }

  /**
   * Takes the power from a node: kills everything on it, and its network namespace goes with all
   * rules. Then the node boots; what runs on it is back a few seconds later.
   */
  async reboot(node: string, nodes: number): Promise<void> {
    const number = numberOf(node);
    const state = join(this.#state, `node${number}`);
    const script = `set -e
      within_10s() { for i in $(seq 100); do if "$@"; then return; fi; sleep 0.1; done; echo "not in 10 s: $*"; exit 1; }
      cgroups() { find /sys/fs/cgroup/*/pfc${number} "$@"; }
      nothing_runs() {
        pids=$({ cgroups -name cgroup.procs -exec cat {} + ; ip netns pids pfc${number}; } | sort -u)
        [ -z "$pids" ] || { kill -9 $pids; return 1; }
      }
      no_cgroups() { cgroups -depth -type d -exec rmdir {} + 2>/dev/null; }
      within_10s nothing_runs
      ip netns del pfc${number}
      rm -r ${state}/pid ${state}/run-containerd ${state}/netns ${state}/nri /run/cni-ipam-${number}
      within_10s no_cgroups`;
    await output(['sh', '-c', script], { env: this.#env });
    await this.#script('node', number, String(nodes));
    await until(`${node} boots`, () => existsSync(join(state, 'pid')));
  }

  /**
   * Connects new pods of a node to a bridge from now on; `back` restores the wiring for pods after
   * it.
   */
  wireToBridge(node: string): { readonly back: () => Promise<void> } {
    const back = wireToBridge(this.#state, `node${numberOf(node)}`);
    return {
      back: async () => {
        if (!back()) return;
        await this.#cluster.onNode(node, `ip link del ${BRIDGE}`);
      },
    };
  }

  /**
   * Gives this IPv4 address to the next pod of a node, once it is free: CNI's host-local continues
   * after the last address that it gave.
   */
  async giveAgain(node: string, address: string): Promise<void> {
    const folder = `/run/cni-ipam-${numberOf(node)}/pfc`;
    await until(`${address} is free`, () => !existsSync(join(folder, address)));
    const [, network, host] = /^(.*\.)(\d+)$/.exec(address) ?? [];
    writeFileSync(join(folder, 'last_reserved_ip.0'), `${network}${Number(host) - 1}`);
  }

  /** Returns the PIDs of an agent's processes on this machine. */
  async agentPids(node: string): Promise<readonly number[]> {
    const text = await this.#cluster.onNode(
      node,
      `cat /sys/fs/cgroup/pids/pfc${numberOf(node)}/kubepods/*/pod*/*/cgroup.procs`,
      {
        quiet: true,
      },
    );
    return text
      .split('\n')
      .map(Number)
      .filter((pid) => pid > 0 && words(`/proc/${pid}/cmdline`).join(' ').includes('podfence agent'));
  }

  /**
   * Adds a host beside the nodes, with an address that no pod has. It and the pods reach each other
   * without translation.
   * @returns the command that runs programs there; the host is removed with the cluster
   */
  async outsideHost(address: string): Promise<readonly string[]> {
    const number = ++this.#outsideHosts;
    const [name, link, own] = [`pfc9${number}`, `outside${number}`, `172.30.0.20${number}`];
    const ip = (...args: readonly string[]) => output(['ip', ...args], { quiet: true });
    await ip('netns', 'add', name);
    await ip('-n', 'pfc0', 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
    await ip('-n', 'pfc0', 'link', 'set', link, 'master', 'br0', 'up');
    await ip('-n', name, 'address', 'add', `${own}/24`, 'dev', 'eth0');
    await ip('-n', name, 'address', 'add', `${address}/32`, 'dev', 'lo');
    for (const device of ['lo', 'eth0']) await ip('-n', name, 'link', 'set', device, 'up');
    for (const node of await this.#cluster.list('nodes')) {
      const { addresses } = node.status as { addresses: { type: string; address: string }[] };
      const via = addresses.find(({ type }) => type === 'InternalIP')?.address ?? '';
      await ip('-n', name, 'route', 'add', String(node.spec.podCIDR), 'via', via, 'src', address);
      await this.#cluster.onNode(node.metadata.name, `ip route replace ${address}/32 via ${own}`, { quiet: true });
    }
    return ['ip', 'netns', 'exec', name];
  }

  async #pids(program: string): Promise<readonly number[]> {
    const text = await output(['ip', 'netns', 'pids', 'pfc0'], { quiet: true });
    const pids = text
      .split('\n')
      .filter((line) => line !== '')
      .map(Number);
    return pids.filter((pid) => words(`/proc/${pid}/cmdline`)[0]?.endsWith(program) === true);
  }

  #script(name: string, ...args: readonly string[]): Promise<string> {
    return output([join(this.#scripts, name), ...args], { env: this.#env, timeout: 180_000 });
  }

  #inControlPlane(...command: readonly string[]): Promise<string> {
    return output([join(this.#scripts, 'in'), '0', ...command], { env: this.#env });
  }

  get #env(): NodeJS.ProcessEnv {
    return { ...process.env, ...this.#cluster.target.env, PFC: this.#state };
  }
}

/** Returns the title of a test that needs this file, with the reason if it is skipped. */
export function onMachine(title: string): string {
  return Machine.of(new Cluster()) === undefined ? `${title} (needs a cluster of this machine)` : title;
}

/** The name that flannel and the plugin's own documentation use. */
const BRIDGE = 'cni0';

/**
 * Replaces the CNI plugin ptp by bridge, for pods that start from then on. The file takes
 * precedence over the one that the scripts write, and a reboot does not touch it.
 * @param node the node's folder in the cluster's state
 * @returns a function that removes the file again, and returns whether there was anything to remove
 */
export function wireToBridge(state: string, node: string): () => boolean {
  const folder = join(state, node, 'cni');
  const file = join(folder, '00-bridge.conflist');
  if (existsSync(file)) return () => false;
  const list = JSON.parse(readFileSync(join(folder, '10-pfc.conflist'), 'utf8')) as { plugins: object[] };
  const [wiring, ...others] = list.plugins;
  const bridge = { ...wiring, type: 'bridge', bridge: BRIDGE, isGateway: true, hairpinMode: true };
  writeFileSync(file, JSON.stringify({ ...list, plugins: [bridge, ...others] }));
  return () => {
    rmSync(file);
    return true;
  };
}

function numberOf(node: string): string {
  return /\d+$/.exec(node)?.[0] ?? '';
}

/** Returns the words of a file in /proc that separates them by zero bytes. */
function words(file: string): string[] {
  try {
    return readFileSync(file, 'utf8')
      .split('\0')
      .filter((word) => word !== '');
  } catch {
    return [];
  }
}
