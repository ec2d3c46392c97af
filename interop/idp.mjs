// A certified OpenID provider as the identity provider of a company: on loopback, in this process.
import http from 'node:http';

import * as jose from 'jose';
import Provider from 'oidc-provider';

const TOKEN_SECONDS = 300;

// The secrets begin with what the logs are searched for, and have what is encoded in forms and headers.
export const EDITOR = 's3cr3t-seed-for a test: alone';
export const PROVER = 's3cr3t-seed-for another test';

// Starts it. `format` says what its access tokens for a resource are: `jwt`, or `opaque`.
export async function startIdp(format = () => 'jwt') {
  const server = http.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const pair = (alg) => jose.generateKeyPair(alg, { extractable: true });
  const [own, gateway] = [await pair('ES256'), await pair('ES256')];
  const jwk = { ...(await jose.exportJWK(own.privateKey)), alg: 'ES256', use: 'sig', kid: 'own' };
  const gatewayJwk = { ...(await jose.exportJWK(gateway.publicKey)), alg: 'ES256', use: 'sig', kid: 'gw' };
  const service = { grant_types: ['client_credentials'], redirect_uris: [], response_types: [] };
  const provider = new Provider(issuer, {
    clients: [
      { ...service, client_id: 'editor', client_secret: EDITOR },
      { ...service, client_id: 'prover', client_secret: PROVER, dpop_bound_access_tokens: true },
      {
        ...service,
        client_id: 'gateway',
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: 'ES256',
        jwks: { keys: [gatewayJwk] },
      },
    ],
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    jwks: { keys: [jwk] },
    scopes: ['mcp'],
    ttl: { ClientCredentials: TOKEN_SECONDS },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      dPoP: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: () => true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource) => ({
          scope: 'mcp',
          audience: resource,
          accessTokenFormat: format(resource),
          accessTokenTTL: TOKEN_SECONDS,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  });
  const asked = [];
  const answer = provider.callback();
  server.on('request', (request, response) => {
    asked.push(request.url);
    answer(request, response);
  });
  const post = (path, client, secret, form, headers = {}) => {
    const pair = [client, secret].map((part) => encodeURIComponent(part).replaceAll('%20', '+')).join(':');
    return fetch(`${issuer}${path}`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(pair).toString('base64')}`, ...headers },
      body: new URLSearchParams(form),
    });
  };
  return {
    issuer,
    asked,
    gatewayKey: await jose.exportPKCS8(gateway.privateKey),
    // A token for a resource.
    async token(resource, { client = 'editor', secret = EDITOR, scope = 'mcp', proof } = {}) {
      const form = { grant_type: 'client_credentials', resource, ...(scope && { scope }) };
      const answered = await post('/token', client, secret, form, proof ? { dpop: proof } : {});
      const body = await answered.json();
      if (!answered.ok) throw new Error(`no token: ${JSON.stringify(body)}`);
      return body.access_token;
    },
    revoke: (token) => post('/token/revocation', 'editor', EDITOR, { token }),
    stop: () => new Promise((resolve) => server.close(resolve) && server.closeAllConnections()),
  };
}

// Proofs of possession of one key (RFC 9449).
export async function prover() {
  const { publicKey, privateKey } = await jose.generateKeyPair('ES256');
  const jwk = await jose.exportJWK(publicKey);
  return async (htm, htu, token) => {
    const ath = token && jose.base64url.encode(
      await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token)).then((hash) => new Uint8Array(hash)),
    );
    const claims = { htm, htu, jti: crypto.randomUUID(), ...(ath && { ath }) };
    return new jose.SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk })
      .setIssuedAt()
      .sign(privateKey);
  };
}
