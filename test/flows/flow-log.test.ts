import { describe, expect, it } from 'vitest';
import { FlowLog } from '../../src/flows/flow-log.ts';
import { flow, note } from './flows.ts';

/** More than there is: takes all lines at once. */
const ALL = 1_000_000;

function ports(log: FlowLog, last = ALL) {
  const reader = log.open({ last });
  const lines = reader?.take(ALL).map(({ port, count }) => `${port} x${count}`);
  reader?.close();
  return lines;
}

describe('the log of flows', () => {
  it('has one line for repeats, with the times and the last source port', () => {
    const log = new FlowLog();
    const seen = (sourcePort: number, now: number) =>
      log.note({ key: 'a', verdict: 'deny', sourcePort, describe: () => flow(80) }, now);
    seen(1, 1000);
    seen(2, 3500);
    const first = '1970-01-01T00:00:01.000Z';
    expect(log.open({})?.take(ALL)).toEqual([
      { ...flow(80), id: 1, first, last: '1970-01-01T00:00:03.500Z', count: 2, sourcePort: 2 },
    ]);
  });

  it('describes a flow once until names change, and begins a new line if the description differs then', () => {
    const log = new FlowLog();
    let descriptions = 0;
    let reason = 'ingress-denied';
    const seen = () => {
      const describe = () => {
        descriptions++;
        return flow(80, { reason });
      };
      log.note({ key: 'a', verdict: 'deny', sourcePort: 1, describe }, 0);
    };
    for (let i = 0; i < 5; i++) seen();
    expect(descriptions).toBe(1);
    log.namesChanged();
    for (let i = 0; i < 5; i++) seen();
    expect(descriptions).toBe(2);
    expect(ports(log)).toEqual(['80 x10']);
    log.namesChanged();
    reason = 'revoked';
    for (let i = 0; i < 5; i++) seen();
    expect(ports(log)).toEqual(['80 x10', '80 x5']);
  });

  describe('if an end was known only by its address', () => {
    const address = '10.0.0.9';
    const NAMELESS = { kind: 'address', address } as const;
    const LATE = { kind: 'pod', namespace: 'shop', name: 'late', address, node: 'n' } as const;
    const ends = (log: FlowLog) =>
      log
        .open({})
        ?.take(ALL)
        .map(({ id, from, to }) => [id, from.kind, to.kind]);

    it('names it in the lines that begin no earlier than the pod', () => {
      const log = new FlowLog();
      note(log, flow(1, { from: NAMELESS }), 999);
      note(log, flow(2, { from: NAMELESS }), 1000);
      note(log, flow(3, { to: NAMELESS }), 2000);
      note(log, flow(4, { from: { ...NAMELESS, address: '10.0.0.8' } }), 2000);
      note(log, flow(5, { from: { ...LATE, name: 'older' } }), 2000);
      log.nameEnd(LATE, 1000);
      expect(ends(log)).toEqual([
        [1, 'address', 'pod'],
        [2, 'pod', 'pod'],
        [3, 'pod', 'pod'],
        [4, 'address', 'pod'],
        [5, 'pod', 'pod'],
      ]);
      const names = log
        .open({ pod: 'shop/late' })
        ?.take(ALL)
        .map(({ port }) => port);
      expect(names).toEqual([2, 3]);
    });

    it('counts later events on the same line if its description is otherwise the same', () => {
      const log = new FlowLog();
      note(log, flow(1, { from: NAMELESS }), 0);
      log.namesChanged();
      log.nameEnd(LATE, 0);
      note(log, flow(1, { from: LATE }), 10);
      expect(log.open({})?.take(ALL)).toMatchObject([{ count: 2, from: LATE }]);
    });

    it('sends the renamed line with its old id to readers that follow, and to readers that wait for the pod', () => {
      const log = new FlowLog({ repeat: 1000 });
      note(log, flow(1, { from: NAMELESS }), 0);
      const [all, one] = [log.open({}), log.open({ pod: 'shop/late' })];
      expect(all?.take(ALL)).toMatchObject([{ id: 1, from: NAMELESS }]);
      log.nameEnd(LATE, 0);
      log.publish(500);
      expect(all?.take(ALL)).toEqual([]);
      log.publish(1000);
      expect(all?.take(ALL)).toMatchObject([{ id: 1, count: 1, from: LATE }]);
      expect(one?.take(ALL)).toMatchObject([{ id: 1, from: LATE }]);
    });

    it('forgets addresses with their lines', () => {
      const log = new FlowLog({ lines: 1 });
      note(log, flow(1, { from: NAMELESS }), 0);
      note(log, flow(2), 0);
      log.nameEnd(LATE, 0);
      log.publish(5000);
      expect(ends(log)).toEqual([[2, 'pod', 'pod']]);
    });
  });

  it('keeps a fixed number of lines, and drops the least recently seen', () => {
    const log = new FlowLog({ lines: 3, repeat: 0 });
    for (const port of [1, 2, 3]) note(log, flow(port), 0);
    note(log, flow(1), 10);
    log.publish(10);
    note(log, flow(4), 20);
    expect(ports(log)).toEqual(['3 x1', '1 x2', '4 x1']);
    note(log, flow(2), 30);
    expect(ports(log)).toEqual(['1 x2', '4 x1', '2 x1']);
  });

  it('limits the new lines of each verdict and counts what it leaves out; repeats and the other verdict are not affected', () => {
    const log = new FlowLog({ rate: 10, burst: 5 });
    for (let port = 1; port <= 100; port++) note(log, flow(port), 1000);
    note(log, flow(1), 1000);
    note(log, flow(200, { verdict: 'allow' }), 1000);
    expect(log.leftOut).toBe(95);
    expect(ports(log)).toEqual(['1 x2', '2 x1', '3 x1', '4 x1', '5 x1', '200 x1']);
    for (let port = 6; port <= 100; port++) note(log, flow(port), 1200);
    expect(ports(log)?.slice(6)).toEqual(['6 x1', '7 x1']);
  });

  it('keeps no more keys than lines, whatever comes', () => {
    const log = new FlowLog({ lines: 10, rate: 1e9, burst: 1e9 });
    for (let port = 0; port < 1000; port++) note(log, flow(port), port);
    // The dropped line is forgotten, so this begins a new one.
    note(log, flow(5), 2000);
    expect(ports(log)?.at(-1)).toBe('5 x1');
    expect(ports(log)).toHaveLength(10);
  });
});

