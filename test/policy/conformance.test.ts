/**
 * Policies with the expected verdict of every flow, from public projects: the case generator of cyclonus and the
 * kubernetes-network-policy-recipes. The files are no part of this project; PODFENCE_CONFORMANCE names their folder, and where there is none
 * the test is skipped.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { namespaceRecord, projectPolicy } from '../../src/cluster/projection.ts';
import type { Labels, PodRecord, Protocol } from '../../src/cluster/records.ts';
import { type ClusterSnapshot, ClusterStore } from '../../src/cluster/store.ts';
import { PolicyCompiler } from '../../src/policy/compiler.ts';
import { judgeSides } from './judge-sides.ts';

interface Case {
  readonly description: string;
  readonly steps: readonly Step[];
}

interface Step {
  readonly policies: readonly unknown[];
  readonly namespaces: Readonly<Record<string, Labels>>;
  readonly pods: readonly {
    readonly namespace: string;
    readonly name: string;
    readonly ip: string;
    readonly labels: Labels;
    readonly ports: readonly { readonly name: string; readonly port: number; readonly protocol: Protocol }[];
  }[];
  readonly flows: readonly {
    readonly from: string;
    readonly to: string;
    readonly port: number;
    readonly protocol: Protocol;
    readonly ingress: boolean;
    readonly egress: boolean;
  }[];
}

const FOLDER = process.env.PODFENCE_CONFORMANCE ?? resolve(import.meta.dirname, '../../../shared/conformance');
const FILES = existsSync(FOLDER) ? readdirSync(FOLDER).filter((name) => name.endsWith('.jsonl.gz')) : [];
const PROTOCOL_NUMBERS = { TCP: 6, UDP: 17, SCTP: 132 };
const NODE = { name: 'node', addresses: [] };

describe.skipIf(FILES.length === 0)('conformance (needs the files in PODFENCE_CONFORMANCE)', () => {
  test.each(FILES)('every flow of %s is judged as expected', (file) => {
    const lines = gunzipSync(readFileSync(join(FOLDER, file)))
      .toString()
      .trimEnd()
      .split('\n');
    let flows = 0;
    const differing: string[] = [];
    for (const line of lines) {
      const { description, steps } = JSON.parse(line) as Case;
      const store = new ClusterStore();
      const compiler = new PolicyCompiler(NODE);
      for (const [index, step] of steps.entries()) {
        // The steps of a case change one cluster, so they also try incremental compiling.
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

/** Each flow in text, and whether both of its sides are judged as expected. A pod always reaches itself, whatever its policies. */
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

function snapshotOf({ policies, namespaces, pods }: Step): ClusterSnapshot {
  return {
    namespaces: Object.entries(namespaces).map(([name, labels]) => namespaceRecord(name, labels)),
    pods: pods.map(
      ({ namespace, name, ip, labels, ports }): PodRecord => ({
        kind: 'Pod',
        namespace,
        name,
        labels,
        nodeName: NODE.name,
        addresses: [ip],
        hostNetwork: false,
        ports: ports.map(({ name, ...port }) => (name === '' ? port : { name, ...port })),
      }),
    ),
    policies: policies.map((object) => {
      const { record, problems } = projectPolicy(object);
      if (record === undefined) throw new Error(`unreadable policy: ${JSON.stringify(problems)}`);
      return record;
    }),
  };
}
