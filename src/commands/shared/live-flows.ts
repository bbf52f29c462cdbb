/** Shows the flows of live traffic as they come, and a summary at the end. */

import { jsonText } from '../../cluster/printable.ts';
import { FIRST_DENY, REASONS } from '../../filter/reasons.ts';
import type { FlowLine } from '../../flows/flow.ts';
import { FlowDescription } from '../../flows/flow-description.ts';
import { FlowTotals } from '../../flows/flow-totals.ts';
import type { LiveTraffic } from '../../traffic/live-traffic.ts';
import type { WholeCluster } from '../../traffic/whole-cluster.ts';
import { FlowListing } from './flow-listing.ts';
import { policyTable } from './policy-totals.ts';
import { tell } from './tell.ts';

/** Interval of showing new flows, in ms. */
const INTERVAL = 200;
/** Least time before a line whose count has grown is shown again, in ms. */
const REPEAT = 1000;
/** Most lines held. */
const MOST_LINES = 20_000;

export interface LiveFlowsOptions {
  readonly json: boolean;
  /** Whether to show allowed flows too. */
  readonly all: boolean;
}

export class LiveFlows {
  readonly #traffic: LiveTraffic;
  readonly #options: LiveFlowsOptions;
  readonly #totals: FlowTotals;
  readonly #table = new FlowListing(process.stdout);
  /** Lines that had to make room before they were shown. */
  #gone: FlowLine[] = [];
  #timer: NodeJS.Timeout | undefined;
  #dropped = 0;

  constructor(traffic: LiveTraffic, cluster: WholeCluster, options: LiveFlowsOptions) {
    this.#traffic = traffic;
    this.#options = options;
    const description = new FlowDescription({
      attribution: cluster.attribution,
      endAt: (address) => cluster.endAt(address),
      isHere: () => true,
    });
    this.#totals = new FlowTotals(
      (event) => description.sighting(event),
      MOST_LINES,
      (line, isNews) => {
        if (isNews) this.#gone.push(line);
      },
    );
  }

  start(): void {
    this.#timer = setInterval(() => this.show(), INTERVAL);
  }

  /** Shows new flows. Call it also before the names of pods or policies change. */
  show(repeat = REPEAT): void {
    const now = Date.now();
    const lost = this.#traffic.drain((event) => this.#totals.note(event, now));
    if (lost > 0)
      say(`${number(lost)} flows and denied packets are not shown: they came faster than podfence notes them.`);
    const lines = [...this.#gone, ...this.#totals.news(now, repeat)].filter(
      ({ verdict }) => this.#options.all || verdict !== 'allow',
    );
    this.#gone = [];
    if (lines.length > 0) this.#print(lines);
    const dropped = this.#traffic.dropped - this.#dropped;
    if (dropped > 0)
      say(`${number(dropped)} frames were lost before they were captured: the kernel's buffer was full (--buffer).`);
    this.#dropped += dropped;
  }

  /** Shows the remaining flows and the summary. Returns how many packets were denied. */
  finish(): number {
    clearInterval(this.#timer);
    this.show(0);
    const { counters } = this.#traffic;
    const denied =
      counters.byReason.slice(FIRST_DENY).reduce((sum, each) => sum + each, 0) - counters.get('wouldBeDenied');
    if (this.#options.json) process.stdout.write(`${jsonText({ summary: this.#summary(denied) })}\n`);
    else process.stdout.write(this.#summaryText(denied));
    return denied;
  }

  #print(lines: readonly FlowLine[]): void {
    if (this.#options.json) process.stdout.write(lines.map((line) => `${jsonText(line)}\n`).join(''));
    else this.#table.add(lines);
  }

  #summary(denied: number) {
    const { captured, dropped, restarts, counters } = this.#traffic;
    const reasons = Object.fromEntries(
      REASONS.map((name, i) => [name, counters.byReason[i] ?? 0] as const).filter(([, count]) => count > 0),
    );
    return { captured, dropped, restarts, denied, reasons, ...counters.named(), policies: this.#totals.policies() };
  }

  #summaryText(denied: number): string {
    const { captured, dropped, reasons, policies, ...rest } = this.#summary(denied);
    const packets = Object.values(reasons).reduce((sum, each) => sum + each, 0);
    const by = Object.entries(reasons).map(([name, count]) => `${name} ${number(count)}`);
    const others = OTHERS.flatMap(([name, words]) => (rest[name] > 0 ? [`${number(rest[name])} ${words}`] : []));
    const table = policyTable(policies);
    return [
      table === '' ? '' : `\n${table}`,
      `\n${number(packets)} packets judged, ${number(denied)} of them denied${by.length > 0 ? `: ${by.join(', ')}` : ''}`,
      ...others.map((each) => `\n${each}`),
      dropped > 0 ? `\n${number(dropped)} frames lost before they were captured` : '',
      '\n',
    ].join('');
  }
}

const OTHERS = [
  ['wouldBeDenied', 'packets that audited policies would deny'],
  ['sent', 'frames sent on'],
  ['linkLocal', 'link-local frames passed unjudged'],
  ['linkLocalDenied', 'link-local frames dropped, as flags ask'],
  ['notIp', 'frames that are not IP'],
  ['services', "packets from or to a Service's address left out: they are judged where they appear with its backend's"],
  ['fragmentsHeld', 'fragments came before their first fragment'],
  ['fragmentsLost', 'fragments without a first fragment before them'],
  ['refused', 'frames could not be sent on: the interface was down or its queue was full'],
  ['tooLong', 'frames were too long for the other interface'],
  ['closed', 'frames came while the other end was closed'],
  ['restarts', 'times capturing was started again'],
] as const;

function say(text: string): void {
  tell(`${text}\n`);
}

function number(value: number): string {
  return value.toLocaleString('en');
}
