/** The page of `podfence matrix --html`, opened from its file. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { podfence } from '../commands/podfence.ts';
import { describeInBrowser } from './browser.ts';

const SHOP = fileURLToPath(new URL('../../examples/three-tier', import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'podfence-page-'));
  writeFileSync(join(folder, 'many.yaml'), manyPods());
  writeFileSync(join(folder, 'before.yaml'), before());
  await Promise.all([
    podfence(['matrix', '-m', SHOP, '--html', join(folder, 'shop.html')]),
    podfence(['matrix', '-m', SHOP, '--diff', join(folder, 'before.yaml'), '--html', join(folder, 'diff.html')]),
    podfence(['matrix', '-m', join(folder, 'many.yaml'), '--html', join(folder, 'many.html')]),
  ]);
});
afterAll(() => rmSync(folder, { recursive: true }));

/**
 * Returns the shop without the policy that lets the frontend reach the backend, but with the
 * database open to everyone.
 */
function before(): string {
  const policies = readFileSync(join(SHOP, 'policies/shop.yaml'), 'utf8').split(/^---$/m);
  const others = policies.filter((policy) => !/^ {2}name: (frontend|database)$/m.test(policy));
  const hole = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: database, namespace: shop }
spec: { podSelector: { matchLabels: { app: database } }, ingress: [{}] }
`;
  return [...others, hole].join('---');
}

/** Returns 360 pods of 90 workloads in 15 namespaces, open only within their own namespace. */
function manyPods(): string {
  const documents = Array.from({ length: 15 }, (_, n) => [
    `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: own, namespace: team-${n}}, spec: {podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}}`,
    ...Array.from(
      { length: 6 },
      (_, w) =>
        `{apiVersion: apps/v1, kind: Deployment, metadata: {name: app-${w}, namespace: team-${n}}, spec: {replicas: 4, template: {metadata: {labels: {app: app-${w}}}, spec: {containers: [{name: c, ports: [{containerPort: ${8000 + w}}]}]}}}}`,
    ),
  ]);
  return documents.flat().join('\n---\n');
}

/** Finds the cell between two ends by the names of its row and column. */
async function cell(page: Page, from: string, to: string) {
  const rows = await page.locator('tbody th[scope=row]').allInnerTexts();
  const columns = await page.locator('thead th[scope=col]').allInnerTexts();
  const [row, column] = [rows.indexOf(from), columns.indexOf(to)];
  if (row < 0 || column < 0) throw new Error(`${from} of ${rows}, ${to} of ${columns}`);
  return page.locator(`td[data-row="${row}"][data-column="${column}"]`);
}

/** Returns the visible text of an element, without anything folded. */
const seen = async (locator: Locator) => (await locator.allInnerTexts()).join();
const textOf = async (page: Page, from: string, to: string) => await seen(await cell(page, from, to));
const panelOf = (page: Page) => seen(page.locator('#panel'));

test('the page refers to nothing outside itself, and may load nothing', () => {
  const html = readFileSync(join(folder, 'shop.html'), 'utf8');
  expect(html.match(/(?:src|href|url|import)\s*[=(]\s*["']?[^"')\s]+/g)).toBeNull();
  expect(html).not.toMatch(/https?:/);
  expect(html).toContain(`content="default-src 'none';`);
});

