// People sign in at the gateway, by way of their company, which knows nothing of MCP.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import http from 'node:http';
import net from 'node:net';
import readline from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import {
  CrossAppAccessProvider,
  DpopSession,
  discoverAndRequestJwtAuthGrant,
} from '@modelcontextprotocol/client';
import * as jose from 'jose';

import { Browser } from '../browser.mjs';
import { AGENT, startCompany } from '../company.mjs';
import { DESK, startDesk } from '../desk.mjs';
import { freePort, startFront, startGateway, startReplicas } from '../gateways.mjs';
import { Skip, until } from '../harness.mjs';
import { prover } from '../idp.mjs';
import { Program, SDKS, person, toolsOf } from '../program.mjs';

// What all cases share: a company that does as it should and one that does not, each with a gateway.
export async function startBroker(world) {
  const [port, otherPort] = [await freePort(), await freePort()];
  const [base, otherBase] = [port, otherPort].map((port) => `http://127.0.0.1:${port}`);
  const [front, both] = [await startFront(), await freePort()];
  const bothBase = `http://127.0.0.1:${both}`;
  // A browser takes `localhost` and 127.0.0.1 for two sites, as the gateway and a company are.
  const safeBase = `https://localhost:${both}`;
  const strict = await startCompany([base, front.base, bothBase, safeBase]);
  const sloppy = await startCompany([otherBase, bothBase], { sloppy: true });
  const start = (name, port, base, company) =>
    startGateway(world, name, port, configured(world, base, company), secrets(company));
  const good = await start('broker', port, base, strict);
  const other = await start('broker-sloppy', otherPort, otherBase, sloppy);
  const stop = () => Promise.all([good, other, strict, sloppy, front].map((each) => each.stop()));
  const [companies, gateways] = [
    { strict, sloppy },
    { strict: good, sloppy: other },
  ];
  return { world, companies, gateways, front, both, configured, secrets, stop };
}

const secrets = (company) => ({ company: company.secret, agent: AGENT });

function configured(world, url, company) {
  const server = { command: [world.fixture, 'server', '--stdio', '--era', 'legacy'] };
  return {
    auth: {
      url,
      allow: ['broker'],
      scopes: ['mcp'],
      endpoints: { bound: { require_dpop: true } },
      issuers: {
        corp: {
          issuer: company.issuer,
          groups_claim: 'groups',
          sign_in: {
            client_id: 'tidegate',
            client_secret: { file: 'company' },
            scopes: ['profile', 'email', 'groups', 'offline_access'],
          },
        },
      },
      broker: {
        sign_in: ['corp'],
        client_hosts: ['127.0.0.1'],
        enterprise: ['corp'],
        scope_groups: { write: ['writers'] },
        clients: [{ client_id: 'agent', client_secret: { file: 'agent' }, name: 'The agent' }],
      },
    },
    upstreams: { plain: server, bound: server },
  };
}

// Both lines of the SDK over the newer transport.
const LINES = ['v1', 'v2'];
const json = { 'content-type': 'application/json' };

// A form for the gateway's token endpoint, or another of its own.
async function post(base, fields, { path = '/oauth/token', headers } = {}) {
  const body = new URLSearchParams(fields);
  const answer = await fetch(`${base}${path}`, { method: 'POST', body, headers });
  return { status: answer.status, ...(await answer.json()) };
}

// What one request with a token comes to.
async function statusOf(url, token, headers = {}) {
  const { status, body } = await fetch(url, {
    method: 'POST',
    headers: { ...json, accept: 'application/json, text/event-stream', authorization: token, ...headers },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
  });
  await body?.cancel();
  return status;
}

const isLetIn = async (url, token) => (await statusOf(url, `Bearer ${token}`)) !== 401;

// Somebody who has signed in at a program of the v1 line.
async function signedIn(base, { who = 'ann', browser = new Browser(), ...more } = {}) {
  const program = new Program(more.sdk ?? 'v1', `${base}/plain/mcp`, more);
  await (await program.signIn(browser, { who })).close();
  return { program, browser, tokens: program.kept.tokens };
}

