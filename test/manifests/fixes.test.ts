import { describe, expect, it } from 'vitest';
import { fixText } from '../../src/manifests/fixes.ts';
import { problemsOf } from './manifest-files.ts';

const HEAD = 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: p }\n';

async function fixed(spec: string): Promise<string> {
  const { text } = await fixText(`${HEAD}spec:\n${spec}`);
  expect(text.startsWith(`${HEAD}spec:\n`)).toBe(true);
  return text.slice(`${HEAD}spec:\n`.length);
}

describe('corrections are made only if there is one possible meaning', () => {
  it.each<[string, string, string]>([
    [
      'a misspelt field',
      '  podSelector:\n    matchLabel: # why\n      app: web\n',
      '  podSelector:\n    matchLabels: # why\n      app: web\n',
    ],
    ['one in flow style', '  podSelector: {matchlabels: {app: web}}\n', '  podSelector: {matchLabels: {app: web}}\n'],
    ['one in quotes', '  "podSelectors": {}\n', '  "podSelector": {}\n'],
    [
      'a field that is indented too far',
      '  podSelector:\n    matchLabels: { app: web }\n    policyTypes:\n    - Ingress # only\n\n    - Egress\n  egress: []\n',
      '  podSelector:\n    matchLabels: { app: web }\n  policyTypes:\n  - Ingress # only\n\n  - Egress\n  egress: []\n',
    ],
    [
      'fields that are indented too little',
      '  podSelector: {}\n  ingress:\n  - from:\n    - ipBlock:\n      cidr: 10.0.0.0/8\n      # not these\n      except:\n      - 10.1.0.0/16\n',
      '  podSelector: {}\n  ingress:\n  - from:\n    - ipBlock:\n        cidr: 10.0.0.0/8\n      # not these\n        except:\n        - 10.1.0.0/16\n',
    ],
    [
      'a selector that is indented too little',
      '  podSelector: {}\n  ingress:\n  - from:\n    - podSelector:\n      matchLabels:\n        app: web\n',
      '  podSelector: {}\n  ingress:\n  - from:\n    - podSelector:\n        matchLabels:\n          app: web\n',
    ],
    [
      'a port in quotes',
      '  podSelector: {}\n  ingress:\n  - ports:\n    - port: "80" # http\n',
      '  podSelector: {}\n  ingress:\n  - ports:\n    - port: 80 # http\n',
    ],
    [
      'a label without quotes',
      '  podSelector: {matchLabels: {on: yes, v: 1.10}}\n',
      '  podSelector: {matchLabels: {on: "yes", v: "1.10"}}\n',
    ],
    [
      'keywords in the wrong case',
      '  podSelector: {}\n  policyTypes: [ingress]\n  ingress: [{ports: [{protocol: udp}]}]\n',
      '  podSelector: {}\n  policyTypes: [Ingress]\n  ingress: [{ports: [{protocol: UDP}]}]\n',
    ],
    [
      'what shows only after another correction',
      '  podSelector: {}\n  policyType: Ingress\n',
      '  podSelector: {}\n  policyTypes: [Ingress]\n',
    ],
    [
      'lines that end as on Windows',
      '  podSelector:\r\n    matchLabel: {app: web}\r\n    policyTypes: [Ingress]\r\n',
      '  podSelector:\r\n    matchLabels: {app: web}\r\n  policyTypes: [Ingress]\r\n',
    ],
  ])('%s', async (_, before, after) => {
    expect(await fixed(before)).toBe(after);
    expect(await problemsOf(`${HEAD}spec:\n${after}`)).toEqual([]);
  });

  it.each<[string, string]>([
    ['a name that is like two others', '  podSelector: {}\n  inegress: []\n'],
    ['a misspelt field beside the correct one', '  podSelector: {}\n  podSelektor: {}\n'],
    ['an address without a prefix length', '  podSelector: {}\n  ingress: [{from: [{ipBlock: {cidr: 10.0.0.1}}]}]\n'],
    ['ports in the wrong order', '  podSelector: {}\n  ingress: [{ports: [{port: 80, endPort: 70}]}]\n'],
    ['fields in the wrong place of a flow', '  podSelector: {matchLabels: {app: web}, policyTypes: [Ingress]}\n'],
    ['a field without which the selector would be empty', '  podSelector:\n    policyTypes: [Ingress]\n'],
    [
      'a field of a peer that has two empty selectors',
      '  podSelector: {}\n  ingress:\n  - from:\n    - podSelector:\n      namespaceSelector:\n      matchLabels: {app: web}\n',
    ],
    [
      'a block beside one that is not empty',
      '  podSelector: {}\n  ingress:\n  - from:\n    - ipBlock: {cidr: 10.0.0.0/8}\n      except: [10.1.0.0/16]\n',
    ],
    ['a rename that leaves an invalid value', '  podSelector: {}\n  ingress:\n  - ports:\n    - prot: [80]\n'],
    ['a text where peers should be', '  podSelector: {}\n  ingress:\n  - from: web\n'],
    [
      'what an alias stands for',
      '  podSelector: &s {matchLabel: {app: web}}\n  ingress:\n  - from:\n    - podSelector: *s\n',
    ],
  ])('not for %s', async (_, spec) => {
    const aliased = spec.includes('*s');
    // The correction may change the anchor itself.
    expect(await fixed(spec)).toBe(aliased ? spec.replace('matchLabel:', 'matchLabels:') : spec);
  });
});

it('other documents stay unchanged, whatever they contain', async () => {
  const other = '# kept\n---\nkind: [\n---\na:   {b: "c"}   # kept\n...\n';
  const { text, fixed: corrections } = await fixText(
    `${other}---\n${HEAD}spec:\n  podSelector: {}\n  policyType: []\n`,
  );
  expect(text).toBe(`${other}---\n${HEAD}spec:\n  podSelector: {}\n  policyTypes: []\n`);
  expect(corrections.map(({ line, fix }) => `${line} ${fix.summary}`)).toEqual([
    '13 "policyType" becomes "policyTypes"',
  ]);
});

it('a corrected file needs no second correction', async () => {
  const { text } = await fixText(`${HEAD}spec:\n  podSelector: {matchLabel: {on: yes}}\n`);
  expect(await fixText(text)).toEqual({ text, fixed: [] });
});
