// Who calls, and how the gateway proves itself: with a certified OpenID provider, and gateways of the cases'
// own, of which one is the other's client.
import assert from 'node:assert/strict';

import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';

import { freePort, startGateway } from '../gateways.mjs';
import { EDITOR, PROVER, prover, startIdp } from '../idp.mjs';

const INFO = { name: 'tidegate-interop', version: '1' };
const MODERN = '2026-07-28';
// Not the secret of anybody.
const WRONG = 's3cr3t-seed-another one';

// What all cases share: an identity provider, a gateway that takes its tokens, and one that anybody may call
// and that is a client of the first, once by each proof.
export async function startSignOn(world) {
  const idp = await startIdp((resource) => (resource.includes('/opaque/') ? 'opaque' : 'jwt'));
  const [port, frontPort] = [await freePort(), await freePort()];
  const server = { command: [world.fixture, 'server', '--stdio', '--era', 'legacy'] };
  const asking = { client_id: 'editor', client_secret: { file: 'editor' } };
  const guarded = await startGateway(
    world,
    'signon-guarded',
    port,
    {
      auth: {
        allow: ['corp'],
        scopes: ['mcp'],
        issuers: { corp: { issuer: idp.issuer, introspection: asking, typed: true } },
      },
      upstreams: { plain: server, bound: server, opaque: server },
    },
    { editor: EDITOR },
  );
  const url = `${guarded.base}/plain/mcp`;
  const own = (auth) => ({ url, auth: { client_id: 'gateway', ...auth } });
  const front = await startGateway(
    world,
    'signon-front',
    frontPort,
    {
      upstreams: {
        signed: own({ private_key: { file: 'key.pem' }, key_id: 'gw' }),
        secret: own({ client_id: 'editor', client_secret: { file: 'editor' }, issuer: idp.issuer }),
        wrong: own({ client_id: 'editor', client_secret: { file: 'wrong' } }),
      },
    },
    { editor: EDITOR, wrong: WRONG, 'key.pem': idp.gatewayKey },
  );
  const stop = async () => {
    front.stop();
    guarded.stop();
    await idp.stop();
  };
  return { idp, guarded, front, url, stop };
}

const bearer = (token) => ({ requestInit: { headers: { authorization: `Bearer ${token}` } } });

const SDKS = {
  v1: () => ({ client: new ClientV1(INFO), Transport: HttpV1 }),
  v2: () => ({ client: new ClientV2(INFO, { versionNegotiation: { mode: 'auto' } }), Transport: HttpV2 }),
};

async function toolsOf(sdk, url, options) {
  const { client, Transport } = SDKS[sdk]();
  await client.connect(new Transport(new URL(url), options));
  try {
    return (await client.listTools()).tools.map((tool) => tool.name);
  } finally {
    await client.close();
  }
}

// One request of the newest revision.
function discover(url, headers) {
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': MODERN,
    'io.modelcontextprotocol/clientCapabilities': {},
    'io.modelcontextprotocol/clientInfo': INFO,
  };
  return fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': MODERN,
      'mcp-method': 'server/discover',
      ...headers,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'server/discover', params: { _meta } }),
  });
}

export const signon = {
  async 'a client with a token of the identity provider calls, in both SDKs'({ idp, url }) {
    const token = await idp.token(url);
    for (const sdk of Object.keys(SDKS)) {
      assert((await toolsOf(sdk, url, bearer(token))).length > 3, sdk);
    }
    const asked = idp.asked.length;
    for (let count = 0; count < 5; count++) {
      const fresh = await idp.token(url);
      assert.equal((await discover(url, { authorization: `Bearer ${fresh}` })).status, 200);
    }
    assert.equal(idp.asked.length, asked + 5, 'its keys are known, and nobody asks for them again');
  },

  async 'who brings none is told where tokens come from, by the metadata'({ idp, url, guarded }) {
    const refused = await discover(url, {});
    assert.equal(refused.status, 401);
    const place = /resource_metadata="([^"]+)"/.exec(refused.headers.get('www-authenticate'))[1];
    assert.equal(place, `${guarded.base}/.well-known/oauth-protected-resource/plain/mcp`);
    const document = await (await fetch(place)).json();
    assert.deepEqual([document.resource, document.authorization_servers], [url, [idp.issuer]]);
  },

  async 'a token for another endpoint, or without the scope, is refused'({ idp, url, guarded }) {
    const other = await idp.token(`${guarded.base}/bound/mcp`);
    assert.equal((await discover(url, { authorization: `Bearer ${other}` })).status, 401);
    const without = await idp.token(url, { scope: '' });
    const refused = await discover(url, { authorization: `Bearer ${without}` });
    assert.equal(refused.status, 403);
    assert.match(refused.headers.get('www-authenticate'), /insufficient_scope.*scope="mcp"/);
  },

  async 'a token that says nothing itself is good as long as its issuer says so'({ idp, guarded }) {
    const url = `${guarded.base}/opaque/mcp`;
    const good = await idp.token(url);
    assert(!good.includes('.'));
    assert.equal((await discover(url, { authorization: `Bearer ${good}` })).status, 200);
    const revoked = await idp.token(url);
    assert.equal((await idp.revoke(revoked)).status, 200);
    assert.equal((await discover(url, { authorization: `Bearer ${revoked}` })).status, 401);
    const elsewhere = await idp.token(`${guarded.base}/opaque/other`);
    assert.equal((await discover(url, { authorization: `Bearer ${elsewhere}` })).status, 401);
  },

  async 'a token that is bound to a key is good with a fresh proof alone'({ idp, guarded }) {
    const url = `${guarded.base}/bound/mcp`;
    const [prove, thief] = [await prover(), await prover()];
    const proof = await prove('POST', `${idp.issuer}/token`);
    const token = await idp.token(url, { client: 'prover', secret: PROVER, proof });
    const send = (dpop, scheme = 'DPoP') =>
      discover(url, { authorization: `${scheme} ${token}`, ...(dpop && { dpop }) });
    const fresh = await prove('POST', url, token);
    assert.equal((await send(fresh)).status, 200);
    const again = await send(fresh);
    assert.equal(again.status, 401);
    assert.match(again.headers.get('www-authenticate'), /DPoP .*invalid_dpop_proof/);
    assert.equal((await send(await thief('POST', url, token))).status, 401);
    assert.equal((await send(await prove('POST', `${url}/x`, token))).status, 401);
    assert.equal((await send(undefined, 'Bearer')).status, 401);
    assert.equal((await send(await prove('POST', url, token))).status, 200);
  },

  async 'the gateway proves itself to a server, by a key and by a secret'({ front, idp }) {
    for (const upstream of ['signed', 'secret']) {
      const before = idp.asked.filter((path) => path === '/token').length;
      for (const sdk of Object.keys(SDKS)) {
        assert((await toolsOf(sdk, `${front.base}/${upstream}/mcp`)).length > 3, `${upstream} ${sdk}`);
      }
      const asked = idp.asked.filter((path) => path === '/token').length - before;
      assert(asked <= 1, `one token for all, and not ${asked}`);
    }
  },

  async 'a wrong secret is told to nobody, and the provider is left in peace'({ front, idp }) {
    const before = idp.asked.filter((path) => path === '/token').length;
    for (let count = 0; count < 3; count++) {
      const answer = await (await discover(`${front.base}/wrong/mcp`, {})).text();
      assert(!answer.includes(WRONG) && !answer.includes('invalid_client'), answer);
    }
    assert(idp.asked.filter((path) => path === '/token').length <= before + 1);
  },
};
