import { expect, test } from 'vitest';
import { renderAnswer } from '../../src/commands/explain/report.ts';
import { Explainer } from '../../src/explain/explain.ts';
import { allow, ingressPolicy, namespace, pod } from '../policy/records.ts';

test('a suggestion that covers both address families is printed once', () => {
  const pods = ['web', 'db'].map((app, i) =>
    pod(`shop/${app}`, '', { app }, { addresses: [`10.0.0.${i + 1}`, `fd00::${i + 1}`] }),
  );
  // Each family needs a different egress rule, so both are printed.
  const egress = ['0.0.0.0/0', '::/0'].map((cidr) => allow([{ ipBlock: { cidr, except: [] } }]));
  const closed = ingressPolicy('closed', [], { namespace: 'shop', isolates: ['ingress', 'egress'], egress });
  const answer = new Explainer({ snapshot: { namespaces: [namespace('shop')], pods, policies: [closed] } }).answer(
    'shop/web',
    'shop/db',
    '80',
  );
  const text = renderAnswer(answer, { width: 100, colour: false });
  expect(text.match(/denied at shop\/db at/g)).toHaveLength(2);
  expect(text.match(/kind: NetworkPolicy/g)).toHaveLength(1);
  expect(text.trimEnd().split('\n').at(-1)).toBe('The policy suggested above would allow this, too.');
});
