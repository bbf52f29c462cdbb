/** Every flow of the conformance cases, judged by the compiled table. Skipped without the files. */
import { describe, expect, test } from 'vitest';
import { ClusterStore } from '../../src/cluster/store.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';
import { FILES, NODE, readCases, type Step, snapshotOf } from './conformance-cases.ts';
import { judgeSides } from './judge-sides.ts';

const PROTOCOL_NUMBERS = { TCP: 6, UDP: 17, SCTP: 132 };

describe.skipIf(FILES.length === 0)('conformance (needs the files in PODFENCE_CONFORMANCE)', () => {
  test.each(FILES)('every flow of %s has the expected verdict', (file) => {
    let flows = 0;
    const differing: string[] = [];
    for (const { description, steps } of readCases(file)) {
      const store = new ClusterStore();
      const compiler = new PolicyCompiler(NODE.name);
      for (const [index, step] of steps.entries()) {
        // The steps of a case change one cluster, so they also test incremental compiling.
        compiler.apply(store.replace(snapshotOf(step)));
        for (const [flow, agrees] of judge(compiler, step)) {
          flows++;
          if (!agrees) differing.push(`${description}, step ${index}: ${flow}`);
        }
      }
    }
    console.log(`conformance: ${file}: ${flows - differing.length} of ${flows} flows agree`);
    expect(flows).toBeGreaterThan(0);
    expect(differing).toEqual([]);
  });
});

/**
 * Yields each flow as text, and whether both of its sides get the expected verdict. A pod always
 * reaches itself.
 */
function* judge(compiler: PolicyCompiler, { pods, flows }: Step): Generator<[flow: string, agrees: boolean]> {
  const { table } = compiler.compile();
  const addresses = new Map(pods.map(({ namespace, name, ip }) => [`${namespace}/${name}`, ip]));
  for (const { from, to, port, protocol, ingress, egress } of flows) {
    if (from === to) continue;
    const sides = judgeSides(table, {
      source: addresses.get(from) ?? '',
      destination: addresses.get(to) ?? '',
      protocol: PROTOCOL_NUMBERS[protocol],
      port,
    });
    const agrees = sides.egress.allowed === egress && sides.ingress.allowed === ingress;
    yield [`${from} to ${to} ${port}/${protocol}: egress ${egress}, ingress ${ingress}`, agrees];
  }
}
