/** What an agent answers at /flows. */
import { expect } from 'vitest';
import type { FlowLine, LeftOut } from '../../src/flows/flow.ts';
import type { LabHost } from '../../src/lab/lab.ts';
import { patience } from '../patience.ts';
import { getIn } from './http-in-netns.ts';

export const QUERIES = { address: '127.0.0.1', port: 9465 };
/** How long anything that must happen may take, in ms. */
export const PATIENCE = patience(20_000);

export interface FlowLines {
  readonly lines: FlowLine[];
  readonly leftOut: LeftOut[];
}

/** Returns all lines that match the query, from the agent on that node. */
export async function flowLines(node: LabHost, query = ''): Promise<FlowLines> {
  const { status, body } = await getIn(node, QUERIES, `/flows?follow=no&last=100000&${query}`);
  expect(status).toBe(200);
  const of = (type: string) =>
    [...body.matchAll(/^event: (.*)\ndata: (.*)$/gm)].flatMap(([, event, data = '']) =>
      event === type ? JSON.parse(data) : [],
    );
  return { lines: of('flow'), leftOut: of('left-out') };
}

/** Asks until the answer contains such a line. */
export async function seenFlow(node: LabHost, line: object, query = ''): Promise<FlowLine> {
  const deadline = performance.now() + PATIENCE;
  for (;;) {
    const { lines } = await flowLines(node, query);
    const found = lines.find((each) => expect.objectContaining(line).asymmetricMatch(each));
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`never seen: ${JSON.stringify(line)}; ${JSON.stringify(lines)}`);
  }
}
