// A server of notes, on the official SDK: everybody has notes of his own. Who that is, it learns from tokens
// of its own authorization server, where people sign in with their account at the company.
import http from 'node:http';

import { McpServer, Provider, StreamableHTTPServerTransport, jose, z } from '../../interop/packages.mjs';

// Starts it at a port. `company` is where people sign in, and what this server is called there.
export async function startNotes(port, company) {
  const base = `http://127.0.0.1:${port}`;
  const resource = `${base}/mcp`;
  const { publicKey, privateKey } = await jose.generateKeyPair('ES256', { extractable: true });
  const provider = authorizationServer(base, resource, await jose.exportJWK(privateKey));
  const notes = new Map();
  const signIn = withCompany(provider, base, company);
  const server = http.createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, base);
    try {
      if (pathname === '/.well-known/oauth-protected-resource/mcp') {
        return void reply(response, 200, {
          resource,
          authorization_servers: [base],
          scopes_supported: ['notes'],
          bearer_methods_supported: ['header'],
        });
      }
      if (pathname.startsWith('/login/'))
        return void (await signIn(request, response, pathname, searchParams));
      if (pathname !== '/mcp') return void (await provider.callback()(request, response));
      const who = await callerOf(request, { publicKey, issuer: base, audience: resource });
      if (!who) {
        const metadata = `${base}/.well-known/oauth-protected-resource/mcp`;
        response.setHeader('www-authenticate', `Bearer resource_metadata="${metadata}", scope="notes"`);
        return void reply(response, 401, { error: 'invalid_token' });
      }
      await serve(request, response, who, notes);
    } catch (error) {
      console.error('notes:', error);
      if (!response.headersSent) reply(response, 500, { error: 'server_error' });
    }
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    base,
    stop: () => new Promise((resolve) => server.close(resolve) && server.closeAllConnections()),
  };
}

function reply(response, status, document) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(document));
}

// Whose token a request brings; nobody's, where it is none for this server.
async function callerOf(request, { publicKey, issuer, audience }) {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ');
  if (scheme !== 'Bearer' || !token) return undefined;
  try {
    const { payload } = await jose.jwtVerify(token, publicKey, { issuer, audience, typ: 'at+jwt' });
    return payload.scope?.split(' ').includes('notes') ? payload.sub : undefined;
  } catch {
    return undefined;
  }
}

// One request of the protocol, by somebody whose notes are at hand.
async function serve(request, response, who, notes) {
  const own = notes.get(who) ?? [];
  notes.set(who, own);
  const text = (text) => ({ content: [{ type: 'text', text }] });
  const server = new McpServer({ name: 'notes', version: '1.0.0' });
  const adding = { description: 'Adds a note of yours.', inputSchema: { text: z.string().max(1_000) } };
  server.registerTool('add', adding, (note) => {
    own.push(note.text);
    return text(`${who} has ${own.length} now.`);
  });
  server.registerTool('list', { description: 'Your notes.' }, () => text(own.join('\n') || 'Nothing.'));
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: undefined,
    enableJsonResponse: true,
  });
  response.on('close', () => server.close());
  await server.connect(transport);
  await transport.handleRequest(request, response);
}

// Whoever wants tokens for this server gets them here. Programs register themselves.
function authorizationServer(base, resource, jwk) {
  const provider = new Provider(base, {
    jwks: { keys: [{ ...jwk, alg: 'ES256', use: 'sig', kid: 'notes' }] },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    cookies: {
      keys: ['for an example alone'],
      // A browser does not tell the ports of a machine apart, and the company has such cookies, too.
      names: { session: 'notes_session', interaction: 'notes_login', resume: 'notes_resume' },
    },
    scopes: ['openid', 'offline_access', 'notes'],
    findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
    interactions: { url: (_, { uid }) => `/login/${uid}` },
    ttl: {
      AccessToken: 60,
      RefreshToken: 86_400,
      Session: 3_600,
      Grant: 86_400,
      Interaction: 600,
      IdToken: 300,
    },
    // What somebody has let a program do is not remembered: it is asked each time, and that is seldom.
    async loadExistingGrant(ctx) {
      const grant = new provider.Grant({
        clientId: ctx.oidc.client.clientId,
        accountId: ctx.oidc.session.accountId,
      });
      grant.addOIDCScope('openid offline_access notes');
      grant.addResourceScope(resource, 'notes');
      await grant.save();
      return grant;
    },
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'notes',
          audience: resource,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 60,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  });
  provider.on('server_error', (_, error) => console.error('notes:', error));
  return provider;
}

// People sign in with their account at the company: they are sent there, and come back with a code.
function withCompany(provider, base, { issuer, id, secret }) {
  const redirect = `${base}/login/back`;
  const away = new Map();
  const back = new Map();
  return async (request, response, pathname, query) => {
    const goTo = (url) => response.writeHead(303, { location: url }).end();
    if (pathname === '/login/back') {
      const state = query.get('state');
      const { uid, verifier } = away.get(state) ?? {};
      away.delete(state);
      back.set(uid, await subjectOf(issuer, id, secret, redirect, query.get('code'), verifier));
      // There, and there alone, the browser proves that it is the one that was sent away.
      return void goTo(`/login/${uid}/done`);
    }
    const { uid, prompt } = await provider.interactionDetails(request, response);
    if (pathname.endsWith('/done')) {
      const accountId = back.get(uid);
      back.delete(uid);
      const result = accountId ? { login: { accountId } } : { error: 'access_denied' };
      return void (await provider.interactionFinished(request, response, result));
    }
    if (prompt.name === 'consent') {
      // That it was this page which sent the form, the cookie of this sign-in says: no other site has it.
      if (request.method === 'POST') {
        return void (await provider.interactionFinished(request, response, { consent: {} }));
      }
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.setHeader('content-security-policy', "default-src 'none'; frame-ancestors 'none'");
      return void response.end(`<!doctype html><title>Notes</title><h1>Notes</h1>
        <p>May the gateway read and write your notes?</p>
        <form method="post"><button name="answer" value="yes">Yes</button></form>`);
    }
    const [state, verifier] = [
      crypto.randomUUID(),
      jose.base64url.encode(crypto.getRandomValues(new Uint8Array(32))),
    ];
    away.set(state, { uid, verifier });
    const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
    const wanted = new URLSearchParams({
      client_id: id,
      response_type: 'code',
      redirect_uri: redirect,
      scope: 'openid',
      state,
      code_challenge: jose.base64url.encode(new Uint8Array(hash)),
      code_challenge_method: 'S256',
    });
    goTo(`${issuer}/auth?${wanted}`);
  };
}

async function subjectOf(issuer, id, secret, redirect, code, verifier) {
  if (!code) return undefined;
  const form = { grant_type: 'authorization_code', code, redirect_uri: redirect, code_verifier: verifier };
  const answer = await fetch(`${issuer}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa([id, secret].map(encodeURIComponent).join(':'))}` },
    body: new URLSearchParams(form),
  });
  if (!answer.ok) return undefined;
  // It comes from the company itself, over a connection of our own.
  return jose.decodeJwt((await answer.json()).id_token).sub;
}
