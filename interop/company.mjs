// The identity provider of a company, for people: a certified OpenID provider, on loopback, in this process.
// It knows nothing of MCP: no client registers itself there, and no token is for an address.
import http from 'node:http';

import * as jose from 'jose';
import Provider from 'oidc-provider';

// Secrets begin with what the logs of the gateways are searched for, and have what is encoded in headers.
const SECRET = 's3cr3t-seed-of the company: %';
export const AGENT = 's3cr3t-seed-of the agent: %';
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ID_TOKEN = 'urn:ietf:params:oauth:token-type:id_token';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag';

// Who works there: what each of them has in claims beside `sub`.
export const PEOPLE = {
  ann: { groups: ['staff', 'writers'], name: 'Ann Example', email: 'ann@corp.example' },
  bob: { groups: ['staff'], name: 'Bob Example', email: 'bob@corp.example' },
};

// What such a provider does as it should; `sloppy` says where one does not, as some in use do not.
const STRICT = { sloppy: false, idTokenSeconds: 300, rotate: true };
const SLOPPY = { sloppy: true, idTokenSeconds: 14 * 24 * 3600, rotate: false };

// Starts it. `gateways` are the addresses that the gateway is reached by, `programs` what else people sign in
// at: each has a name, a secret, and an address that they come back to.
export async function startCompany(gateways, { sloppy = false, people = PEOPLE, programs = [] } = {}) {
  const ways = sloppy ? SLOPPY : STRICT;
  const server = http.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const alg = sloppy ? 'RS256' : 'ES256';
  const key = await jose.generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await jose.exportJWK(key.privateKey)), alg, use: 'sig', kid: 'company' };
  const disabled = new Set();
  const asked = [];
  const account = (_, sub) => {
    const person = people[sub];
    if (!person || disabled.has(sub)) return undefined;
    return { accountId: sub, claims: () => claimsOf(sub, person, sloppy) };
  };
  const provider = new Provider(issuer, {
    clients: [client('tidegate', SECRET, gateways.map(callback), alg), ...agents(alg, programs)],
    clientDefaults: { id_token_signed_response_alg: alg },
    jwks: { keys: [jwk] },
    cookies: { keys: ['for a test alone'] },
    findAccount: account,
    scopes: ['openid', 'offline_access', 'profile', 'email', 'groups'],
    claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'], groups: ['groups'] },
    // Everything that is known stands in the ID token, as it does with those whom companies have.
    conformIdTokenClaims: false,
    issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: () => ways.rotate,
    pkce: { required: () => !sloppy },
    ttl: {
      IdToken: ways.idTokenSeconds,
      AccessToken: 300,
      RefreshToken: 24 * 3600,
      Session: 3600,
      Grant: 24 * 3600,
      Interaction: 600,
    },
    interactions: { url: (_, interaction) => `/login/${interaction.uid}` },
    // The administrator has consented for everybody.
    async loadExistingGrant(ctx) {
      const { client, session } = ctx.oidc;
      const known = session.grantIdFor(client.clientId);
      if (known) return provider.Grant.find(known);
      const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope('openid offline_access profile email groups');
      await grant.save();
      return grant;
    },
    features: {
      devInteractions: { enabled: false },
      resourceIndicators: { enabled: false },
      revocation: { enabled: true },
      introspection: { enabled: true },
    },
  });
  vouching(provider, { issuer, key, alg, account });
  if (sloppy) provider.use(forgetful);
  provider.on('server_error', (_, error) => console.error('the identity provider', error));
  const answer = provider.callback();
  server.on('request', (request, response) => {
    const { pathname } = new URL(request.url, issuer);
    asked.push(`${request.method} ${pathname}`);
    if (pathname.startsWith('/login/')) return void login(provider, account, request, response);
    answer(request, response);
  });
  return {
    issuer,
    asked,
    secret: SECRET,
    disable: (sub) => disabled.add(sub),
    enable: (sub) => disabled.delete(sub),
    // Something that it signs, as an identity provider that has been broken into might.
    sign: (claims, header = {}) =>
      new jose.SignJWT(claims).setProtectedHeader({ alg, kid: 'company', ...header }).sign(key.privateKey),
    stop: () => new Promise((resolve) => server.close(resolve) && server.closeAllConnections()),
  };
}

const callback = (gateway) => `${gateway}/oauth/callback`;

function client(id, secret, redirects, alg) {
  return {
    client_id: id,
    client_secret: secret,
    redirect_uris: redirects,
    grant_types: ['authorization_code', 'refresh_token', EXCHANGE],
    response_types: ['code'],
    id_token_signed_response_alg: alg,
  };
}

