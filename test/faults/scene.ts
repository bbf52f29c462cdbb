/**
 * An agent, the real process, with streams that a policy allows and attempts that none allows, all the time; and what becomes of them while something goes wrong.
 *
 * After each fault the cluster changes, and the agent is given time until the change holds: for its status, for new connections, and for one that was open.
 */
import { chmodSync, closeSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AgentWorld, NODE } from '../agent/agent-world.ts';
import { DeniedTraffic } from '../agent/denied-traffic.ts';
import { CLIENT_ALLOWED, FRIEND_ALLOWED } from '../agent/policies.ts';
import { RunningAgent } from '../agent/running-agent.ts';
import { Connections } from '../scenarios/connections.ts';
import type { Fault } from './faults.ts';
import type { InnerFault } from './hook.ts';

const HOOK = fileURLToPath(new URL('./hook.ts', import.meta.url));
/** What agents run; each can be made to fail. */
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
/** Of a change after a fault, in ms. */
const PATIENCE = 60_000;

export interface Outcome {
  readonly fault: string;
  /** Packets that no policy allows: tried, and delivered. */
  readonly tried: number;
  readonly delivered: number;
  /** Messages of allowed streams that never arrived, and streams that were ended. */
  readonly lost: number;
  readonly broken: number;
  /** Until the first change after it held, in ms; undefined where it did not. */
  readonly converged: number | undefined;
  readonly note: string;
}

export class Scene implements AsyncDisposable {
  readonly world: AgentWorld;
  #agent: RunningAgent | undefined;
  #full: number | undefined;
  #streams: Connections | undefined;
  #denied: DeniedTraffic | undefined;
  /** Whether the client may talk to the server. */
  #clientAllowed = false;
  /** Each stream's server gets a port of its own. */
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

  /** The pod that is allowed, the one that is not, and whom both talk to. */
  get pods() {
    const { lab } = this.world;
    return { friend: lab.pod('shop/friend'), stranger: lab.pod('shop/stranger'), server: lab.pod('shop/server') };
  }

  /** Ends the agent that runs, if any does, and starts another. */
  async startAgent(flags: readonly string[] = [], log: 'kept' | 'full disk' = 'kept'): Promise<void> {
    await this.#agent?.end();
    if (log === 'kept') this.#agent = await this.world.startAgent(...flags);
    else {
      this.#full ??= openSync('/dev/full', 'w');
      const all = ['--kubeconfig', this.world.kubeConfig, '--node-name', NODE, ...flags];
      this.#agent = await new RunningAgent(this.world.node, all, this.world.environment, this.#full).ready();
    }
  }

  /** Opens the streams and begins what is denied. */
  async open(): Promise<void> {
    this.#streams = this.#connections('shop/friend');
    await this.#streams.flow();
    this.#denied = new DeniedTraffic(this.pods.stranger, this.pods.server);
    await this.#denied.goesOn();
  }

  close(): void {
    this.#streams?.[Symbol.dispose]();
    this.#denied?.[Symbol.dispose]();
    this.#streams = undefined;
    this.#denied = undefined;
  }

  /** The agent does to itself what hook.ts can do. */
  doToAgent(fault: InnerFault): void {
    writeFileSync(this.#faultFile, JSON.stringify(fault));
    process.kill(this.agent.pid, 'SIGUSR2');
  }

  /** From now on the agent's tools run this line of shell first. */
  breakTools(line: string): void {
    writeFileSync(this.#toolFile, line);
  }

  mendTools(): void {
    writeFileSync(this.#toolFile, '');
  }

  /** Another change of the cluster, at the API server; it need not be in force. */
  async change(): Promise<void> {
    this.#clientAllowed = !this.#clientAllowed;
    await this.world.become(this.#clientAllowed ? [FRIEND_ALLOWED, CLIENT_ALLOWED] : [FRIEND_ALLOWED]);
  }

  /** Lets the fault happen, and sees what becomes of everything. */
  async meet(fault: Fault): Promise<Outcome> {
    const denied = this.#denied as DeniedTraffic;
    const streams = this.#streams as Connections;
    const before = { rounds: denied.rounds, delivered: denied.delivered.length };
    const told = await fault.meet(this);
    const since = performance.now();
    const converged = await this.#converges().then(
      () => performance.now() - since,
      () => undefined,
    );
    await denied.goesOn();
    const [tcp, udp] = await Promise.all([streams.tcp.lost(), streams.udp.lost()]);
    const losses = [tcp, udp].map(({ toServer, toClient }) => toServer.length + toClient.length);
    return {
      fault: fault.name,
      tried: 4 * (denied.rounds - before.rounds),
      delivered: denied.delivered.length - before.delivered,
      lost: losses.reduce((sum, each) => sum + each, 0),
      broken: losses.filter((each) => each > 0).length,
      converged,
      note: typeof told === 'string' ? told : '',
    };
  }

  /** Resident, in MB. */
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

  /** A change that opens the way of the client, and one that closes it, hold for new connections and for those that are open. */
  async #converges(): Promise<void> {
    const deadline = performance.now() + PATIENCE;
    if (this.#clientAllowed) await this.change();
    await this.change();
    // Otherwise the connection would wait a second for its second try.
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

  /** By what the agent says of itself. */
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

  /** In the agent's path, before the machine's own. */
  #installTools(): void {
    this.mendTools();
    for (const tool of TOOLS) {
      const file = join(this.world.folder, tool);
      writeFileSync(file, `#!/bin/sh\n. ${this.#toolFile}\nPATH=\${PATH#*:}\nexec ${tool} "$@"\n`);
      chmodSync(file, 0o755);
    }
  }
}

/** Tries until it holds; throws what it threw last. */
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
