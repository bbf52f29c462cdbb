import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  type LabState,
  logPath,
  processStartTime,
  readStates,
  removeState,
  writeState,
} from '../../src/lab/state-file.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'podfence-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function state(changes: Partial<LabState> = {}): LabState {
  const startTime = processStartTime(process.pid) ?? '';
  return { name: 'one', pid: process.pid, startTime, hosts: [], services: [], ...changes };
}

test('a lab is known as long as its keeper lives', () => {
  expect(writeState(state(), directory)).toBe(true);
  expect(readStates(directory)).toEqual([state()]);
  removeState('one', directory);
  expect(readStates(directory)).toEqual([]);
});

test('a second lab of the same name does not replace the first one', () => {
  writeState(state(), directory);
  expect(writeState(state({ startTime: '1' }), directory)).toBe(false);
  expect(readStates(directory)).toEqual([state()]);
  expect(readdirSync(directory)).toEqual(['lab-one.json']);
});

test('the files of a dead keeper are removed, even if another process has its pid now; no others are', () => {
  writeState(state({ name: 'dead', startTime: '1' }), directory);
  writeFileSync(logPath('dead', directory), '');
  writeState(state({ name: 'alive' }), directory);
  const others = ['lab-notes.json', 'lab-list.json', 'other.json', 'lab-dead.txt'];
  for (const [i, file] of others.entries()) writeFileSync(join(directory, file), i === 0 ? 'no JSON' : '[]');
  expect(readStates(directory).map(({ name }) => name)).toEqual(['alive']);
  expect(readdirSync(directory).sort()).toEqual([...others, 'lab-alive.json'].sort());
});

test('a file that contains the name of another lab does not remove that lab', () => {
  writeState(state({ name: 'alive' }), directory);
  writeFileSync(join(directory, 'lab-x.json'), JSON.stringify(state({ name: 'alive', startTime: '1' })));
  expect(readStates(directory).map(({ name }) => name)).toEqual(['alive']);
  expect(readdirSync(directory).sort()).toEqual(['lab-alive.json', 'lab-x.json']);
});
