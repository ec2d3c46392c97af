// What people see, in a real browser: Chromium, without a window.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';

import { chromium } from 'playwright-core';

import { Skip } from '../harness.mjs';
import { Program } from '../program.mjs';

const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

// A browser with nothing in it yet, of which everything is said that it complains of.
async function withBrowser({ chromium: program, noChromium }, work, options = {}) {
  if (!program) throw new Skip(noChromium ?? 'there is no Chromium');
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tidegate-chromium-'));
  const browser = await chromium.launchPersistentContext(folder, {
    executablePath: program,
    args: ARGS,
    viewport: { width: 900, height: 760 },
    ...options,
  });
  try {
    const complaints = [];
    const page = browser.pages()[0];
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    await work(page, complaints, browser);
  } finally {
    await browser.close();
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

// Where a program waits for its user's browser.
async function listening(work) {
  const server = http.createServer();
  const arrived = new Promise((resolve) => {
    server.on('request', (request, response) => {
      const url = new URL(request.url, 'http://127.0.0.1');
      response.setHeader('content-type', 'text/html');
      response.end(
        '<!doctype html><title>Done</title><link rel="icon" href="data:,">You can close this page.',
      );
      if (url.pathname === '/back') resolve(url.searchParams);
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await work(`http://127.0.0.1:${server.address().port}/back`, arrived);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

const picture = ({ files }, page, name) =>
  page.screenshot({ path: path.join(path.dirname(files), `${name}.png`), fullPage: true });

// A person at a window: from the program's link to the program's own page.
async function signIn(page, url, { who, decision = 'Allow', see = () => {} }) {
  await page.goto(url.href);
  await see('consent');
  await page.getByRole('button', { name: decision, exact: true }).click();
  if (who) {
    await page.getByLabel('Who are you?').fill(who);
    await page.getByRole('button', { name: 'Sign in' }).click();
  }
  await page.waitForURL(/127\.0\.0\.1:\d+\/back\?/);
}

export const pages = {
  'somebody signs in with Chromium, is asked, and sees what he has granted': ({ world, gateways }) =>
    withBrowser(world, (page, complaints) =>
      listening(async (redirect, arrived) => {
        const { base } = gateways.strict;
        const program = new Program('v2', `${base}/plain/mcp`, { name: 'Example Editor', redirect });
        const { url, finish } = await program.begin();
        const see = (name) => picture(world, page, `chromium-${name}`);
        await signIn(page, url, { who: 'ann', see });
        await finish(await arrived);
        const client = await program.connect();
        assert((await client.listTools()).tools.length > 3);
        await client.close();
        await page.goto(`${base}/oauth/account`);
        await see('account');
        assert.match(await page.textContent('main'), /You are corp:ann.*Example Editor/s);
        // Its form is the gateway's own, and leads to a page that leads on.
        const row = page.getByRole('row', { name: 'Example Editor' });
        await row.getByRole('button', { name: 'Take back' }).click();
        await page.waitForFunction(() => !document.body.textContent.includes('Example Editor'));
        await page.getByRole('button', { name: 'Sign out' }).click();
        await page.getByText('You are signed out').waitFor();
        assert.deepEqual(complaints, [], 'the policy of a page blocks nothing of it');
      }),
    ),

  'who does not allow it with Chromium is sent back, and not to the company': ({
    world,
    gateways,
    companies,
  }) =>
    withBrowser(world, (page, complaints) =>
      listening(async (redirect, arrived) => {
        const program = new Program('v1', `${gateways.strict.base}/plain/mcp`, { redirect });
        const asked = companies.strict.asked.length;
        await signIn(page, (await program.begin()).url, { decision: 'Do not allow' });
        assert.equal((await arrived).get('error'), 'access_denied');
        assert.equal(companies.strict.asked.length, asked);
        assert.deepEqual(complaints, []);
      }),
    ),

  'the page that asks is shown in no frame': ({ world, gateways }) =>
    withBrowser(world, async (page, complaints) => {
      const program = new Program('v1', `${gateways.strict.base}/plain/mcp`);
      const { url } = await program.begin();
      const server = http.createServer((_, response) => {
        response.setHeader('content-type', 'text/html');
        const frame = `<iframe src="${url.href.replaceAll('&', '&amp;')}"></iframe>`;
        response.end(`<!doctype html><link rel="icon" href="data:,">${frame}`);
      });
      await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
      await page.goto(`http://127.0.0.1:${server.address().port}/`);
      const text = await page
        .frames()[1]
        .evaluate(() => document.body?.textContent ?? '')
        .catch(() => '');
      server.close();
      server.closeAllConnections();
      assert.doesNotMatch(text, /May this program/);
      assert(
        complaints.some((line) => /frame/i.test(line)),
        `Chromium says why: ${complaints}`,
      );
    }),

  'the page that asks can be read at night and on a small screen': ({ world, gateways }) =>
    withBrowser(
      world,
      async (page, complaints) => {
        const long = `https://${'very-'.repeat(12)}long.example/${'way/'.repeat(20)}back`;
        const name = 'A program whose name is as long as it may be, and that says much of itself here.';
        const program = new Program('v1', `${gateways.strict.base}/plain/mcp`, { name, redirect: long });
        await page.goto((await program.begin()).url.href);
        await picture(world, page, 'chromium-small');
        const sizes = () => [document.documentElement.scrollWidth, innerWidth];
        const [wide, window] = await page.evaluate(sizes);
        assert(wide <= window, `it is ${wide} wide in a window of ${window}`);
        assert.deepEqual(complaints, []);
      },
      { colorScheme: 'dark', viewport: { width: 360, height: 740 } },
    ),
};
