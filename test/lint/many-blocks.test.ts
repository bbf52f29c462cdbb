/**
 * What lint costs with thousands of blocks, in comparisons of two blocks and in compiled blocks.
 */
import { beforeEach, describe, expect, it, vi } from 'vitest';

const steps = vi.hoisted(() => ({ compared: 0, compiled: 0 }));

vi.mock('../../src/cluster/addresses.ts', async (original) => {
  const addresses = await original<typeof import('../../src/cluster/addresses.ts')>();
  return {
    ...addresses,
    isStrictlyInside: (...args: Parameters<typeof addresses.isStrictlyInside>) => {
      steps.compared++;
      return addresses.isStrictlyInside(...args);
    },
  };
});

vi.mock('../../src/policy/cidr.ts', async (original) => {
  const cidr = await original<typeof import('../../src/policy/cidr.ts')>();
  return {
    ...cidr,
    prefixPorts: (...args: Parameters<typeof cidr.prefixPorts>) => {
      for (const { except } of args[0]) steps.compiled += 1 + except.length;
      return cidr.prefixPorts(...args);
    },
  };
});

const { findingsOf, pod, policy } = await import('./linted.ts');

const addressOf = (i: number) => `10.${100 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`;
const counted = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
const from = (...peers: readonly object[]) => ({ from: peers });
const block = (cidr: string, except: readonly string[] = []) => ({ ipBlock: { cidr, except } });

beforeEach(() => {
  steps.compared = 0;
  steps.compiled = 0;
});

async function costOf(manifests: readonly Readonly<Record<string, unknown>>[], found: number): Promise<number> {
  [steps.compared, steps.compiled] = [0, 0];
  const findings = await findingsOf('except-without-effect', manifests);
  expect(findings).toHaveLength(found);
  return steps.compared + steps.compiled;
}

/**
 * Four times as many blocks cost about four times as much. A quadratic cost would be sixteen times.
 */
async function expectNearLinear(
  manifestsOf: (count: number) => readonly Readonly<Record<string, unknown>>[],
  foundOf: (count: number) => number = () => 0,
): Promise<void> {
  const small = await costOf(manifestsOf(250), foundOf(250));
  const large = await costOf(manifestsOf(1000), foundOf(1000));
  expect(large / small).toBeLessThan(6);
}

describe('thousands of blocks cost lint in proportion to their number', () => {
  it('excepts of one block', () =>
    expectNearLinear((count) => {
      const except = counted(count, (i) => `${addressOf(i)}/32`);
      return [policy({ ingress: [from(block('10.0.0.0/8', except))] })];
    }));

  it('excepts without effect', () =>
    expectNearLinear(
      (count) => {
        const except = ['10.100.0.0/16', ...counted(count, (i) => `${addressOf(i)}/32`)];
        return [policy({ ingress: [from(block('10.0.0.0/8', except))] })];
      },
      (count) => count,
    ));

  it('excepts that another entry allows', () =>
    expectNearLinear(
      (count) => {
        const except = counted(count, (i) => `${addressOf(i)}/32`);
        return [policy({ ingress: [from(block('10.0.0.0/8', except), block('10.100.0.0/16'))] })];
      },
      (count) => count,
    ));

  it('pods in excepts', () =>
    expectNearLinear((count) => {
      const except = counted(count, (i) => `${addressOf(i)}/32`);
      const pods = counted(count, (i) => ({ ...pod(`shop/web-${i}`), status: { podIP: addressOf(i) } }));
      return [policy({ ingress: [from(block('10.0.0.0/8', except))] }), ...pods];
    }));

  it('two rules with the same blocks', () =>
    expectNearLinear((count) => {
      const peers = counted(count, (i) => block(`${addressOf(i)}/32`));
      return [policy({ ingress: [from(...peers), from(...peers)] })];
    }));

  it.each([50, 70, 100, 200])('%i blocks with 40 excepts each are compared up to a bound', async (count) => {
    const except = counted(39, (i) => `${addressOf(i)}/32`);
    const peers = counted(count, (i) => block('10.0.0.0/8', [...except, `${addressOf(50_000 + i)}/32`]));
    [steps.compared, steps.compiled] = [0, 0];
    await findingsOf('except-without-effect', [policy({ ingress: [from(...peers)] })]);
    expect(steps.compared + steps.compiled).toBeLessThan(3_000_000);
  });
});
