import { describe, expect, test } from 'vitest';
import { commandFailed, toolMissing } from '../../../src/dataplane/steering/error.ts';

/** As written by iptables 1.8.9, nft 1.0.6 and ipset 7.17. */
const SEEN: readonly [code: string, status: number, stderr: string][] = [
  [
    'NOT_PERMITTED',
    1,
    '/dev/stdin:1:1-17: Error: Could not process rule: Operation not permitted\nadd table inet x\n^^^^^',
  ],
  [
    'NOT_PERMITTED',
    1,
    'Operation not permitted (you must be root)\nnetlink: Error: cache initialization failed: Operation not permitted',
  ],
  [
    'NOT_PERMITTED',
    4,
    'iptables-nft-save v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)',
  ],
  ['NOT_PERMITTED', 1, 'iptables-save v1.8.9 (legacy): Cannot initialize: Permission denied (you must be root)'],
  ['NOT_PERMITTED', 1, 'ipset v7.17: Kernel error received: Operation not permitted'],
  ['NOT_PERMITTED', 4, "Fatal: can't open lock file /run/xtables.lock: Permission denied"],
  [
    'KERNEL_LACKS',
    1,
    '/dev/stdin:3:3-27: Error: Could not process rule: No such file or directory\n  queue flags bypass to 0-1',
  ],
  [
    'KERNEL_LACKS',
    4,
    'iptables-nft-restore v1.8.9 (nf_tables): \nline 3: RULE_APPEND failed (No such file or directory): rule in chain XX',
  ],
  ['KERNEL_LACKS', 2, "iptables-restore v1.8.9 (legacy): Couldn't load target `NOSUCH':No such file or directory"],
  [
    'KERNEL_LACKS',
    3,
    "ip6tables v1.8.9 (legacy): can't initialize ip6tables table `mangle': Table does not exist (do you need to insmod?)",
  ],
  ['KERNEL_LACKS', 1, 'ipset v7.17: Error in line 1: Kernel error received: set type not supported'],
  ['KERNEL_LACKS', 1, 'ipset v7.17: Cannot open session to kernel.'],
  [
    'BUSY',
    4,
    'Another app is currently holding the xtables lock; still 1s 0us time ahead to have a chance to grab the lock...',
  ],
  ['FAILED', 1, 'iptables-nft-restore: line 2 failed: Bad rule (does a matching rule exist in that chain?).'],
  ['FAILED', 1, 'iptables-restore: line 2 failed'],
  ['FAILED', 1, 'ipset v7.17: Set cannot be destroyed: it is in use by a kernel component'],
];

describe('the error of a command', () => {
  test.each(SEEN)('is %s for status %i and %j', (code, status, stderr) => {
    const error = commandFailed('tool -x', status, stderr);
    expect(error.code).toBe(code);
    expect(error.message).toContain(`tool -x: ${stderr.trim().split('\n')[0]?.trim()}`);
    expect(error.hint).not.toBe('');
  });

  test('has the first three lines of the command’s output, or its status', () => {
    expect(commandFailed('nft', 1, 'one\ntwo\nthree\nfour\n').message).toBe('nft: one\ntwo\nthree');
    expect(commandFailed('nft', 7, '').message).toBe('nft: status 7');
  });

  test.each([
    ['nft', 'nftables'],
    ['ipset', 'ipset'],
    ['ip6tables-restore', 'iptables'],
  ])('says for a missing %s to install the package %s', (command, name) => {
    expect(toolMissing(command)).toMatchObject({ code: 'TOOL_MISSING', hint: `install the package ${name}` });
  });
});
