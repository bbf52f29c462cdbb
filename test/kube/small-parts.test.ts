import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PodRecord } from '../../src/cluster/records.ts';
import { errorOfStatus, toApiError } from '../../src/kube/api-error.ts';
import { Backoff } from '../../src/kube/backoff.ts';
import { KnownRecords } from '../../src/kube/known-records.ts';
import { PODS } from '../../src/kube/resources.ts';
import { SharedValues } from '../../src/kube/shared-values.ts';
import { Turns } from '../../src/kube/turns.ts';
import { parseWatchEvent } from '../../src/kube/wire.ts';
import { pod } from './objects.ts';

describe('a backoff', () => {
  it.each([
    [0, [125, 250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000]],
    [0.999999, [375, 750, 1500, 3000, 6000, 12_000, 24_000, 45_000, 45_000]],
  ])('doubles within its jitter (random %d)', (random, delays) => {
    const backoff = new Backoff(() => random);
    expect(delays.map(() => backoff.next())).toEqual(delays);
  });
});

describe('the wait that a server asks for', () => {
  it('in its header or its body is respected, within reason', () => {
    expect(errorOfStatus(429, {}, '7').retryAfter).toBe(7000);
    expect(errorOfStatus(429, { details: { retryAfterSeconds: 3 } }).retryAfter).toBe(3000);
    expect(errorOfStatus(503, {}, '86400').retryAfter).toBe(300_000);
    expect(errorOfStatus(503, {}, 'Wed, 21 Oct 2026 07:28:00 GMT').retryAfter).toBe(0);
    expect(errorOfStatus(503, null, '-1').retryAfter).toBe(0);
  });

  it.each([
    [410, {}, 'expired'],
    [500, { reason: 'Expired' }, 'expired'],
    [504, { details: { causes: [{ reason: 'ResourceVersionTooLarge' }] } }, 'expired'],
    [504, { details: { causes: [null] } }, 'server-error'],
    [401, {}, 'unauthorized'],
    [403, 'no object', 'forbidden'],
    [429, {}, 'overloaded'],
    [503, {}, 'overloaded'],
    [500, {}, 'server-error'],
    [404, {}, 'rejected'],
    [302, {}, 'rejected'],
  ])('%d %j is %s', (status, body, code) => {
    expect(errorOfStatus(status, body).code).toBe(code);
  });
});

it('a connection that failed at every address names each', () => {
  const error = new AggregateError([new Error('ECONNREFUSED ::1'), new Error('ECONNREFUSED 127.0.0.1')]);
  expect(toApiError(error)).toMatchObject({ code: 'connection', message: 'ECONNREFUSED ::1; ECONNREFUSED 127.0.0.1' });
});

it('an event of an unknown type is not taken for garbage', () => {
  const line = JSON.stringify({ type: 'MOVED', object: { metadata: { resourceVersion: '1' } } });
  expect(parseWatchEvent(Buffer.from(line))).toEqual({ type: 'unknown', name: 'MOVED' });
});

describe('known records', () => {
  const record = (name: string, ip: string): PodRecord => {
    const projected = PODS.project(pod('default', name, { ip })).record;
    if (projected === undefined) throw new Error('no record');
    return projected;
  };

  it('that return to their old value are no difference', () => {
    const records = new KnownRecords<PodRecord>();
    records.set(record('a', '10.0.0.1'));
    records.trackDifferences();
    records.set(record('a', '10.0.0.2'));
    records.delete(record('b', '10.0.0.3'));
    records.set(record('a', '10.0.0.1'));
    expect(records.takeDifferences()).toEqual({ deleted: [], set: [] });
  });

  it('are the same objects after an update that changes nothing', () => {
    const records = new KnownRecords<PodRecord>();
    records.set(record('a', '10.0.0.1'));
    const [before] = records.values();
    records.set(record('a', '10.0.0.1'));
    expect(records.values()[0]).toBe(before);
    expect(records.hasDifferences).toBe(false);
  });

  it('of a list are the same objects if nothing changed', () => {
    const records = new KnownRecords<PodRecord>();
    records.set(record('a', '10.0.0.1'));
    const [before] = records.values();
    const list = records.beginList();
    list.set(record('a', '10.0.0.1'));
    records.replace(list);
    expect(records.values()[0]).toBe(before);
  });

  it('of a list differ by what it adds, changes and lacks, whatever comes and goes while it is read', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd', 'e');
    const steps = fc.array(fc.tuple(fc.constantFrom('set', 'delete'), name, fc.constantFrom('10.0.0.1', '10.0.0.2')));
    fc.assert(
      fc.property(fc.uniqueArray(name), steps, (known, listed) => {
        const records = new KnownRecords<PodRecord>();
        for (const each of known) records.set(record(each, '10.0.0.1'));
        records.trackDifferences();
        const list = records.beginList();
        const after = new Map<string, PodRecord>();
        for (const [step, each, address] of listed) {
          list[step as 'set' | 'delete'](record(each, address));
          if (step === 'set') after.set(each, record(each, address));
          else after.delete(each);
        }
        records.replace(list);
        const { deleted, set } = records.takeDifferences();
        expect(deleted).toEqual(known.filter((each) => !after.has(each)).map((each) => record(each, '10.0.0.1')));
        const differs = (each: PodRecord) =>
          !known.some((name) => name === each.name) || each.addresses[0] !== '10.0.0.1';
        const byName = (a: PodRecord, b: PodRecord) => a.name.localeCompare(b.name);
        expect([...set].sort(byName)).toEqual([...after.values()].filter(differs).sort(byName));
      }),
      { numRuns: 2000 },
    );
  });

  it('of pods with the same labels and ports share them', () => {
    const ports = [{ name: 'http', containerPort: 80 }];
    const [a, b] = ['a', 'b'].map(
      (name) => PODS.project(pod('default', name, { labels: { app: 'web' }, ports })).record,
    );
    expect(b?.labels).toBe(a?.labels);
    expect(b?.ports).toBe(a?.ports);
  });
});

it('only a bounded number of shared values is remembered', () => {
  const values = new SharedValues();
  const first = values.share({ a: '0' });
  expect(values.share({ a: '0' })).toBe(first);
  for (let index = 1; index <= 10_000; index++) values.share({ a: String(index) });
  expect(values.share({ a: '0' })).not.toBe(first);
});

it('work in turns yields once its turn is over, and not before', async () => {
  const turns = new Turns();
  let others = 0;
  const other = (async () => {
    await setImmediate();
    others++;
  })();
  await turns.step();
  expect(others).toBe(0);
  const end = performance.now() + 6;
  while (performance.now() < end);
  await turns.step();
  expect(others).toBe(1);
  await other;
});
