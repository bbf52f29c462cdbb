/**
 * Policies with the expected verdict of every flow, from public projects: the case generator of
 * cyclonus and the kubernetes-network-policy-recipes. The files are not part of this project.
 * PODFENCE_CONFORMANCE names their folder.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { namespaceRecord, projectPolicy } from '../../src/cluster/projection.ts';
import type { Labels, PodRecord, Protocol } from '../../src/cluster/records.ts';
import type { ClusterSnapshot } from '../../src/cluster/store.ts';

export interface Case {
  readonly description: string;
  readonly steps: readonly Step[];
}

export interface Step {
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

export const NODE = { name: 'node', addresses: [] };

const FOLDER = process.env.PODFENCE_CONFORMANCE ?? resolve(import.meta.dirname, '../../../shared/conformance');

/** Names of the files; empty without the folder. */
export const FILES = existsSync(FOLDER) ? readdirSync(FOLDER).filter((name) => name.endsWith('.jsonl.gz')) : [];

export function readCases(file: string): readonly Case[] {
  const text = gunzipSync(readFileSync(join(FOLDER, file))).toString();
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Case);
}

export function snapshotOf({ policies, namespaces, pods }: Step): ClusterSnapshot {
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
