import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BENCHES } from '../../bench/benches.ts';
import { benchMistake, benchSendsPackets } from '../../setup/bench.mjs';

const ROOT = join(import.meta.dirname, '../..');

/** The variables that npm sets for flags after `npm run bench` without `--`. */
const kept = (config: Readonly<Record<string, string>>) => ({
  npm_lifecycle_event: 'bench',
  ...Object.fromEntries(Object.entries(config).map(([name, value]) => [`npm_config_${name}`, value])),
});

describe('npm run bench', () => {
  it.each([
    [[], kept({ list: 'true' }), 'npm run bench -- --list'],
    [['queue'], kept({ quick: 'true' }), 'npm run bench -- queue --quick'],
    [[], kept({ quick: 'filter' }), 'npm run bench -- --quick filter'],
    [['5', 'soak'], kept({ minutes: 'true', quick: 'true' }), 'npm run bench -- soak --quick --minutes 5'],
    [['soak'], kept({ minutes: '5', out: 'there' }), 'npm run bench -- soak --out there --minutes 5'],
  ])('with %j and flags that npm kept says how to pass them', (args, env, command) => {
    expect(benchMistake(ROOT, args, env)).toMatch(new RegExp(`^npm kept --.*\n\n {4}${command}$`));
  });

  it('ignores what another npm script was given', () => {
    expect(benchMistake(ROOT, [], { ...kept({ list: 'true' }), npm_lifecycle_event: 'test' })).toBeUndefined();
  });

  it('knows every benchmark, with flags before and after', () => {
    for (const name of Object.keys(BENCHES)) {
      expect(benchMistake(ROOT, ['--minutes', '5', name, '--out', 'elsewhere'], {}), name).toBeUndefined();
    }
  });

  it('refuses an unknown name, and lists the known ones', () => {
    expect(benchMistake(ROOT, ['filter', 'qeue'], {})).toMatch(
      /^no benchmark is called qeue\. There are filter, compile, replay, package, queue/,
    );
  });

  it.each([
    [[], true],
    [['filter', 'compile'], false],
    [['filter', 'soak', '--minutes', '1'], true],
    [['--list'], false],
    [['filter', '--out', 'queue'], false],
  ])('with %j sends packets: %s', (args, sends) => {
    expect(benchSendsPackets(args)).toBe(sends);
  });
});