// Programs of the company's own. Who uses the agent is signed in before it comes to the gateway.
function agents(alg, programs) {
  const agent = { id: 'agent', secret: AGENT, redirect: 'https://agent.corp.example/back' };
  return [agent, ...programs].map(({ id, secret, redirect }) => client(id, secret, [redirect], alg));
}

function claimsOf(sub, person, sloppy) {
  if (!sloppy) return { sub, ...person, email_verified: true };
  // One group is no list, a truth is a text, and there are things that nobody asked for.
  const [group, ...more] = person.groups;
  const groups = more.length ? person.groups : group;
  return { sub, name: null, email_verified: 'true', groups, amr: 7, nested: { deep: [[[]]] } };
}

// What one does not do that speaks an older OpenID Connect: no `iss` in answers, metadata at one place alone,
// keys that do not say what they are for, a number that is a text.
async function forgetful(ctx, next) {
  await next();
  if (ctx.path.startsWith('/.well-known/oauth')) ctx.throw(404);
  if (ctx.path === '/.well-known/openid-configuration') {
    const { authorization_response_iss_parameter_supported: _, ...rest } = ctx.body;
    ctx.body = rest;
  }
  if (ctx.path === '/jwks') {
    ctx.body = { keys: ctx.body.keys.map(({ alg: _, use: __, ...key }) => key) };
  }
  if (ctx.path === '/token' && ctx.body?.id_token) {
    const { scope: _, ...rest } = ctx.body;
    ctx.body = { ...rest, token_type: 'bearer', expires_in: String(rest.expires_in ?? 300) };
  }
  const to = ctx.response.get('location') ?? '';
  if (to.includes('/oauth/callback')) {
    const url = new URL(to);
    url.searchParams.delete('iss');
    ctx.set('location', url.href);
  }
}

// The page on which somebody says who he is, and is believed.
async function login(provider, account, request, response) {
  try {
    const { prompt } = await provider.interactionDetails(request, response);
    if (request.method === 'POST') {
      const form = new URLSearchParams(await read(request));
      const who = form.get('who');
      const result = account(undefined, who)
        ? { login: { accountId: who } }
        : { error: 'access_denied', error_description: 'nobody of that name may sign in' };
      return void (await provider.interactionFinished(request, response, result));
    }
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(`<!doctype html><title>Sign in</title><link rel="icon" href="data:,">
      <h1>The company</h1><p>${prompt.name}</p>
      <form method="post"><label>Who are you? <input name="who" autofocus></label>
      <button id="go">Sign in</button></form>`);
  } catch (error) {
    response.statusCode = 400;
    response.end(String(error));
  }
}

async function read(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

// It vouches for its users at other authorization servers (SEP-990, ID-JAG), for who has signed them in, and
// issues tokens of theirs for others (RFC 8693).
function vouching(provider, { issuer, key, alg, account }) {
  const parameters = ['audience', 'resource', 'scope', 'subject_token', 'subject_token_type'];
  parameters.push('requested_token_type');
  provider.registerGrantType(
    EXCHANGE,
    async (ctx) => {
      const { params, client } = ctx.oidc;
      const { payload } = await jose.jwtVerify(params.subject_token, key.publicKey, { issuer });
      const wanted = params.requested_token_type;
      const good =
        params.subject_token_type === ID_TOKEN &&
        [ID_JAG, ACCESS_TOKEN].includes(wanted) &&
        payload.aud === client.clientId &&
        account(ctx, payload.sub);
      if (!good) {
        ctx.status = 400;
        ctx.body = { error: 'invalid_grant' };
        return;
      }
      const claims = { client_id: client.clientId, jti: crypto.randomUUID(), email: payload.email };
      for (const name of ['resource', 'scope']) if (params[name]) claims[name] = params[name];
      if (payload.groups) claims.groups = payload.groups;
      const token = await new jose.SignJWT(claims)
        .setProtectedHeader({ alg, kid: 'company', typ: wanted === ID_JAG ? 'oauth-id-jag+jwt' : 'at+jwt' })
        .setIssuer(issuer)
        .setSubject(payload.sub)
        .setAudience(params.audience ?? params.resource)
        .setIssuedAt()
        .setExpirationTime('5m')
        .sign(key.privateKey);
      const kind = wanted === ID_JAG ? 'N_A' : 'Bearer';
      ctx.body = { issued_token_type: wanted, access_token: token, token_type: kind, expires_in: 300 };
    },
    parameters,
  );
}