// The pages that asked a browser something.
const questions = (browser) =>
  browser.trail.filter(
    ({ method, url, status }) => method === 'GET' && url.pathname === '/oauth/authorize' && status === 200,
  );

// Python takes its time where others want the machine as well.
const slow = (work) => Object.assign(work, { limitMs: 60_000 });

export const broker = {
  async 'a program that nobody knew signs its user in and calls, in both SDKs, at both companies'({
    gateways,
  }) {
    for (const [kind, { base }] of Object.entries(gateways)) {
      for (const sdk of LINES) {
        const program = new Program(sdk, `${base}/plain/mcp`);
        const tools = await toolsOf(await program.signIn(new Browser(), { who: 'ann' }));
        assert(tools.length > 3, `${kind} ${sdk}`);
        const claims = jose.decodeJwt(program.kept.tokens.access_token);
        assert.equal(claims.aud, `${base}/plain/mcp`);
        assert.equal(claims.iss, base);
        assert.equal(claims.sub, 'corp:ann');
        assert.deepEqual(claims.groups, ['staff', 'writers']);
        assert.equal(claims.client_id, program.kept.information.client_id);
        assert(program.asked.some((line) => line.endsWith('/oauth/register')));
      }
    }
  },

  'a program on the Python SDK does the same, and renews what it has': slow(async ({ gateways, world }) => {
    if (!world.python) throw new Skip('there is no Python with its SDK');
    for (const [kind, mode] of [
      ['strict', 'auto'],
      ['sloppy', 'legacy'],
    ]) {
      const said = await python(world.python, `${gateways[kind].base}/plain/mcp`, mode);
      const counts = said.filter((line) => /^tools [1-9]/.test(line)).length;
      assert.equal(counts, 2, said.join('\n'));
      assert.equal(said.filter((line) => line.startsWith('open ')).length, 1, 'its user was asked once');
    }
  }),

  async 'a program that is refused before its body has come goes on with its connection'({ gateways }) {
    const { host, port } = new URL(gateways.strict.base);
    const socket = net.connect(Number(port), '127.0.0.1');
    let said = '';
    socket.on('data', (data) => (said += data));
    const ended = new Promise((resolve) => socket.once('close', resolve));
    const body = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
    const head = `host: ${host}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`;
    socket.write(`POST /plain/mcp HTTP/1.1\r\n${head}\r\n\r\n`);
    // Some send the head first, and what comes of it is a matter of time.
    await Promise.race([until('an answer', () => said.includes('401')).catch(() => {}), sleep(200)]);
    socket.write(`${body}GET /healthz HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);
    await ended;
    assert.match(said, /^HTTP\/1\.1 401 /);
    assert.match(said, /HTTP\/1\.1 200 OK/, 'it is not cut off without a word');
  },

  async 'a program with a secret of its own signs its user in, by each of the ways to send it'({ gateways }) {
    for (const sdk of LINES) {
      for (const method of ['client_secret_basic', 'client_secret_post']) {
        const metadata = { token_endpoint_auth_method: method };
        const { program } = await signedIn(gateways.strict.base, { sdk, metadata });
        assert(program.kept.information.client_secret, method);
        const { client_id } = program.kept.information;
        const grant = { grant_type: 'refresh_token', refresh_token: program.kept.tokens.refresh_token };
        const without = await post(gateways.strict.base, { ...grant, client_id });
        assert.deepEqual([without.status, without.error], [401, 'invalid_client']);
        const wrong = await post(gateways.strict.base, { ...grant, client_id, client_secret: 'x' });
        assert.deepEqual([wrong.status, wrong.error], [401, 'invalid_client']);
      }
    }
  },

  async 'the SDK renews what is of no use any more, and nobody is asked'({ gateways }) {
    for (const sdk of LINES) {
      const { program, browser } = await signedIn(gateways.strict.base, { sdk });
      const before = program.kept.tokens;
      for (let round = 0; round < 3; round++) {
        program.kept.tokens = { ...program.kept.tokens, access_token: 'dropped' };
        program.wanted = undefined;
        assert((await toolsOf(await program.connect())).length > 3);
        assert.equal(program.wanted, undefined, 'the user is left in peace');
      }
      assert.notEqual(program.kept.tokens.refresh_token, before.refresh_token);
      assert(await isLetIn(program.url, before.access_token), 'an older token is good until it ends');
      assert.equal(questions(browser).length, 1);
    }
  },

  async 'a program that does several things at a time renews its token several times, and stays signed in'({
    gateways: { strict },
  }) {
    for (const sdk of LINES) {
      const { program } = await signedIn(strict.base, { sdk });
      const client = await program.connect();
      program.kept.tokens = { ...program.kept.tokens, access_token: 'dropped' };
      program.wanted = undefined;
      const all = await Promise.allSettled([1, 2, 3, 4].map(() => client.listTools()));
      const failed = all.filter(({ status }) => status === 'rejected').map(({ reason }) => String(reason));
      assert.deepEqual(failed, [], sdk);
      assert.equal(program.wanted, undefined, `${sdk}: the user is left in peace`);
      assert((await client.listTools()).tools.length > 3);
      await client.close();
    }
  },

  async 'a program that gives its token back is out, with all that came of it'({ gateways: { strict } }) {
    for (const kind of ['refresh_token', 'access_token']) {
      const { program, tokens } = await signedIn(strict.base);
      const { client_id } = program.kept.information;
      const other = await signedIn(strict.base);
      const foreign = { token: tokens[kind], client_id: other.program.kept.information.client_id };
      assert.equal((await post(strict.base, foreign, { path: '/oauth/revoke' })).status, 200);
      assert(await isLetIn(program.url, tokens.access_token), 'another program cannot take it back');
      const own = { token: tokens[kind], client_id };
      assert.equal((await post(strict.base, own, { path: '/oauth/revoke' })).status, 200);
      const { refresh_token } = tokens;
      const refused = await post(strict.base, { grant_type: 'refresh_token', refresh_token, client_id });
      assert.deepEqual([refused.status, refused.error], [400, 'invalid_grant']);
      assert(await isLetIn(other.program.url, other.tokens.access_token), 'the other one is not concerned');
      assert(!(await isLetIn(program.url, tokens.access_token)));
      // The SDK finds out by itself, forgets what it had, and asks anew.
      await program.begin();
      assert.deepEqual(program.invalidated, ['tokens']);
    }
  },

  async 'a refresh token that is used twice ends all that came of it'({ gateways: { strict } }) {
    const { program, tokens } = await signedIn(strict.base);
    const { client_id } = program.kept.information;
    const refresh = (refresh_token) =>
      post(strict.base, { grant_type: 'refresh_token', refresh_token, client_id });
    const second = await refresh(tokens.refresh_token);
    const next = await refresh(second.refresh_token);
    assert.deepEqual([second.status, next.status], [200, 200]);
    // Not the last one that was used, which a program may use twice that does several things at a time.
    assert.equal((await refresh(tokens.refresh_token)).error, 'invalid_grant');
    assert.equal((await refresh(next.refresh_token)).error, 'invalid_grant');
    for (const token of [tokens.access_token, next.access_token]) {
      assert(!(await isLetIn(program.url, token)));
    }
  },

  async 'a program with a document at its own URL is known by that'({ gateways: { strict } }) {
    const documents = await startDocuments();
    try {
      for (const sdk of LINES) {
        // The SDKs take the document's URL over https alone, so the program tells them what it is called.
        const { program, browser } = await signedIn(strict.base, {
          sdk,
          information: { client_id: documents.url('good') },
        });
        assert.equal(jose.decodeJwt(program.kept.tokens.access_token).client_id, documents.url('good'));
        assert(!program.asked.some((line) => line.endsWith('/oauth/register')));
        assert.equal(questions(browser).length, 1);
      }
      for (const bad of ['liar', 'large', 'text', 'gone', 'secret', 'moved']) {
        const program = new Program('v1', `${strict.base}/plain/mcp`, {
          information: { client_id: documents.url(bad) },
        });
        const page = await new Browser().go((await program.begin()).url);
        assert.equal(page.status, 400, bad);
        assert.equal(page.url.origin, strict.base, 'nobody is sent anywhere');
      }
    } finally {
      documents.stop();
    }
  },

  async 'where people of several companies come, each says which one is his'({ world, companies, both }) {
    const url = `http://127.0.0.1:${both}`;
    const one = configured(world, url, companies.strict);
    const partner = structuredClone(one.auth.issuers.corp);
    partner.issuer = companies.sloppy.issuer;
    one.auth.issuers = { corp: one.auth.issuers.corp, partner };
    one.auth.broker.sign_in = ['partner', 'corp'];
    const gateway = await startGateway(world, 'broker-both', both, one, secrets(companies.strict));
    try {
      for (const issuer of ['corp', 'partner']) {
        const program = new Program('v1', `${url}/plain/mcp`);
        const browser = new Browser();
        const { url: begun, finish } = await program.begin();
        const { redirectUrl: redirect } = program;
        await finish(await person(browser, begun, { who: 'bob', fields: { issuer }, redirect }));
        await (await program.connect()).close();
        assert.equal(jose.decodeJwt(program.kept.tokens.access_token).sub, `${issuer}:bob`);
        assert.match((await browser.go(`${url}/oauth/account`)).text, new RegExp(`You are ${issuer}:bob`));
      }
      const program = new Program('v1', `${url}/plain/mcp`);
      const { url: begun } = await program.begin();
      const page = await new Browser().go(begun);
      const [first] = [.../name="issuer" value="([^"]*)" checked/.exec(page.text)].slice(1);
      assert.equal(first, 'partner', "in the operator's order");
      const browser = new Browser();
      const asked = await browser.go(begun);
      const unknown = await browser.submit(asked, { decision: 'allow', issuer: 'elsewhere' });
      assert.equal(unknown.status, 400);
      const places = await new Browser().go(`${url}/oauth/account`);
      assert.match(places.text, /account\?issuer=corp.*account\?issuer=partner/s);
    } finally {
      await gateway.stop();
    }
  },

  async 'a program of 2024-11-05 signs its user in at the older endpoint'({ gateways: { strict } }) {
    const program = new Program('sse', `${strict.base}/plain/sse`);
    assert((await toolsOf(await program.signIn(new Browser(), { who: 'ann' }))).length > 3);
    assert.equal(jose.decodeJwt(program.kept.tokens.access_token).aud, program.url.href);
  },

  async 'a server that trusts the company knows its people through the gateway, who are not asked again'({
    world,
    companies,
    both,
  }) {
    const [base, company] = [`http://127.0.0.1:${both}`, companies.strict];
    const desk = await startDesk(await freePort(), company);
    const made = configured(world, base, company);
    const url = `${desk.base}/mcp`;
    const known = { client_id: 'tidegate', client_secret: { file: 'desk' } };
    made.upstreams = {
      vouched: { url, auth: { per_user: true, ...known, enterprise: { issuer: 'corp' } } },
      exchanged: { url, auth: { per_user: true, exchange: { issuer: 'corp', audience: 'desk-api' } } },
    };
    delete made.auth.endpoints;
    const files = { ...secrets(company), desk: DESK };
    const gateway = await startGateway(world, 'broker-desk', both, made, files);
    try {
      for (const sdk of LINES) {
        for (const who of ['ann', 'bob']) {
          const program = new Program(sdk, `${base}/mcp`);
          const client = await program.signIn(new Browser(), { who });
          const names = (await client.listTools()).tools.map((tool) => tool.name).sort();
          assert.deepEqual(names, ['exchanged_whoami', 'vouched_whoami'], `${sdk} ${who}`);
          for (const [name, by] of [
            ['vouched_whoami', 'the desk'],
            ['exchanged_whoami', 'the company'],
          ]) {
            const { content } = await client.callTool({ name, arguments: {} });
            assert.equal(content[0].text, `${who} by ${by}`, sdk);
          }
          await client.close();
        }
      }
      assert(desk.taken.every((claims) => claims.aud === desk.base));
      assert.deepEqual(new Set(desk.taken.map(({ sub }) => sub)), new Set(['ann', 'bob']));
    } finally {
      await gateway.stop();
      await desk.stop();
    }
  },

  async 'who does not allow it is not signed in, and the program is told so'({
    gateways: { strict },
    companies,
  }) {
    for (const sdk of LINES) {
      const program = new Program(sdk, `${strict.base}/plain/mcp`);
      const before = companies.strict.asked.length;
      const { url, finish } = await program.begin();
      const params = await person(new Browser(), url, { decision: 'deny', redirect: program.redirectUrl });
      assert.equal(params.get('error'), 'access_denied');
      assert.equal(params.get('iss'), strict.base);
      assert.equal(companies.strict.asked.length, before, 'the company hears nothing of it');
      await assert.rejects(finish(params), sdk === 'v2' ? /access_denied/ : undefined);
      assert.equal(program.kept.tokens, undefined);
    }
  },

  async 'who may not sign in at the company is not signed in here'({ gateways: { strict }, companies }) {
    companies.strict.disable('bob');
    const program = new Program('v1', `${strict.base}/plain/mcp`);
    const { url } = await program.begin();
    const params = await person(new Browser(), url, { who: 'bob', redirect: program.redirectUrl });
    companies.strict.enable('bob');
    assert.equal(params.get('error'), 'access_denied');
  },

  async 'what was allowed is remembered while somebody is signed in, of that program alone'({
    gateways: { strict },
  }) {
    const { program, browser } = await signedIn(strict.base);
    delete program.kept.tokens;
    await (await program.signIn(browser, {})).close();
    assert.equal(questions(browser).length, 1, 'he was asked once');
    // Another port of the same machine is the same program.
    delete program.kept.tokens;
    const { url } = await program.begin();
    url.searchParams.set('redirect_uri', 'http://127.0.0.1:9999/back');
    const again = await person(browser, url, { redirect: 'http://127.0.0.1:9999/back' });
    assert(again.has('code'));
    url.searchParams.set('prompt', 'consent');
    await person(browser, url, { redirect: 'http://127.0.0.1:9999/back' });
    assert.equal(questions(browser).length, 2, 'a program may want him to be asked');
    await signedIn(strict.base, { browser, who: undefined, name: 'Another' });
    assert.equal(questions(browser).length, 3, 'another program is not the same one');
    const silent = async (browser) => {
      const { url } = await program.begin();
      url.searchParams.set('prompt', 'none');
      return person(browser, url, { redirect: program.redirectUrl });
    };
    delete program.kept.tokens;
    assert((await silent(browser)).has('code'));
    assert.equal((await silent(new Browser())).get('error'), 'login_required');
  },

  async 'people see what they have granted, and take it back'({ gateways: { strict } }) {
    const { program, browser, tokens } = await signedIn(strict.base, { name: 'Lent & given <b>' });
    const account = `${strict.base}/oauth/account`;
    const page = await browser.go(account);
    assert.match(page.text, /You are corp:ann/);
    const row = /Lent &amp; given &lt;b&gt;<\/td><td>([^<]*)<\/td><td><button name="record" value="([^"]*)"/;
    const [, resource, record] = row.exec(page.text);
    assert.equal(resource, program.url.href);
    const after = await browser.submit(page, { record });
    assert.equal(after.url.href, account);
    assert.doesNotMatch(after.text, /Lent/);
    assert(!(await isLetIn(program.url, tokens.access_token)));
    const asked = questions(browser).length;
    await (await program.signIn(browser, {})).close();
    assert.equal(questions(browser).length, asked + 1, 'he is asked anew');
    const left = await browser.submit(await browser.go(account), { leave: 'yes' });
    assert.match(left.text, /You are signed out/);
    const stop = (url) => url.pathname.startsWith('/auth');
    const { url } = await browser.go(account, { stop });
    assert.notEqual(url.origin, strict.base, 'and has to say who he is');
  },

  async 'people of another group are granted less, and read what they get'({ gateways }) {
    for (const { base } of Object.values(gateways)) {
      for (const [who, expected] of [
        ['ann', 'mcp write'],
        ['bob', 'mcp'],
      ]) {
        const program = new Program('v1', `${base}/plain/mcp`);
        const { url, finish } = await program.begin();
        url.searchParams.set('scope', 'mcp write');
        await finish(await person(new Browser(), url, { who, redirect: program.redirectUrl }));
        assert.equal(program.kept.tokens.scope, expected, `${base} ${who}`);
        assert.equal(jose.decodeJwt(program.kept.tokens.access_token).scope, expected);
        assert((await toolsOf(await program.connect())).length > 3);
      }
    }
  },

  async 'a session of one person is unknown to another'({ gateways: { strict } }) {
    const [ann, bob] = [await signedIn(strict.base), await signedIn(strict.base, { who: 'bob' })];
    const client = await ann.program.connect();
    const session = { 'mcp-session-id': client.transport.sessionId };
    assert(session['mcp-session-id']);
    const ping = (who) => statusOf(ann.program.url, `Bearer ${who.tokens.access_token}`, session);
    assert.equal(await ping(ann), 200);
    assert.equal(await ping(bob), 404);
    await client.close();
  },

  async 'a company vouches for its people, by the newer SDK, and nobody is asked'({ gateways, companies }) {
    for (const kind of ['strict', 'sloppy']) {
      const [{ base }, company] = [gateways[kind], companies[kind]];
      const [clientId, clientSecret] = ['agent', secrets(company).agent];
      const idToken = await idTokenOf(company, 'ann');
      const url = new URL(`${base}/plain/mcp`);
      const authProvider = new CrossAppAccessProvider({
        clientId,
        clientSecret,
        expectedIssuer: base,
        assertion: async (context) => {
          const { jwtAuthGrant } = await discoverAndRequestJwtAuthGrant({
            idpUrl: company.issuer,
            audience: context.authorizationServerUrl,
            resource: context.resourceUrl,
            scope: context.scope,
            idToken,
            clientId,
            clientSecret,
          });
          return jwtAuthGrant;
        },
      });
      const client = SDKS.v2.make({});
      await client.connect(new SDKS.v2.Transport(url, { authProvider }));
      assert((await toolsOf(client)).length > 3, kind);
      const claims = jose.decodeJwt(authProvider.tokens().access_token);
      assert.deepEqual([claims.sub, claims.groups], ['corp:ann', ['staff', 'writers']]);
    }
  },

  async 'an assertion is good once, for whom it names, and by its company alone'({ gateways, companies }) {
    const [{ base }, company] = [gateways.strict, companies.strict];
    const headers = {
      authorization: `Basic ${btoa(`agent:${encodeURIComponent(AGENT)}`)}`,
    };
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: company.issuer,
      sub: 'ann',
      aud: base,
      client_id: 'agent',
      resource: `${base}/plain/mcp`,
      scope: 'mcp',
      iat: now,
      exp: now + 300,
    };
    const send = (assertion) =>
      post(base, { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion }, { headers });
    const typ = 'oauth-id-jag+jwt';
    const made = (more = {}, header = { typ }) =>
      company.sign({ ...claims, jti: crypto.randomUUID(), ...more }, header);
    const good = await made();
    const issued = await send(good);
    assert.equal(issued.status, 200, JSON.stringify(issued));
    assert.equal(issued.refresh_token, undefined, 'the company decides each time');
    assert(await isLetIn(`${base}/plain/mcp`, issued.access_token));
    assert(!(await isLetIn(`${base}/mcp`, issued.access_token)), 'it is for one endpoint');
    const stolen = await jose.generateKeyPair('ES256');
    const forged = new jose.SignJWT({ ...claims, jti: 'x' }).setProtectedHeader({ alg: 'ES256', typ });
    const bad = {
      'used before': good,
      'for another server': await made({ aud: companies.sloppy.issuer }),
      'for several servers': await made({ aud: [base, 'https://elsewhere.example'] }),
      'of another client': await made({ client_id: 'editor' }),
      'no ID-JAG': await made({}, { typ: 'JWT' }),
      'without a kind': await made({}, {}),
      over: await made({ exp: now - 90 }),
      'good for ever': await made({ exp: now + 365 * 86_400 }),
      'not yet good': await made({ iat: now + 600, nbf: now + 600 }),
      'of somebody else': await made({ iss: companies.sloppy.issuer }),
      'of nobody': await made({ sub: undefined }),
      'without a number': await made({ jti: undefined }),
      forged: await forged.sign(stolen.privateKey),
      'an ID token': await idTokenOf(company, 'ann'),
    };
    for (const [why, assertion] of Object.entries(bad)) {
      const refused = await send(assertion);
      assert.deepEqual([refused.status, refused.error], [400, 'invalid_grant'], why);
    }
    const less = await send(await made({ scope: 'mcp' }));
    assert.equal(less.scope, 'mcp');
    const elsewhere = await send(await made({ resource: 'https://elsewhere.example/mcp' }));
    assert.equal(elsewhere.error, 'invalid_target');
    const known = await idTokenOf(company, 'ann');
    company.disable('ann');
    const vouched = idJag(company, known, base);
    await assert.rejects(vouched, /invalid_grant/);
    company.enable('ann');
  },

  async 'a token is bound to a key by the newer SDK, and is of no use without it'({ gateways: { strict } }) {
    const dpop = await DpopSession.create();
    const url = `${strict.base}/bound/mcp`;
    const program = new Program('v2', url, { dpop });
    assert((await toolsOf(await program.signIn(new Browser(), { who: 'ann' }))).length > 3);
    const { access_token, refresh_token, token_type } = program.kept.tokens;
    assert.equal(token_type, 'DPoP');
    const dropped = { ...program.kept.tokens, access_token: 'dropped' };
    const [thief, { client_id }] = [await prover(), program.kept.information];
    assert.equal(await statusOf(url, `Bearer ${access_token}`), 401);
    assert.equal(await statusOf(url, `DPoP ${access_token}`), 401);
    const stolen = { dpop: await thief('POST', url, access_token) };
    assert.equal(await statusOf(url, `DPoP ${access_token}`, stolen), 401);
    const place = `${strict.base}/oauth/token`;
    for (const headers of [{}, { dpop: await thief('POST', place) }]) {
      const refused = await post(
        strict.base,
        { grant_type: 'refresh_token', refresh_token, client_id },
        { headers },
      );
      assert.equal(refused.error, 'invalid_dpop_proof');
    }
    program.kept.tokens = dropped;
    assert((await toolsOf(await program.connect())).length > 3, 'what a thief tries uses nothing up');
    assert.notEqual(program.kept.tokens.refresh_token, refresh_token);
  },

  async 'where tokens must be bound, a program without a key gets none'({ gateways: { strict } }) {
    const program = new Program('v1', `${strict.base}/bound/mcp`);
    const { url, finish } = await program.begin();
    const params = await person(new Browser(), url, { who: 'ann', redirect: program.redirectUrl });
    await assert.rejects(finish(params), /bound to a key/);
  },

  async 'a token is good at every replica, and none takes one that another has ended'(all) {
    const { world, companies, front } = all;
    const company = companies.strict;
    const more = configured(world, front.base, company);
    const replicas = await startReplicas(world, 'broker-replica', front, more, secrets(company));
    try {
      const { gateways } = replicas;
      const { program, tokens } = await signedIn(front.base);
      for (const gateway of gateways) {
        assert((await toolsOf(await program.connect({ url: `${gateway.base}/plain/mcp` }))).length > 3);
      }
      const [first, second] = gateways.map((gateway) => gateway.base);
      const { client_id } = program.kept.information;
      const { refresh_token } = tokens;
      const next = await post(second, { grant_type: 'refresh_token', refresh_token, client_id });
      assert.equal(next.status, 200);
      const token = next.refresh_token;
      assert.equal((await post(first, { token, client_id }, { path: '/oauth/revoke' })).status, 200);
      const late = await post(second, { grant_type: 'refresh_token', refresh_token: token, client_id });
      assert.equal(late.error, 'invalid_grant');
      const [here, there] = [first, second].map((base) => `${base}/plain/mcp`);
      assert(!(await isLetIn(here, next.access_token)));
      await until('the other replica knows it', async () => !(await isLetIn(there, next.access_token)));
    } finally {
      await replicas.stop();
    }
  },
};

