/**
 * A real agent process, streams that a policy allows, and attempts that no policy allows, all the
 * time; and what happens to them while something goes wrong.
 *
 * After each fault the cluster changes, and the agent is given time until the change holds: in its
 * status, for new connections, and for an open one.
 */
import { closeSync, existsSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { AgentWorld, NODE } from '../agent/agent-world.ts';
import { DeniedTraffic } from '../agent/denied-traffic.ts';
import { CLIENT_ALLOWED, FRIEND_ALLOWED } from '../agent/policies.ts';
import { RunningAgent } from '../agent/running-agent.ts';
import { shimTool } from '../agent/tool-shim.ts';
import { policy } from '../kube/objects.ts';
import { patience } from '../patience.ts';
import { Connections } from '../scenarios/connections.ts';
import type { Fault } from './faults.ts';
import type { InnerFault } from './hook.ts';
import { NewConnections } from './new-connections.ts';

const HOOK = fileURLToPath(new URL('./hook.ts', import.meta.url));
/** The tools that agents run; each can be made to fail. */
const TOOLS = [
  'iptables',
  'iptables-save',
  'iptables-restore',
  'ip6tables',
  'ip6tables-save',
  'ip6tables-restore',
  'ipset',
  'nft',
];
/** Isolates one more pod, which no other pod talks to. */
const CLIENT_ISOLATED = policy('shop', 'client-isolated', {
  podSelector: { matchLabels: { app: 'client' } },
  ingress: [],
});
/** How long a change after a fault, or a step of the agent, may take, in ms. */
const PATIENCE = patience(60_000);

export interface Outcome {
  readonly fault: string;
  /** Packets that no policy allows: tried, and delivered. */
  readonly tried: number;
  readonly delivered: number;
  /**
   * Allowed streams (one TCP, one UDP) that ended or stalled, and their datagrams that never
   * arrived.
   */
  readonly broken: number;
  readonly lost: number;
  /**
   * Allowed connections that opened during the fault, some of them late, and those that never
   * opened.
   */
  readonly opened: number;
  readonly unopened: number;
  /** Time until the first change after the fault held, in ms; undefined if it never did. */
  readonly converged: number | undefined;
  readonly note: string;
  /** What went wrong, if anything. */
  readonly problem: string | undefined;
}

export class Scene implements AsyncDisposable {
  readonly world: AgentWorld;
  #agent: RunningAgent | undefined;
  #full: number | undefined;
  #streams: Connections | undefined;
  #denied: DeniedTraffic | undefined;
  #connecting: NewConnections | undefined;
  /** Lost datagrams of the open streams so far. */
  #lost = 0;
  #innerFaults = 0;
  /** Whether the client may talk to the server. */
  #clientAllowed = false;
  /** Each stream's server gets its own port. */
  #nextPort = 20_001;

  private constructor(world: AgentWorld) {
    this.world = world;
  }

  static async start(): Promise<Scene> {
    const scene = new Scene(await AgentWorld.start([FRIEND_ALLOWED]));
    scene.#installTools();
    scene.world.environment = {
      NODE_OPTIONS: `--import ${HOOK}`,
      FAULT_FILE: scene.#faultFile,
      PATH: `${scene.world.folder}:${process.env.PATH}`,
    };
    return scene;
  }

  get agent(): RunningAgent {
    if (this.#agent === undefined) throw new Error('no agent runs');
    return this.#agent;
  }

  /** The allowed pod, the denied pod, and the server that both talk to. */
  get pods() {
    const { lab } = this.world;
    return { friend: lab.pod('shop/friend'), stranger: lab.pod('shop/stranger'), server: lab.pod('shop/server') };
  }

  /** Ends the running agent, if there is one, and starts another. */
  async startAgent(flags: readonly string[] = [], log: 'kept' | 'full disk' = 'kept'): Promise<void> {
    await this.#agent?.end();
    if (log === 'kept') this.#agent = await this.world.startAgent(...flags);
    else {
      this.#full ??= openSync('/dev/full', 'w');
      const all = ['--kubeconfig', this.world.kubeConfig, '--node-name', NODE, ...flags];
      this.#agent = await new RunningAgent(this.world.node, all, this.world.environment, this.#full).ready();
    }
  }

  /** Opens the streams and starts the denied traffic. */
  async open(): Promise<void> {
    await this.#openStreams();
    this.#connecting = new NewConnections(this.pods.friend, this.pods.server, this.#nextPort++);
    this.#denied = new DeniedTraffic(this.pods.stranger, this.pods.server);
    await this.#denied.goesOn();
  }

  async #openStreams(): Promise<void> {
    this.#streams?.[Symbol.dispose]();
    this.#streams = this.#connections('shop/friend');
    this.#lost = 0;
    await this.#streams.flow();
  }

  close(): void {
    this.#streams?.[Symbol.dispose]();
    this.#connecting?.[Symbol.dispose]();
    this.#connecting = undefined;
    this.#denied?.[Symbol.dispose]();
    this.#streams = undefined;
    this.#denied = undefined;
  }

  /** Makes the agent cause a fault of hook.ts in itself; resolves when it has begun. */
  async doToAgent(fault: InnerFault): Promise<void> {
    const id = String(++this.#innerFaults);
    writeFileSync(`${this.#faultFile}.new`, JSON.stringify({ id, fault }));
    renameSync(`${this.#faultFile}.new`, this.#faultFile);
    process.kill(this.agent.pid, 'SIGUSR2');
    const taken = () =>
      existsSync(`${this.#faultFile}.taken`) && readFileSync(`${this.#faultFile}.taken`, 'utf8') === id;
    await until('the agent to cause the fault', taken);
  }

  /** While `work` runs, each run of a tool by the agent executes this line of shell first. */
  async withTools(line: string, work: () => Promise<void>): Promise<void> {
    rmSync(this.#toolRuns, { force: true });
    writeFileSync(this.#toolFile, `echo $0 >> ${this.#toolRuns}\n${line}\n`);
    try {
      await work();
    } finally {
      writeFileSync(this.#toolFile, '');
    }
  }

  /**
   * Does the same while another pod is isolated, until a tool has been run for a while: isolating
   * needs tools.
   */
  async whileToolsAre(line: string, milliseconds: number): Promise<void> {
    await this.withTools(line, async () => {
      await this.world.become([FRIEND_ALLOWED, CLIENT_ISOLATED]);
      await until('a tool to be run', () => existsSync(this.#toolRuns));
      await delay(milliseconds);
    });
  }

  /** Changes the cluster at the API server; does not wait until the change is in force. */
  async change(): Promise<void> {
    this.#clientAllowed = !this.#clientAllowed;
    await this.world.become(this.#clientAllowed ? [FRIEND_ALLOWED, CLIENT_ALLOWED] : [FRIEND_ALLOWED]);
  }

  /** Causes the fault, and measures what happens to the traffic. */
  async meet(fault: Fault): Promise<Outcome> {
    const denied = this.#denied as DeniedTraffic;
    const streams = this.#streams as Connections;
    const connecting = this.#connecting as NewConnections;
    const before = { rounds: denied.rounds, delivered: denied.delivered.length, opened: connecting.opened };
    const problems: string[] = [];
    const note = await fault.meet(this).catch((error) => void problems.push(`${error}`));
    await this.world.api.call('heal');
    const since = performance.now();
    await this.#converges().catch((error) => void problems.push(`no change holds: ${error}`));
    const converged = problems.length === 0 ? performance.now() - since : undefined;
    await denied.goesOn();
    const unopened = await connecting.settle();
    const flowing = await Promise.allSettled([streams.tcp.flows(), streams.udp.flows()]);
    const { toServer, toClient } = await streams.udp.lost();
    const lost = toServer.length + toClient.length;
    const broken = [streams.tcp, streams.udp].filter(
      ({ ending }, i) => ending !== undefined || flowing[i]?.status === 'rejected',
    ).length;
    const outcome = {
      fault: fault.name,
      tried: 4 * (denied.rounds - before.rounds),
      delivered: denied.delivered.length - before.delivered,
      ...{ broken, lost: lost - this.#lost, opened: connecting.opened - before.opened, unopened, converged },
      note: typeof note === 'string' ? note : '',
      problem: problems.length === 0 ? undefined : problems.join('; '),
    };
    this.#lost = lost;
    if (broken > 0) await this.#openStreams();
    return outcome;
  }

  /** Resident memory in MB. */
  async memory(): Promise<number> {
    return (await this.agent.metrics()).sum('process_resident_memory_bytes') / 1e6;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#agent?.end();
    if (this.#full !== undefined) closeSync(this.#full);
    for (const tool of TOOLS) rmSync(join(this.world.folder, tool), { force: true });
    await this.world[Symbol.asyncDispose]();
  }

  /**
   * Resolves when a change that lets the client through, and one that closes it off, hold for new
   * and open connections.
   */
  async #converges(): Promise<void> {
    const deadline = performance.now() + PATIENCE;
    if (this.#clientAllowed) await this.change();
    await this.change();
    // Otherwise the connection would wait a second for its retransmission.
    await within(deadline, () => this.#inForce(2));
    using client = this.#connections('shop/client');
    await within(deadline, () => client.flow());
    await this.change();
    await within(deadline, async () => {
      const passages = await Promise.all([client.tcp.watch(), client.udp.watch()]);
      if (passages.some(({ toServer, toClient }) => toServer + toClient > 0)) throw new Error('it is not cut');
    });
    await within(deadline, async () => {
      const { body, status } = await this.agent.get('/readyz');
      if (status !== 200) throw new Error(body);
    });
  }

  /** Throws unless the agent's metrics show this many policies and no pending change. */
  async #inForce(policies: number): Promise<void> {
    const metrics = await this.agent.metrics();
    if (metrics.sum('podfence_policies') !== policies || metrics.sum('podfence_pending_change_age_seconds') > 0)
      throw new Error('the change is not in force');
  }

  #connections(from: string): Connections {
    const port = this.#nextPort;
    this.#nextPort += 2;
    return new Connections(this.world.lab, from, 'shop/server', port);
  }

  get #faultFile(): string {
    return join(this.world.folder, 'fault.json');
  }

  get #toolFile(): string {
    return join(this.world.folder, 'before-tools.sh');
  }

  get #toolRuns(): string {
    return join(this.world.folder, 'tool-runs');
  }

  /** They come before the machine's own in the agent's PATH. */
  #installTools(): void {
    writeFileSync(this.#toolFile, '');
    for (const tool of TOOLS) shimTool(this.world.folder, tool, `. ${this.#toolFile}`);
  }
}

/** Retries until `holds` succeeds; throws its last error after the deadline. */
async function within(deadline: number, holds: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await holds();
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
  }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`timed out waiting for ${what}`);
    await delay(5);
  }
}
