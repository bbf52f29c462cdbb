/**
 * A lab on paper: the same pods, nodes and probes as in `Lab`, but one filter per node judges the
 * first packet of each connection and its answer in memory. Needs neither root nor Linux.
 */

import { servicePorts } from '../cluster/service-ports.ts';
import { FlowTable } from '../conntrack/flow-table.ts';
import { Filter } from '../filter/filter.ts';
import { FIRST_DENY } from '../filter/reasons.ts';
import { answeringPacket, type Endpoints, openingPacket } from '../packet/first-packets.ts';
import { addressWords } from '../policy/address-words.ts';
import { PolicyCompiler } from '../policy/compiler.ts';
import { Expectations, IANA } from './expectations.ts';
import type { ProbeResult } from './lab.ts';
import { type ExternalHost, type LabInput, Plan } from './plan.ts';
import { allProbes, type Probe } from './probes.ts';

const FLOWS = 65_536;

/** Judges every probe of a lab on paper. `judged` counts the judged packets. */
export function judgeOnPaper(
  manifests: LabInput,
  nodes: number | readonly string[] | undefined,
  externals: readonly ExternalHost[],
): { readonly results: readonly ProbeResult[]; readonly judged: number } {
  const plan = new Plan(manifests, nodes, externals);
  const { snapshot } = plan.place(manifests.snapshot);
  const records = [...snapshot.namespaces, ...snapshot.pods, ...snapshot.policies];
  const changes = records.map((record) => ({ type: 'set', record }) as const);
  const filters = new Map(
    plan.nodes.map((node) => {
      const compiler = new PolicyCompiler(node.name);
      compiler.apply(changes);
      return [node.name, new Filter(new FlowTable(FLOWS), compiler.compile().table)];
    }),
  );
  const expectations = new Expectations(plan.nodes);
  expectations.apply(changes);
  const pods = snapshot.pods.filter(({ addresses }) => addresses.length > 0);
  const probes = allProbes({ ...plan, pods, services: servicePorts(manifests.services, pods) });
  let judged = 0;
  const passes = (hops: Probe['hops'], endpoints: (source: string) => Endpoints, packet: typeof openingPacket) =>
    hops.every(({ node, source }) => {
      const view = packet(endpoints(source));
      judged++;
      const filter = filters.get(node);
      return (
        filter === undefined ||
        filter.judge(view, 0, view.byteLength, view.byteLength, 0) < FIRST_DENY ||
        filter.isAudited
      );
    });
  const results = probes.map((probe, i): ProbeResult => {
    const endpoints = endpointsOf(probe, probe.sourcePorts.first + (i % probe.sourcePorts.count));
    const expected = expectations.allows(probe.hops, probe.podAddress, probe.protocol, probe.podPort);
    const delivered = passes(probe.hops, endpoints, openingPacket);
    const answered = delivered && passes(probe.hops.toReversed(), endpoints, answeringPacket);
    const { from, to, port, protocol, via, address, pod } = probe;
    const verdicts = { expected: expected ? 'allow' : 'deny', observed: answered ? 'allow' : 'deny' } as const;
    return { from, to, port, protocol, ...verdicts, via, address, pod, delivered, detail: 'judged in memory' };
  });
  return { results, judged };
}

function endpointsOf(probe: Probe, sourcePort: number): (source: string) => Endpoints {
  const destination = addressWords(probe.podAddress) ?? [];
  return (source) => ({
    source: addressWords(source) ?? [],
    destination,
    protocol: IANA[probe.protocol],
    sourcePort,
    destinationPort: probe.podPort,
  });
}