// An ID token that the company's own program has of somebody who has signed in there.
async function idTokenOf(company, who) {
  const [redirect, verifier] = ['https://agent.corp.example/back', 'v'.repeat(43)];
  const url = new URL(`${company.issuer}/auth`);
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
  url.search = new URLSearchParams({
    client_id: 'agent',
    response_type: 'code',
    redirect_uri: redirect,
    scope: 'openid email groups',
    code_challenge: jose.base64url.encode(new Uint8Array(hash)),
    code_challenge_method: 'S256',
    state: 's',
  });
  const params = await person(new Browser(), url, { who, redirect });
  const answer = await fetch(`${company.issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`agent:${encodeURIComponent(AGENT)}`)}` },
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      code: params.get('code'),
      redirect_uri: redirect,
      code_verifier: verifier,
    }),
  });
  return (await answer.json()).id_token;
}

// What the company says of somebody for this server.
async function idJag(company, idToken, audience) {
  const { jwtAuthGrant } = await discoverAndRequestJwtAuthGrant({
    idpUrl: company.issuer,
    audience,
    idToken,
    clientId: 'agent',
    clientSecret: AGENT,
  });
  return jwtAuthGrant;
}

// What the program in Python says, with a person in front of it.
async function python(program, url, mode) {
  const redirect = 'http://127.0.0.1:8765/back';
  const args = [fileURLToPath(new URL('../oauth.py', import.meta.url)), url, redirect, mode];
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  const said = [];
  const complaints = [];
  child.stderr.on('data', (data) => complaints.push(data));
  for await (const line of readline.createInterface({ input: child.stdout })) {
    said.push(line);
    if (!line.startsWith('open ')) continue;
    const params = await person(new Browser(), line.slice('open '.length), { who: 'ann', redirect });
    child.stdin.write(`${redirect}?${params}\n`);
  }
  return [...said, ...Buffer.concat(complaints).toString().trim().split('\n').slice(-8)];
}

// Documents of programs, at their own URLs.
async function startDocuments() {
  const server = http.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = (name) => `http://127.0.0.1:${server.address().port}/${name}`;
  const document = {
    client_id: url('good'),
    client_name: 'A program with a document',
    redirect_uris: ['http://127.0.0.1:8765/back'],
    grant_types: ['authorization_code', 'refresh_token'],
    token_endpoint_auth_method: 'none',
  };
  const at = {
    good: document,
    liar: document,
    large: { ...document, client_id: url('large'), filler: 'x'.repeat(6_000) },
    secret: { ...document, client_id: url('secret'), token_endpoint_auth_method: 'client_secret_basic' },
  };
  server.on('request', (request, response) => {
    const name = request.url.slice(1);
    if (name === 'moved') return void response.writeHead(302, { location: url('good') }).end();
    if (name === 'text') return void response.end('<html>');
    if (!at[name]) return void response.writeHead(404).end();
    response.writeHead(200, { ...json, 'cache-control': 'max-age=60' }).end(JSON.stringify(at[name]));
  });
  return { url, stop: () => server.close() };
}
