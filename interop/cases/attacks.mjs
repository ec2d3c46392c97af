// What somebody does who wants to use the gateway as somebody else, with a browser and a program of his own.
import assert from 'node:assert/strict';

import * as jose from 'jose';

import { Browser, formOf } from '../browser.mjs';
import { Program, person } from '../program.mjs';

// A question that a browser has been asked, and not answered yet.
async function askedPage(base, browser, more = {}) {
  const program = new Program('v1', `${base}/plain/mcp`, more);
  const begun = await program.begin();
  return { program, ...begun, page: await browser.go(begun.url) };
}

// Goes on until the company has signed somebody in and sends the browser back: the address that it would ask.
async function untilCallback(browser, page, who) {
  const stop = (url) => url.pathname === '/oauth/callback';
  const login = await browser.submit(page, { decision: 'allow' }, { stop });
  const { url } = await browser.submit(login, { who }, { stop });
  assert.equal(url.pathname, '/oauth/callback');
  return url;
}

// Whether a browser is anybody's here.
async function isSignedIn(base, browser) {
  const page = await browser.ask(new URL(`${base}/oauth/account`));
  return page.status === 200;
}

// A page that says that there is nothing to be had.
function assertOver(page, base, why) {
  assert.equal(page.status, 400, why);
  assert.equal(page.url.origin, base, why);
  assert.match(page.text, /of no use any more/, why);
}

const token = (base, fields) =>
  fetch(`${base}/oauth/token`, { method: 'POST', body: new URLSearchParams(fields) });