describeInBrowser('the page', (open) => {
  test('shows every end by namespace, and what is allowed between them', async () => {
    await using opened = await open(join(folder, 'shop.html'));
    const { page, noise } = opened;
    expect(await page.locator('tbody tr.section').allInnerTexts()).toEqual([
      '▾ elsewhere',
      '▾ kube-system',
      '▾ shop',
      '▾ outside the cluster',
    ]);
    expect(await textOf(page, 'backend ×2', 'database-0')).toBe('●');
    expect(await textOf(page, 'stranger', 'database-0')).toBe('·');
    expect(await textOf(page, 'frontend-1', 'backend ×2')).toBe('◐');
    expect(await textOf(page, 'stranger', 'stranger')).toBe('');
    expect(await seen(page.locator('#summary'))).toMatch(/^\d+ of \d+ ways are open$/);
    expect(noise).toEqual([]);
  });

  test('filters by port', async () => {
    await using opened = await open(join(folder, 'shop.html'));
    const { page, noise } = opened;
    await page.selectOption('#port', 'TCP 9000');
    expect(await page.locator('thead th[scope=col]').allInnerTexts()).toEqual(['backend ×2']);
    expect(await textOf(page, 'frontend-1', 'backend ×2')).toBe('●');
    expect(await seen(page.locator('#summary'))).toBe('1 of 7 ways on TCP 9000 are open');
    await page.selectOption('#port', 'TCP 9090');
    expect(await textOf(page, 'frontend-1', 'backend ×2')).toBe('·');
    expect(noise).toEqual([]);
  });

  test('explains a cell on a click, with the policies by file and line', async () => {
    await using opened = await open(join(folder, 'shop.html'));
    const { page, noise } = opened;
    await (await cell(page, 'stranger', 'database-0')).click();
    const panel = await panelOf(page);
    expect(panel).toContain('elsewhere/stranger → shop/database-0');
    expect(panel).toContain('no policy selects elsewhere/stranger for egress');
    expect(panel).toMatch(
      /policy shop\/database rule 1 would allow port 5432 from pods with app=backend; .*shop\.yaml:\d+/,
    );
    expect(panel).toContain('kind: NetworkPolicy');
    await (await cell(page, 'frontend-1', 'backend ×2')).click();
    expect(await panelOf(page)).toMatch(/TCP 9000 allowed\s*by Service shop\/backend:80/);
    expect(await panelOf(page)).toMatch(/policy shop\/backend rule 1 \(.*shop\.yaml:\d+\)/);
    expect(noise).toEqual([]);
  });

  test('is usable by keyboard: arrows, Enter, Escape', async () => {
    await using opened = await open(join(folder, 'shop.html'));
    const { page, noise } = opened;
    await page.locator('td[tabindex="0"]').focus();
    for (const key of ['ArrowDown', 'ArrowRight', 'ArrowRight', 'ArrowRight', 'ArrowUp'])
      await page.keyboard.press(key);
    expect(await seen(page.locator('#status'))).toBe('elsewhere/stranger → shop/database-0: 0 of 1 allowed');
    expect(await page.locator(':focus').getAttribute('aria-label')).toBe(await seen(page.locator('#status')));
    await page.keyboard.press('Enter');
    expect(await panelOf(page)).toContain('elsewhere/stranger → shop/database-0');
    await page.keyboard.press('Escape');
    expect(await page.locator('#panel').isVisible()).toBe(false);
    await page.keyboard.press('End');
    expect(await seen(page.locator('#status'))).toContain('elsewhere/stranger → 192.0.2.0/24');
    expect(noise).toEqual([]);
  });

  test('folds many namespaces, unfolds one, and lists the cells between two', async () => {
    await using opened = await open(join(folder, 'many.html'));
    const { page, noise } = opened;
    expect(await page.locator('tbody th[scope=row]').count()).toBe(16);
    await page.locator('td[data-row="2"][data-column="2"]').click();
    await page.getByRole('button', { name: 'team-2/app-0 → team-2/app-1', exact: false }).click();
    expect(await panelOf(page)).toContain('team-2/app-1: the same holds for 4');
    await page.locator('tbody button', { hasText: 'team-2 (6)' }).click();
    expect(await page.locator('tbody th[scope=row]').count()).toBe(15 + 6);
    expect(await textOf(page, 'app-0 ×4', 'app-1 ×4')).toBe('●');
    await page.fill('#search', 'team-3/app-5');
    expect(await page.locator('tbody th[scope=row]').allInnerTexts()).toContain('▸ team-3 (6)');
    expect(noise).toEqual([]);
  });

  test('shows what a change opened and closed, and how it was before', async () => {
    await using opened = await open(join(folder, 'diff.html'), { colorScheme: 'dark' });
    const { page, noise } = opened;
    expect(await textOf(page, 'frontend-1', 'backend ×2')).toBe('+');
    expect(await textOf(page, 'stranger', 'database-0')).toBe('−');
    // Only on its own port now.
    expect(await textOf(page, 'backend ×2', 'database-0')).toBe('◐');
    const background = (await cell(page, 'frontend-1', 'backend ×2')).evaluate(
      (td) => getComputedStyle(td).backgroundColor,
    );
    expect(await background).toBe('rgb(74, 29, 18)');
    await (await cell(page, 'stranger', 'database-0')).click();
    await page.locator('#panel summary', { hasText: 'before the change: allowed' }).first().click();
    expect(await panelOf(page)).toMatch(/TCP 5432 denied\s*closed/);
    expect(await panelOf(page)).toMatch(/before the change: allowed[\s\S]*policy shop\/database rule 1/);
    await page.check('#changes');
    expect(await page.locator('tbody th[scope=row]').allInnerTexts()).not.toContain('backend ×2');
    expect(await page.locator('thead th[scope=col]').allInnerTexts()).not.toContain('kube-dns');
    expect(noise).toEqual([]);
  });
});
