/**
 * The system's own browser, for tests that open pages as people do. Without a browser they are
 * skipped, and their names say so.
 */
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe } from 'vitest';
import { findBrowser, withAdminFolders } from '../../setup/system-packages.mjs';

const executablePath = findBrowser(withAdminFolders(process.env.PATH));

/** A page of a file, and everything that it did besides showing itself. */
export interface OpenPage extends AsyncDisposable {
  readonly page: Page;
  /** Console messages, errors, and requests other than the one for the file itself. */
  readonly noise: readonly string[];
}

type Open = (file: string, options?: { readonly colorScheme?: 'light' | 'dark' }) => Promise<OpenPage>;

/** `describe` for tests in a browser. Without one they are skipped, and their title says why. */
export function describeInBrowser(title: string, tests: (open: Open) => void): void {
  if (executablePath === undefined)
    describe.skip(`${title} (needs a browser: chromium-headless-shell)`, () => tests(noBrowser));
  else describe(title, () => tests(browserFor(executablePath)));
}

async function noBrowser(): Promise<never> {
  throw new Error('there is no browser');
}

function browserFor(executablePath: string): Open {
  let browser: Browser;
  beforeAll(async () => {
    // Chromium has no sandbox as root, and tests in a container usually run as root.
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  });
  afterAll(() => browser.close());
  return async (file, options = {}) => {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, ...options });
    const address = pathToFileURL(file).href;
    const noise: string[] = [];
    page.on('console', (message) => noise.push(message.text()));
    page.on('pageerror', (error) => noise.push(String(error)));
    page.on('request', (request) => {
      if (request.url() !== address) noise.push(request.url());
    });
    await page.goto(address);
    await page.waitForSelector('html[data-ready]');
    return { page, noise, [Symbol.asyncDispose]: () => page.close() };
  };
}