describe('a reader of the log', () => {
  it('gets the last lines that match, then new ones, in parts', () => {
    const log = new FlowLog();
    for (const port of [1, 2, 3, 4]) note(log, flow(port, { protocol: port === 2 ? 'UDP' : 'TCP' }), 0);
    const reader = log.open({ protocol: 'TCP', last: 2 });
    expect(reader?.takeLeftOut()).toEqual({ earlier: 1, flood: 0, slow: 0 });
    expect(reader?.takeLeftOut()).toBeUndefined();
    for (const port of [5, 6]) note(log, flow(port), 0);
    const parts = [1, 2, 3].map(() => reader?.take(2).map(({ port }) => port));
    expect(parts).toEqual([[3, 4], [5, 6], []]);
  });

  it('that asks for no earlier lines gets only new ones', () => {
    const log = new FlowLog({ burst: 1 });
    for (const port of [1, 2]) note(log, flow(port), 0);
    const [reader, of] = [log.open({ last: 0 }), log.open({ port: 2 })];
    expect(reader?.takeLeftOut()).toBeUndefined();
    // The reader may not have wanted the event that was left out.
    expect(of?.takeLeftOut()).toEqual({ earlier: 0, flood: 1, slow: 0 });
    note(log, flow(3), 1000);
    expect(reader?.take(ALL).map(({ port }) => port)).toEqual([3]);
  });

  it('gets a line again when its count has grown, but not for every repeat', () => {
    const log = new FlowLog({ repeat: 1000 });
    note(log, flow(1), 0);
    const reader = log.open({});
    const taken = () => reader?.take(ALL).map(({ id, count }) => [id, count]);
    expect(taken()).toEqual([[1, 1]]);
    for (let now = 100; now < 1000; now += 100) {
      note(log, flow(1), now);
      log.publish(now);
      expect(taken()).toEqual([]);
    }
    log.publish(1000);
    expect(taken()).toEqual([[1, 10]]);
    log.publish(5000);
    expect(taken()).toEqual([]);
  });

  it('that is slow learns how many lines it missed', () => {
    const log = new FlowLog({ lines: 10, rate: 1e9, burst: 1e9 });
    const [fast, slow, other] = [log.open({}), log.open({}), log.open({ verdict: 'allow' })];
    for (let port = 0; port < 100; port++) {
      note(log, flow(port), port);
      fast?.take(ALL);
    }
    expect(slow?.take(ALL)).toHaveLength(10);
    expect([fast, slow, other].map((reader) => reader?.takeLeftOut()?.slow)).toEqual([undefined, 90, undefined]);
  });

  it('learns what was left out since its first line', () => {
    const log = new FlowLog({ rate: 1 });
    log.leaveOut(5);
    note(log, flow(1), 0);
    log.leaveOut(7);
    note(log, flow(2), 0);
    const [both, one] = [log.open({}), log.open({ port: 2 })];
    expect([both, one].map((reader) => reader?.takeLeftOut()?.flood)).toEqual([7, undefined]);
    log.leaveOut(2);
    expect([both, one].map((reader) => reader?.takeLeftOut()?.flood)).toEqual([2, 2]);
  });

  it('waits for more lines, until a timeout, or until it is closed', async () => {
    const log = new FlowLog();
    const reader = log.open({});
    expect(await reader?.more(1)).toBe(false);
    const more = reader?.more(600_000);
    log.publish(0);
    expect(await more).toBe(true);
    const last = reader?.more(600_000);
    reader?.close();
    expect(await last).toBe(true);
    expect(await reader?.more(600_000)).toBe(true);
  });

  it('is refused beyond a fixed number', () => {
    const log = new FlowLog({ readers: 2 });
    const readers = [log.open({}), log.open({})];
    expect(log.open({})).toBeUndefined();
    readers[0]?.close();
    expect(log.open({})).toBeDefined();
  });
});
