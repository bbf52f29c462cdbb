import { describe, expect, it } from 'vitest';
import { ALLOWED_BY_POLICY, FIRST_DENY, INGRESS_DENIED } from '../../src/filter/reasons.ts';
import type { FlowLine } from '../../src/flows/flow.ts';
import type { FlowEvent } from '../../src/flows/flow-events.ts';
import { FlowTotals } from '../../src/flows/flow-totals.ts';

const TIME = Date.UTC(2026, 0, 2);

function event(destinationPort: number, reason = ALLOWED_BY_POLICY): FlowEvent {
  return {
    ...{ family: 4, protocol: 6, source: [1], destination: [2], sourcePort: 1000 + destinationPort, destinationPort },
    ...{ reason, direction: 1, audited: false },
  };
}

/** Totals of flows whose policies are named after their port. */
function totals(capacity: number): {
  readonly totals: FlowTotals;
  readonly gone: FlowLine[];
  /** Ports of dropped lines that were never reported. */
  readonly untold: (number | null)[];
} {
  const gone: FlowLine[] = [];
  const untold: (number | null)[] = [];
  const describe = ({ destinationPort: port, reason, sourcePort }: FlowEvent) => {
    const verdict = reason < FIRST_DENY ? ('allow' as const) : ('deny' as const);
    const policies = [
      { direction: 'ingress' as const, namespace: 'a', name: `port-${port}`, rule: null, field: null },
      { direction: 'ingress' as const, namespace: 'a', name: 'every', rule: null, field: null },
    ];
    const ends = {
      from: { kind: 'address', address: '0.0.0.1' },
      to: { kind: 'address', address: '0.0.0.2' },
    } as const;
    const flow = { verdict, direction: 'ingress' as const, reason: '', protocol: 'TCP', port, ...ends, policies };
    return { key: `${port} ${reason}`, verdict, sourcePort, describe: () => flow };
  };
  const full = (line: FlowLine, isNews: boolean) => {
    gone.push(line);
    if (isNews) untold.push(line.port);
  };
  return { totals: new FlowTotals(describe, capacity, full), gone, untold };
}

describe('the flows of a capture', () => {
  it('have a line each, with how often, since when and until when they were seen', () => {
    const { totals: all } = totals(10);
    all.note(event(80), TIME);
    all.note(event(81), TIME + 1);
    all.note(event(80), TIME + 2000);
    expect(all.lines()).toMatchObject([
      {
        id: 1,
        port: 80,
        count: 2,
        sourcePort: 1080,
        first: '2026-01-02T00:00:00.000Z',
        last: '2026-01-02T00:00:02.000Z',
      },
      { id: 2, port: 81, count: 1 },
    ]);
  });

  it('are a fixed number: one more, and the first is handed out', () => {
    const { totals: all, gone } = totals(2);
    for (const port of [80, 80, 81, 82]) all.note(event(port), TIME);
    expect(gone).toMatchObject([{ port: 80, count: 2 }]);
    expect(all.lines()).toMatchObject([{ port: 81 }, { port: 82 }]);
  });

  it('are handed out one by one, in order, however many there are', () => {
    const { totals: all, gone } = totals(3);
    const ports = Array.from({ length: 1000 }, (_, i) => 1 + i);
    for (const port of ports) all.note(event(port), TIME);
    expect([...gone, ...all.lines()].map(({ port }) => port)).toEqual(ports);
    all.note(event(1), TIME);
    expect(gone.at(-1)?.port).toBe(998);
  });

  it('are summed up by policy, most denials first, including those handed out', () => {
    const { totals: all } = totals(1);
    all.note(event(80), TIME);
    all.note(event(81, INGRESS_DENIED), TIME);
    all.note(event(81, INGRESS_DENIED), TIME);
    expect(all.policies()).toEqual([
      { policy: 'a/every', allowed: 1, denied: 2, wouldBeDenied: 0 },
      { policy: 'a/port-81', allowed: 0, denied: 2, wouldBeDenied: 0 },
      { policy: 'a/port-80', allowed: 1, denied: 0, wouldBeDenied: 0 },
    ]);
  });

  it('are news if they are handed out before they were reported', () => {
    const { totals: all, untold } = totals(1);
    all.note(event(80), TIME);
    all.news(TIME, 0);
    for (const port of [81, 82, 83]) all.note(event(port), TIME);
    expect(untold).toEqual([81, 82]);
  });

  it('are reported when they are new, and again when they have grown, at most once an interval', () => {
    const { totals: all } = totals(10);
    const news = (now: number) => all.news(now, 1000).map(({ port, count }) => [port, count]);
    all.note(event(80), TIME);
    expect(news(TIME)).toEqual([[80, 1]]);
    all.note(event(80), TIME);
    all.note(event(81), TIME);
    expect(news(TIME + 999)).toEqual([[81, 1]]);
    expect(news(TIME + 1000)).toEqual([[80, 2]]);
    expect(news(TIME + 5000)).toEqual([]);
  });
});
