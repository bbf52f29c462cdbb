import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createLogger, LogDestination } from '../../src/telemetry/logger.ts';

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'podfence-logger-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

function open(path: string, flags: number): number {
  const fd = openSync(path, flags);
  onTestFinished(() => closeSync(fd));
  return fd;
}

test('a line is written at once, as JSON with its time, its level as a word, the component and the node', () => {
  const path = join(temporaryFolder(), 'log');
  const destination = new LogDestination(open(path, constants.O_CREAT | constants.O_WRONLY));
  createLogger('agent', 'info', { node: 'node-1', destination }).info({ queue: 3 }, 'a word');
  const line = JSON.parse(readFileSync(path, 'utf8'));
  expect(line).toMatchObject({ level: 'info', component: 'agent', node: 'node-1', queue: 3, msg: 'a word' });
  expect(line.time).toBe(new Date(line.time).toISOString());
  expect(destination.linesLost).toBe(0);
});

test('lines that do not fit on a full disk are counted, and nothing throws', () => {
  const destination = new LogDestination(open('/dev/full', constants.O_WRONLY));
  const log = createLogger('agent', 'info', { destination });
  for (let i = 0; i < 1000; i++) log.error(new Error('x'.repeat(1000)));
  expect(destination.linesLost).toBe(1000);
});

test('a truncated line does not damage the next one', () => {
  const path = join(temporaryFolder(), 'pipe');
  execFileSync('mkfifo', [path]);
  const pipe = open(path, constants.O_RDWR | constants.O_NONBLOCK);
  const destination = new LogDestination(pipe);
  // More than a pipe holds.
  destination.write(`${'x'.repeat(1_000_000)}\n`);
  destination.write('lost\n');
  expect(destination.linesLost).toBe(2);
  const read = Buffer.alloc(1_000_000);
  const cut = readSync(pipe, read);
  expect(read.subarray(0, cut).toString()).toMatch(/^x+$/);
  destination.write('next\n');
  destination.write('after\n');
  expect(read.subarray(0, readSync(pipe, read)).toString()).toBe('\nnext\nafter\n');
  expect(destination.linesLost).toBe(2);
});
