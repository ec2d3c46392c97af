// A server whose users are known by their company: its own authorization server takes the company's word for
// them (ID-JAG, SEP-990), and it takes tokens that the company issues for it in exchange (RFC 8693). It says
// who calls.
import http from 'node:http';

import { McpServer, Provider, StreamableHTTPServerTransport, jose } from './packages.mjs';

// A secret that the logs of the gateways are searched for.
export const DESK = 's3cr3t-seed-of the desk';
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

// Starts it. What of the company's it has taken is in `taken`.
export async function startDesk(port, company) {
  const base = `http://127.0.0.1:${port}`;
  const resource = `${base}/mcp`;
  const keys = jose.createRemoteJWKSet(new URL(`${company.issuer}/jwks`));
  const own = await jose.generateKeyPair('ES256', { extractable: true });
  const taken = [];
  const vouched = async (assertion) => {
    const { payload } = await jose.jwtVerify(assertion, keys, {
      issuer: company.issuer,
      audience: base,
      typ: 'oauth-id-jag+jwt',
    });
    if (payload.client_id !== 'tidegate' || payload.resource !== resource) throw new Error('for another');
    taken.push(payload);
    return payload.sub;
  };
  const jwk = { ...(await jose.exportJWK(own.privateKey)), alg: 'ES256', use: 'sig', kid: 'desk' };
  const answer = authorizationServer(base, resource, jwk, vouched).callback();
  const server = http.createServer(async (request, response) => {
    const { pathname } = new URL(request.url, base);
    if (pathname === '/.well-known/oauth-protected-resource/mcp') {
      const document = { resource, authorization_servers: [base], scopes_supported: ['desk'] };
      return void response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify(document));
    }
    if (pathname !== '/mcp') return void answer(request, response);
    const token = request.headers.authorization?.replace(/^Bearer /, '') ?? '';
    const checks = [
      jose.jwtVerify(token, own.publicKey, { issuer: base, audience: resource }),
      jose.jwtVerify(token, keys, { issuer: company.issuer, audience: 'desk-api' }),
    ];
    const who = await Promise.any(checks).then(
      ({ payload }) => payload,
      () => undefined,
    );
    if (!who) {
      const metadata = `${base}/.well-known/oauth-protected-resource/mcp`;
      response.writeHead(401, { 'www-authenticate': `Bearer resource_metadata="${metadata}", scope="desk"` });
      return void response.end();
    }
    const mcp = new McpServer({ name: 'desk', version: '1.0.0' });
    mcp.registerTool('whoami', { description: 'Who calls.' }, () => ({
      content: [{ type: 'text', text: `${who.sub} by ${who.iss === base ? 'the desk' : 'the company'}` }],
    }));
    const options = { sessionIdGenerator: undefined, enableJsonResponse: true };
    const transport = new StreamableHTTPServerTransport(options);
    response.on('close', () => mcp.close());
    await mcp.connect(transport);
    await transport.handleRequest(request, response);
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  const stop = () => new Promise((resolve) => server.close(resolve) && server.closeAllConnections());
  return { base, taken, stop };
}

function authorizationServer(base, resource, jwk, vouched) {
  const info = {
    scope: 'desk',
    audience: resource,
    accessTokenFormat: 'jwt',
    accessTokenTTL: 60,
    jwt: { sign: { alg: 'ES256' } },
  };
  const provider = new Provider(base, {
    clients: [
      {
        client_id: 'tidegate',
        client_secret: DESK,
        grant_types: [JWT_BEARER],
        redirect_uris: [],
        response_types: [],
      },
    ],
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    jwks: { keys: [jwk] },
    scopes: ['desk'],
    ttl: { AccessToken: 60 },
    discovery: { authorization_grant_profiles_supported: ['urn:ietf:params:oauth:grant-profile:id-jag'] },
    features: {
      devInteractions: { enabled: false },
      resourceIndicators: { enabled: true, getResourceServerInfo: () => info },
    },
  });
  const grant = async (ctx) => {
    const { client, params } = ctx.oidc;
    const accountId = await vouched(params.assertion).catch(() => undefined);
    if (!accountId) {
      ctx.status = 400;
      ctx.body = { error: 'invalid_grant' };
      return;
    }
    const token = new provider.AccessToken({ accountId, client, gty: JWT_BEARER, scope: 'desk' });
    token.resourceServer = new provider.ResourceServer(resource, info);
    ctx.body = { access_token: await token.save(), token_type: 'Bearer', expires_in: 60, scope: 'desk' };
  };
  provider.registerGrantType(JWT_BEARER, grant, ['assertion', 'scope']);
  provider.on('server_error', (_, error) => console.error('the desk', error));
  return provider;
}