export const attacks = {
  async 'who comes back is let in once, and in no other browser'({
    gateways: {
      strict: { base },
    },
  }) {
    const browser = new Browser();
    const { page, program } = await askedPage(base, browser);
    const callback = await untilCallback(browser, page, 'ann');
    const thief = new Browser();
    assertOver(await thief.go(callback), base, 'another browser');
    assert(!(await isSignedIn(base, thief)));
    const stop = (url) => url.href.startsWith(program.redirectUrl);
    const landed = await browser.go(callback, { stop });
    assert(landed.url.searchParams.has('code'), 'what a thief tried has used nothing up');
    assertOver(await browser.go(callback, { stop }), base, 'the second time');
    assertOver(await thief.go(callback), base, 'another browser, later');
  },

  async 'nobody is signed in as somebody else by a link of his'({
    gateways: {
      strict: { base },
    },
  }) {
    const [attacker, victim] = [new Browser(), new Browser()];
    const { page } = await askedPage(base, attacker);
    const callback = await untilCallback(attacker, page, 'bob');
    // The victim has a question of his own open, and the cookie of that.
    const { page: own } = await askedPage(base, victim);
    assertOver(await victim.go(callback), base, 'the state of another browser');
    assert(!(await isSignedIn(base, victim)));
    const mixed = new URL(await untilCallback(victim, own, 'ann'));
    mixed.searchParams.set('code', callback.searchParams.get('code'));
    const stop = (url) => url.port === '8765';
    const landed = await victim.go(mixed, { stop });
    assert.equal(landed.url.searchParams.get('error'), 'access_denied', 'the code of another sign-in');
    assert(!(await isSignedIn(base, victim)));
  },

  async 'an answer in the name of another company is none'({
    gateways: {
      strict: { base },
    },
    companies,
  }) {
    for (const iss of [companies.sloppy.issuer, `${companies.strict.issuer}/`, undefined]) {
      const browser = new Browser();
      const { page } = await askedPage(base, browser);
      const callback = await untilCallback(browser, page, 'ann');
      if (iss) callback.searchParams.set('iss', iss);
      else callback.searchParams.delete('iss');
      const landed = await browser.go(callback, { stop: (url) => url.port === '8765' });
      assert.equal(landed.url.searchParams.get('error'), 'access_denied', iss);
      assert(!(await isSignedIn(base, browser)));
    }
  },

  async 'a question is answered by whom it was asked, once, on its own page'({
    gateways: {
      strict: { base },
    },
  }) {
    const browser = new Browser();
    const { page } = await askedPage(base, browser);
    const { action, fields } = formOf(page);
    const body = () => new URLSearchParams({ ...fields, decision: 'allow' });
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    const send = (who, headers = {}) =>
      who.ask(action, { method: 'POST', headers: { ...form, ...headers }, body: body() });
    assertOver(await send(new Browser()), base, 'without the cookie');
    const other = new Browser();
    await askedPage(base, other);
    assertOver(await send(other), base, 'with the cookie of another question');
    for (const origin of ['https://evil.example', 'null', `${base}0`]) {
      const refused = await send(browser, { origin });
      assert(refused.status >= 400, `${origin}: ${refused.status}`);
    }
    const changed = { ...fields, question: `${fields.question.slice(0, -4)}AAAA` };
    assertOver(await browser.submit(page, changed), base, 'another question');
    const stop = (url) => url.origin !== base;
    assert.equal((await browser.submit(page, { decision: 'allow' }, { stop })).stopped, true);
    assertOver(await browser.submit(page, { decision: 'allow' }, { stop }), base, 'the second time');
  },

  async 'nobody is asked by GET, and nothing is decided by it'({
    gateways: {
      strict: { base },
    },
  }) {
    const browser = new Browser();
    const { page, url } = await askedPage(base, browser);
    const { fields } = formOf(page);
    url.search += `&${new URLSearchParams({ ...fields, decision: 'allow' })}`;
    const again = await browser.go(url);
    assert.equal(again.status, 200);
    assert.match(again.text, /May this program act for you/);
  },

  async 'nobody is sent to an address that almost fits'({
    gateways: {
      strict: { base },
    },
  }) {
    const registered = 'https://app.example/cb?a=1';
    const program = new Program('v1', `${base}/plain/mcp`, { redirect: registered });
    const { url } = await program.begin();
    const almost = [
      'https://app.example/cb',
      'https://app.example/cb?a=1&b=2',
      'https://app.example/cb?a=1#x',
      'https://app.example/cb/?a=1',
      'https://app.example/CB?a=1',
      'https://APP.example/cb?a=1',
      'https://app.example:443/cb?a=1',
      'https://app.example.evil.example/cb?a=1',
      'https://user@app.example/cb?a=1',
      'https://app.example@evil.example/cb?a=1',
      'https://app.example/x/../cb?a=1',
      'https://app.example/%63b?a=1',
      'https:app.example/cb?a=1',
      'https:\\\\app.example/cb?a=1',
      'http://app.example/cb?a=1',
      'http://127.0.0.1/cb?a=1',
      'javascript:alert(1)//https://app.example/cb?a=1',
      ' https://app.example/cb?a=1',
      'https://app.example/cb?a=1\r\nset-cookie: x=y',
    ];
    for (const redirect of almost) {
      const asked = new URL(url);
      asked.searchParams.set('redirect_uri', redirect);
      const page = await new Browser().ask(asked);
      assert.equal(page.status, 400, redirect);
      assert.equal(page.headers.get('location'), null, redirect);
      assert(!/<meta http-equiv|<a /.test(page.text), redirect);
    }
    for (const double of ['redirect_uri', 'client_id', 'state', 'code_challenge']) {
      const asked = new URL(url);
      asked.searchParams.append(double, 'https://evil.example/');
      assert.equal((await new Browser().ask(asked)).status, 400, double);
    }
    const unknown = new URL(url);
    unknown.searchParams.set('client_id', 'tgc_unknown');
    assert.equal((await new Browser().ask(unknown)).status, 400);
  },

  async 'a request without proof of who began it goes back with an error'({
    gateways: {
      strict: { base },
    },
  }) {
    const program = new Program('v1', `${base}/plain/mcp`);
    const { url } = await program.begin();
    const changes = [
      [{ code_challenge: undefined }, 'invalid_request'],
      [{ code_challenge_method: 'plain' }, 'invalid_request'],
      [{ code_challenge_method: undefined }, 'invalid_request'],
      [{ code_challenge: 'short' }, 'invalid_request'],
      [{ response_type: 'token' }, 'unsupported_response_type'],
      [{ response_type: undefined }, 'unsupported_response_type'],
      [{ response_mode: 'fragment' }, 'invalid_request'],
      [{ request: 'x.y.z' }, 'request_not_supported'],
      [{ request_uri: 'https://evil.example/' }, 'request_uri_not_supported'],
      [{ resource: 'https://elsewhere.example/mcp' }, 'invalid_target'],
      [{ resource: `${base}/plain/mcp/../../bound/mcp` }, 'invalid_target'],
      [{ resource: `${base}.evil.example/plain/mcp` }, 'invalid_target'],
      [{ scope: 'admin' }, 'invalid_scope'],
      [{ prompt: 'none consent' }, 'invalid_request'],
    ];
    for (const [change, error] of changes) {
      const asked = new URL(url);
      for (const [name, value] of Object.entries(change)) {
        if (value === undefined) asked.searchParams.delete(name);
        else asked.searchParams.set(name, value);
      }
      const { url: at } = await new Browser().go(asked, { stop: (at) => at.origin !== base });
      assert.equal(at.origin + at.pathname, program.redirectUrl, JSON.stringify(change));
      assert.equal(at.searchParams.get('error'), error, JSON.stringify(change));
      assert.equal(at.searchParams.get('state'), program.kept.state);
      assert.equal(at.searchParams.get('iss'), base);
    }
  },

  async 'a code is of no use to who has not begun it'({
    gateways: {
      strict: { base },
    },
  }) {
    const [ann, thief] = [new Program('v1', `${base}/plain/mcp`), new Program('v1', `${base}/plain/mcp`)];
    const { url } = await ann.begin();
    await thief.begin();
    const code = (await person(new Browser(), url, { who: 'ann', redirect: ann.redirectUrl })).get('code');
    const good = {
      grant_type: 'authorization_code',
      code,
      client_id: ann.kept.information.client_id,
      redirect_uri: ann.redirectUrl,
      code_verifier: ann.kept.verifier,
      resource: `${base}/plain/mcp`,
    };
    const bad = [
      [{ client_id: thief.kept.information.client_id }, 'invalid_grant'],
      [{ code_verifier: thief.kept.verifier }, 'invalid_grant'],
      [{ code_verifier: '' }, 'invalid_grant'],
      [{ code_verifier: new URL(url).searchParams.get('code_challenge') }, 'invalid_grant'],
      [{ redirect_uri: 'http://127.0.0.1:1/other' }, 'invalid_grant'],
      [{ resource: `${base}/bound/mcp` }, 'invalid_target'],
      [{ code: `${code}x` }, 'invalid_grant'],
      [{ client_id: 'tgc_unknown' }, 'invalid_client'],
      [{ grant_type: 'password' }, 'unsupported_grant_type'],
      [{ grant_type: 'client_credentials' }, 'unsupported_grant_type'],
      [{ grant_type: 'refresh_token', refresh_token: code }, 'invalid_grant'],
    ];
    for (const [change, error] of bad) {
      const refused = await (await token(base, { ...good, ...change })).json();
      assert.equal(refused.error, error, JSON.stringify(change));
    }
    const issued = await (await token(base, good)).json();
    assert(issued.access_token, 'what the thief tried has used nothing up');
    // The code comes a second time: one of the two has stolen it.
    assert.equal((await (await token(base, good)).json()).error, 'invalid_grant');
    const { client_id } = good;
    const renewed = await token(base, {
      grant_type: 'refresh_token',
      refresh_token: issued.refresh_token,
      client_id,
    });
    assert.equal((await renewed.json()).error, 'invalid_grant');
  },

  async 'what a program calls itself is text, and its address is where users go'({
    gateways: {
      strict: { base },
    },
  }) {
    const name = 'Tide\u202egate" onload="x"><script>alert(1)</script>\u200b';
    const redirect = 'https://app.example/cb';
    const { page } = await askedPage(base, new Browser(), { name, redirect });
    assert.doesNotMatch(page.text, /<script|\u202e|\u200b|onload="/);
    assert.match(page.text, /&lt;script&gt;/);
    assert.match(page.text, /<dd>app\.example<\/dd>/);
    assert.match(page.text, /Nobody has checked its name/);
    const { page: local } = await askedPage(base, new Browser());
    assert.match(local.text, /any program there could say so/);
    for (const bad of ['javascript:alert(1)', 'data:text/html,x', 'http://evil.example/', 'https://a/#x']) {
      const answer = await fetch(`${base}/oauth/register`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ redirect_uris: [bad] }),
      });
      assert.equal(answer.status, 400, bad);
      assert.equal((await answer.json()).error, 'invalid_redirect_uri');
    }
  },

  async 'no page of the gateway is framed, kept, or read by another'({
    gateways: {
      strict: { base },
    },
  }) {
    const browser = new Browser();
    const { page } = await askedPage(base, browser);
    const landed = await browser.ask(await untilCallback(browser, page, 'ann'));
    const account = await browser.go(`${base}/oauth/account`);
    const over = await browser.go(`${base}/oauth/callback?state=x`);
    for (const each of [page, account, over, landed]) {
      const { headers, url } = each;
      assert.match(headers.get('content-security-policy'), /default-src 'none'.*frame-ancestors 'none'/, url);
      assert.equal(headers.get('x-frame-options'), 'DENY', url);
      assert.match(headers.get('cache-control'), /no-store/, url);
      assert.equal(headers.get('access-control-allow-origin'), null, url);
      assert.match(headers.get('referrer-policy'), /no-referrer|same-origin/, url);
    }
    for (const line of landed.headers.getSetCookie()) {
      assert.match(line, /HttpOnly; SameSite=Lax/, line);
    }
  },

  async 'a token of the company, or one that somebody has made up, opens nothing'({
    gateways: {
      strict: { base },
    },
    companies,
  }) {
    const url = `${base}/plain/mcp`;
    const now = Math.floor(Date.now() / 1000);
    const claims = { sub: 'corp:ann', aud: url, iat: now, exp: now + 300, client_id: 'x', scope: 'mcp' };
    const inside = { ...claims, tenant: 'default', groups: ['staff'], idp: 'corp', sid: 'x' };
    const { publicKey, privateKey } = await jose.generateKeyPair('EdDSA', { extractable: true });
    const jwk = await jose.exportJWK(publicKey);
    const known = (await (await fetch(`${base}/oauth/jwks.json`)).json()).keys[0];
    const own = (header) =>
      new jose.SignJWT({ ...inside, iss: base })
        .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', ...header })
        .sign(privateKey);
    const none = [
      { alg: 'none', typ: 'at+jwt' },
      { ...inside, iss: base },
    ]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const secret = new TextEncoder().encode(known.x);
    const symmetric = await new jose.SignJWT({ ...inside, iss: base })
      .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt', kid: known.kid })
      .sign(secret);
    const all = {
      'of the company': await companies.strict.sign(
        { ...claims, iss: companies.strict.issuer },
        { typ: 'at+jwt' },
      ),
      'of the company in our name': await companies.strict.sign({ ...inside, iss: base }, { typ: 'at+jwt' }),
      'by an unknown key': await own({}),
      'by an unknown key with the name of ours': await own({ kid: known.kid }),
      'with its own key in it': await own({ jwk }),
      'by nothing': `${none}.`,
      'by a public key as a secret': symmetric,
    };
    for (const [why, token] of Object.entries(all)) {
      const { status, body } = await fetch(url, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}` },
      });
      await body?.cancel();
      assert.equal(status, 401, why);
    }
  },
};
