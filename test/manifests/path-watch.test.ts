import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PathWatch } from '../../src/manifests/path-watch.ts';
import { eventually } from '../patience.ts';

let folder: string;
let watched: PathWatch;
let changes: number;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'podfence-watch-'));
  changes = 0;
});
afterEach(() => {
  watched.stop();
  rmSync(folder, { recursive: true, force: true });
});

const path = (name: string) => join(folder, name);

function follow(...paths: readonly string[]): void {
  watched = new PathWatch(paths);
  watched.follow(() => changes++);
}

/** Resolves when the effect of `change` was reported. */
async function expectTold(change: () => void): Promise<void> {
  const before = changes;
  change();
  await eventually(() => expect(changes).toBeGreaterThan(before));
}

describe('watched paths', () => {
  it('report every file that is renamed over a watched one', async () => {
    writeFileSync(path('a.yaml'), '1');
    follow(path('a.yaml'));
    for (const text of ['2', '3', '4']) {
      await expectTold(() => {
        writeFileSync(path('new'), text);
        renameSync(path('new'), path('a.yaml'));
      });
    }
    await expectTold(() => writeFileSync(path('a.yaml'), '5'));
  });

  it('report a file and a folder that go and come back', async () => {
    mkdirSync(path('sub'));
    writeFileSync(path('sub/a.yaml'), '1');
    follow(path('sub'));
    await expectTold(() => rmSync(path('sub'), { recursive: true }));
    await expectTold(() => mkdirSync(path('sub')));
    await expectTold(() => writeFileSync(path('sub/a.yaml'), '2'));
  });

  it('report a file that did not exist at first', async () => {
    follow(path('later.yaml'));
    await expectTold(() => writeFileSync(path('later.yaml'), '1'));
  });

  it('report what changed before the listener was there', async () => {
    writeFileSync(path('a.yaml'), '1');
    watched = new PathWatch([path('a.yaml')]);
    writeFileSync(path('a.yaml'), '2');
    await new Promise((resolve) => setImmediate(resolve));
    await expectTold(() => watched.follow(() => changes++));
  });
});
