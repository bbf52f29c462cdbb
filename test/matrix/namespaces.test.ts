import { expect, test } from 'vitest';
import { SectionMatrix } from '../../src/matrix/namespaces.ts';
import { Reachability } from '../../src/matrix/reachability.ts';
import { SHOP } from './cluster.ts';

test('namespaces count the cells between their pods', () => {
  const namespaces = new SectionMatrix(new Reachability(SHOP));
  expect(namespaces.sections).toEqual(['else', 'shop', 'outside the cluster']);
  // web to db and to itself, and db to web.
  expect(namespaces.counts('shop', 'shop')).toEqual({ allow: 1, deny: 2, mixed: 0, opened: 0, closed: 0 });
  expect(namespaces.counts('else', 'shop')).toMatchObject({ allow: 0, deny: 2 });
  expect(namespaces.counts('outside the cluster', 'outside the cluster')).toBeUndefined();
});

test('namespaces count what a change opened and closed between them', () => {
  // On its own port, and on all others of three protocols.
  const [toDb, toWeb] = SHOP.policies;
  if (toDb === undefined || toWeb === undefined) throw new Error('no policies');
  const namespaces = new SectionMatrix(new Reachability(SHOP, { before: { ...SHOP, policies: [toWeb] } }));
  expect(namespaces.counts('else', 'shop')).toMatchObject({ opened: 0, closed: 4 });
  expect(namespaces.counts('shop', 'shop')).toMatchObject({ allow: 1, opened: 0, closed: 3 });
});
