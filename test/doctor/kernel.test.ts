/** Findings from a kernel's version string and from trials. */
import { describe, expect, test } from 'vitest';
import { abilities, steering } from '../../src/doctor/kernel-abilities.ts';
import { desktopKernel, firstPackets, parseRelease, type Release } from '../../src/doctor/kernel-release.ts';

function release(text: string): Release {
  const parsed = parseRelease(text);
  if (parsed === undefined) throw new Error(`${text} is no release`);
  return parsed;
}

describe('two first packets of one flow in a queue', () => {
  test.each([
    ['6.12.0', 'ok', 'certain'],
    ['6.18.44-fc-v782', 'ok', 'certain'],
    ['7.0.1-arch1-1', 'ok', 'certain'],
    ['6.11.9-200', 'warning', 'likely'],
    ['6.1.0-28-amd64', 'warning', 'likely'],
    ['5.15.0-126-generic', 'warning', 'likely'],
    ['5.14.0-503.15.1.el9_5.x86_64', 'warning', 'possible'],
    ['6.1.119-129.201.amzn2023.x86_64', 'warning', 'possible'],
    ['6.6.87.2-microsoft-standard-WSL2', 'warning', 'likely'],
  ])('recorded: Linux %s: %s, %s', (text, severity, certainty) => {
    expect(firstPackets(release(text))).toMatchObject({ code: 'PD102', severity, certainty });
  });

  test('recorded: an old kernel loses nothing if nftables judges before routing', () => {
    const steering = { chosen: 'nftables', beforeRouting: true } as const;
    expect(firstPackets(release('6.1.0-28-amd64'), steering)).toMatchObject({ code: 'PD102', severity: 'ok' });
  });

  test.each([
    [undefined, 'not checked here'],
    [{ chosen: 'iptables', beforeRouting: true }, 'only if nftables steers, which it does not here'],
    [{ chosen: 'nftables', beforeRouting: false }, 'nft_fib_inet'],
  ] as const)('recorded: otherwise an old kernel is a warning, with the remedy for pods (%j)', (steering, why) => {
    const { severity, message, advice } = firstPackets(release('6.1.0-28-amd64'), steering);
    expect(severity).toBe('warning');
    expect(message).toContain(why);
    expect(advice).toContain('single-request');
  });
});

describe('kernels of desktops', () => {
  test.each([
    ['5.15.167.4-microsoft-standard-WSL2', 'WSL2'],
    ['6.6.87.2-microsoft-standard-WSL2', 'WSL2'],
    ['6.10.14-linuxkit', 'Docker Desktop'],
    ['6.14.10-orbstack-00291-g1b252bd3edea', 'OrbStack'],
  ])('recorded: %s is one of %s', (text, name) => {
    expect(desktopKernel(release(text))).toEqual([
      expect.objectContaining({
        code: 'PD103',
        severity: 'info',
        message: expect.stringContaining(`kernel of ${name}`),
      }),
    ]);
  });

  test.each(['6.1.0-28-amd64', '6.8.0-1021-azure', '6.6.56+'])('recorded: %s is none', (text) => {
    expect(desktopKernel(release(text))).toEqual([]);
  });

  test('recorded: a string that is no version yields nothing', () => {
    expect(parseRelease('')).toBeUndefined();
    expect(parseRelease('GENERIC')).toBeUndefined();
  });
});

describe('parts of the kernel', () => {
  const lacks = { code: 'KERNEL_LACKS', message: 'Could not process rule: No such file or directory', hint: 'load it' };

  test.each([
    ['nft-queue', 'info'],
    ['iptables-queue', 'info'],
    ['ipset', 'info'],
    ['connection-marks', 'problem'],
    ['packet-copies', 'warning'],
    ['connection-events', 'info'],
    ['fib', 'warning'],
    ['connection-table', 'problem'],
  ] as const)('recorded: without %s: %s', (ability, severity) => {
    const [found] = abilities([{ ability, refusal: lacks }]);
    expect(found).toMatchObject({ check: ability, severity, certainty: 'certain' });
    expect(found?.message).toContain('No such file or directory');
    expect(abilities([{ ability }])).toEqual([expect.objectContaining({ check: ability, severity: 'ok' })]);
  });

  test('recorded: what may not be tried says nothing about the kernel', () => {
    const refusal = { code: 'NOT_PERMITTED', message: 'Operation not permitted', hint: 'run as root' };
    expect(abilities([{ ability: 'nft-queue', refusal }])).toEqual([
      expect.objectContaining({ check: 'not-looked', severity: 'info', advice: 'Run as root.' }),
    ]);
  });
});

describe('the steering', () => {
  const refusal = (tool: string) => ({
    code: 'KERNEL_LACKS',
    message: `${tool} cannot steer packets here: no queue`,
    hint: `load ${tool}`,
  });
  test('recorded: if neither kind works that is a problem, with what to do for both', () => {
    const found = steering({ nftables: refusal('nftables'), iptables: refusal('iptables') });
    expect(found).toMatchObject({ code: 'PD101', severity: 'problem', advice: 'Load iptables; load nftables.' });
  });

  test.each([
    [{ chosen: 'nftables' }, 'by nftables: both kinds work, and nftables is preferred'],
    [
      { chosen: 'nftables', iptables: refusal('iptables') },
      'by nftables: iptables cannot steer packets here: no queue',
    ],
    [
      { chosen: 'iptables', nftables: refusal('nftables') },
      'by iptables: nftables cannot steer packets here: no queue',
    ],
    [{ chosen: 'iptables', inPlace: 'iptables' }, 'by iptables: its rules are there already'],
    [{ chosen: 'nftables', inPlace: 'nftables' }, 'by nftables: both kinds work, and its rules are there already'],
  ] as const)('recorded: %j says why', (survey, words) => {
    expect(steering(survey)).toMatchObject({ severity: 'ok', message: expect.stringContaining(words) });
  });
});
