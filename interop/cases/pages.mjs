// What people see, in a real browser: Chromium, without a window.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';

import * as jose from 'jose';
import { chromium } from 'playwright-core';

import { startGateway } from '../gateways.mjs';
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

// A gateway with TLS, by a certificate that nobody trusts.
async function startSafe({ world, companies, both, configured, secrets }) {
  const base = `https://localhost:${both}`;
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'tidegate-tls-'));
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => path.join(folder, name));
  const made = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
  ];
  made.push(
    '-subj',
    '/CN=localhost',
    '-addext',
    'subjectAltName=DNS:localhost',
    '-keyout',
    key,
    '-out',
    cert,
  );
  try {
    if (spawnSync('openssl', made).status !== 0)
      throw new Skip('there is no openssl that makes certificates');
    const pems = { 'cert.pem': fs.readFileSync(cert), 'key.pem': fs.readFileSync(key) };
    const more = { ...configured(world, base, companies.strict), tls: { cert: 'cert.pem', key: 'key.pem' } };
    const files = { ...secrets(companies.strict), ...pems };
    return { ...(await startGateway(world, 'broker-tls', both, more, files)), base };
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

// One request that takes the certificate for what it is.
async function send(url, headers, body) {
  const options = { method: 'POST', headers, rejectUnauthorized: false };
  const answer = await new Promise((resolve, reject) => {
    https.request(url, options, resolve).on('error', reject).end(body);
  });
  const parts = [];
  for await (const part of answer) parts.push(part);
  return JSON.parse(Buffer.concat(parts));
}

// A program that asks for a token by itself.
async function begin(base, redirect) {
  const verifier = 'v'.repeat(43);
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
  const metadata = {
    client_name: 'A safe program',
    redirect_uris: [redirect],
    token_endpoint_auth_method: 'none',
  };
  const json = { 'content-type': 'application/json' };
  const { client_id } = await send(`${base}/oauth/register`, json, JSON.stringify(metadata));
  const url = new URL(`${base}/oauth/authorize`);
  url.search = new URLSearchParams({
    client_id,
    response_type: 'code',
    redirect_uri: redirect,
    code_challenge: jose.base64url.encode(new Uint8Array(hash)),
    code_challenge_method: 'S256',
    resource: `${base}/plain/mcp`,
  });
  const form = { 'content-type': 'application/x-www-form-urlencoded' };
  const token = (params) => {
    const fields = { grant_type: 'authorization_code', client_id, code: params.get('code') };
    return send(
      `${base}/oauth/token`,
      form,
      `${new URLSearchParams({ ...fields, code_verifier: verifier })}`,
    );
  };
  return { url, token };
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

  'over TLS, cookies are of the gateway alone, and come back from another site': (all) =>
    withBrowser(
      all.world,
      (page, complaints, browser) =>
        listening(async (redirect, arrived) => {
          const { base, stop } = await startSafe(all);
          try {
            const { url, token } = await begin(base, redirect);
            await signIn(page, url, { who: 'ann' });
            const issued = await token(await arrived);
            assert.equal(issued.token_type, 'Bearer', JSON.stringify(issued));
            await page.goto(`${base}/oauth/account`);
            assert.match(await page.textContent('main'), /You are corp:ann.*A safe program/s);
            const cookies = await browser.cookies(base);
            assert(cookies.length > 0);
            for (const { name, secure, httpOnly, sameSite, path, domain } of cookies) {
              assert.match(name, /^__Host-tidegate-/);
              assert.deepEqual([secure, httpOnly, sameSite, path], [true, true, 'Lax', '/'], name);
              assert.equal(domain, 'localhost');
            }
            assert.deepEqual(complaints, []);
          } finally {
            await stop();
          }
        }),
      { ignoreHTTPSErrors: true },
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
