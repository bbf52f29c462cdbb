/** The ends that a change concerns: all that lose an allowance, but not all others. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ClusterChange } from '../../src/cluster/store.ts';
import { type AddressWords, addressText, addressWords } from '../../src/policy/address-words.ts';
import { type CompiledPolicies, PolicyCompiler } from '../../src/policy/compiler.ts';
import type { Concerned } from '../../src/policy/concerned.ts';
import type { RuleTable } from '../../src/policy/rule-table.ts';
import { isDeniedByEnforced, slotOf } from './judge-sides.ts';
import { ADDRESSES, grownHistory, inModes, NODE, PACKETS } from './random-cluster.ts';
import * as records from './records.ts';

const SEED = process.env.FC_SEED === undefined ? {} : { seed: Number(process.env.FC_SEED) };

function isConcerned(concerned: Concerned, table: RuleTable, text: string): boolean {
  const identity = table.identityOf(slotOf(table, text));
  const [a0 = 0, a1 = 0, a2 = 0, a3 = 0] = addressWords(text) as AddressWords;
  return text.includes(':') ? concerned.includes6(a0, a1, a2, a3, identity) : concerned.includes4(a0, identity);
}

/**
 * Returns the flows between any two addresses that `table` lets pass, without the compiler's index.
 */
function passing(table: RuleTable): Set<string> {
  const flows = new Set<string>();
  for (const source of ADDRESSES) {
    for (const destination of ADDRESSES) {
      if (source.includes(':') !== destination.includes(':')) continue;
      for (const [protocol, port] of PACKETS) {
        if (!isDeniedByEnforced(table, { source, destination, protocol, port }))
          flows.add(`${source} ${destination} ${protocol} ${port}`);
      }
    }
  }
  return flows;
}

describe('the concerned', () => {
  test('include an end of every flow that a change denies', () => {
    fc.assert(
      fc.property(inModes(grownHistory), (batches) => {
        const compiler = new PolicyCompiler(NODE.name);
        let before = passing(compiler.compile().table);
        for (const batch of batches) {
          compiler.apply(batch);
          const { table, concerned } = compiler.compile();
          const after = passing(table);
          for (const flow of before.difference(after)) {
            const [source = '', destination = ''] = flow.split(' ');
            const named = isConcerned(concerned, table, source) || isConcerned(concerned, table, destination);
            if (!named) expect.fail(`${flow} was allowed, is not any more, and nobody is concerned`);
          }
          before = after;
        }
      }),
      { numRuns: 25, ...SEED },
    );
  });

  const WEB = records.pod('web', '10.0.0.1', { app: 'web' });
  const FAR = records.pod('far', '10.0.0.2', { app: 'far' }, { nodeName: 'there' });
  const compiler = new PolicyCompiler(records.NODE.name);
  const POLICY = records.ingressPolicy('web', [], { podSelector: records.matching({ app: 'web' }) });
  const applied = (changes: readonly ClusterChange[]): CompiledPolicies => {
    compiler.apply(changes);
    return compiler.compile();
  };
  const addresses = ({ concerned }: CompiledPolicies) => concerned.addresses(10)?.map(addressText);

  test('are the addresses whose pods, labels or policies change', () => {
    expect(addresses(applied(records.set(records.namespace('default'), WEB)))).toEqual(['10.0.0.1']);
    expect(addresses(applied(records.set(POLICY)))).toEqual(['10.0.0.1']);
    expect(addresses(applied(records.set(FAR)))).toEqual([]);
    expect(addresses(applied(records.set({ ...FAR, labels: { app: 'other' } })))).toEqual(['10.0.0.2']);
    expect(addresses(applied(records.remove(FAR)))).toEqual(['10.0.0.2']);
    expect(addresses(applied(records.set(records.pod('late', '10.0.0.1', {}, { nodeName: 'there' }))))).toEqual([
      '10.0.0.1',
    ]);
  });

  test('are none if a change affects nothing', () => {
    const { concerned } = applied(records.set(WEB, records.pod('new', '10.0.0.9', {}, { nodeName: 'there' })));
    expect(concerned.isEmpty).toBe(true);
    expect(applied([]).concerned.isEmpty).toBe(true);
  });
});
