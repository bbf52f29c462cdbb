import { expect, test } from 'vitest';
import { parseReport } from '../../bench/traffic/wrk.ts';

const REPORT = `Running 2s test @ http://10.244.0.2:8000/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.10ms    1.53ms  44.76ms   97.27%
    Req/Sec    29.85k     6.33k   38.69k    70.00%
  Latency Distribution
     50%    0.91ms
     75%    1.17ms
     90%    1.60ms
     99%    4.47ms
  59526 requests in 2.00s, 2.72MB read
Requests/sec:  29743.91
Transfer/sec:      1.36MB
`;

test('connections a second and their last percentile are read from wrk’s report', () => {
  expect(parseReport(REPORT)).toEqual({ perSecond: 29743.91, p99: 4.47, failed: 0 });
});

test('a percentile in any unit is converted to milliseconds', () => {
  expect(parseReport(REPORT.replace('4.47ms', '870.00us')).p99).toBeCloseTo(0.87);
  expect(parseReport(REPORT.replace('4.47ms', '1.20s')).p99).toBe(1200);
});

test('failed connections of every kind are counted', () => {
  const errors = '  Socket errors: connect 1, read 20, write 300, timeout 4000\n';
  expect(parseReport(REPORT.replace('Requests/sec', `${errors}Requests/sec`)).failed).toBe(4321);
});

test('any other report is an error that shows the report', () => {
  expect(() => parseReport('unable to connect')).toThrow(/unable to connect/);
});
