// Programs that people use MCP with, on both lines of the official TypeScript SDK, which does what OAuth asks
// of them: discovery, registration, PKCE, resources, tokens. What is the program's own is here: what it calls
// itself, where users come back to, and what it keeps.
import assert from 'node:assert/strict';

import { UnauthorizedError as UnauthorizedV1 } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import {
  Client as ClientV2,
  StreamableHTTPClientTransport as HttpV2,
  UnauthorizedError as UnauthorizedV2,
} from '@modelcontextprotocol/client';

const INFO = { name: 'tidegate-interop', version: '1' };

export const SDKS = {
  v1: {
    make: (capabilities) => new ClientV1(INFO, { capabilities }),
    Transport: HttpV1,
    Unauthorized: UnauthorizedV1,
    // It takes the code alone, and leaves what else is said to the program.
    finish: (transport, params) => transport.finishAuth(params.get('code')),
  },
  // The same line over the transport of 2024-11-05.
  sse: {
    make: (capabilities) => new ClientV1(INFO, { capabilities }),
    Transport: SSEClientTransport,
    Unauthorized: UnauthorizedV1,
    finish: (transport, params) => transport.finishAuth(params.get('code')),
  },
  v2: {
    make: (capabilities) => new ClientV2(INFO, { capabilities, versionNegotiation: { mode: 'auto' } }),
    Transport: HttpV2,
    Unauthorized: UnauthorizedV2,
    finish: (transport, params) => transport.finishAuth(params),
  },
};

// What a person does in a browser until the client has its answer, which is given back: lets it act, or not,
// and says who he is where he is asked.
export async function person(browser, url, { who, decision = 'allow', fields = {}, redirect }) {
  const stop = (at) => at.href.startsWith(`${redirect}?`);
  let page = await browser.go(url, { stop });
  for (let pages = 0; !page.stopped; pages++) {
    assert(pages < 6, `a person has seen the same pages too often: ${page.url}`);
    if (page.status === 200 && page.url.pathname === '/oauth/authorize') {
      page = await browser.submit(page, { decision, ...fields }, { stop });
    } else if (page.status === 200 && page.url.pathname.startsWith('/login/')) {
      assert(who, 'nobody here says who he is');
      page = await browser.submit(page, { who }, { stop });
    } else {
      throw new Error(`a person is stuck at ${page.url} (${page.status}): ${page.text}`);
    }
  }
  return page.url.searchParams;
}

// A program. The SDK calls it by the names of `OAuthClientProvider`.
export class Program {
  redirectUrl;
  // Where the SDK has sent its user last.
  wanted;
  // What the SDK asked over HTTP, as METHOD URL.
  asked = [];
  kept = {};

  constructor(sdk, url, { name = 'An editor', redirect = 'http://127.0.0.1:8765/back', ...more } = {}) {
    this.line = sdk;
    this.sdk = SDKS[sdk];
    this.url = new URL(url);
    this.redirectUrl = redirect;
    this.more = more;
    this.clientMetadata = {
      client_name: name,
      redirect_uris: [redirect],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      ...more.metadata,
    };
    if (more.information) this.kept.information = more.information;
    if (more.dpop) this.dpop = () => more.dpop;
  }

  state() {
    this.kept.state = crypto.randomUUID();
    return this.kept.state;
  }

  clientInformation = () => this.kept.information;
  saveClientInformation = (information) => void (this.kept.information = information);
  tokens = () => this.kept.tokens;
  saveTokens = (tokens) => void (this.kept.tokens = tokens);
  saveCodeVerifier = (verifier) => void (this.kept.verifier = verifier);
  codeVerifier = () => this.kept.verifier;
  discoveryState = () => this.kept.discovery;
  saveDiscoveryState = (state) => void (this.kept.discovery = state);
  redirectToAuthorization = (url) => void (this.wanted = url);

  invalidateCredentials(scope) {
    (this.invalidated ??= []).push(scope);
    if (scope === 'all' || scope === 'client') delete this.kept.information;
    if (scope === 'all' || scope === 'tokens') delete this.kept.tokens;
  }

  #transport(url = this.url) {
    const counting = (input, init) => {
      this.asked.push(`${init?.method ?? 'GET'} ${input}`);
      return fetch(input, init);
    };
    return new this.sdk.Transport(new URL(url), { authProvider: this, fetch: counting });
  }

  // Connects as somebody who is signed in already, or can be again without being asked.
  async connect({ url, capabilities = {}, before = () => {} } = {}) {
    const client = this.sdk.make(capabilities);
    before(client);
    await client.connect(this.#transport(url));
    return client;
  }

  // What comes of it when nobody has signed in: the SDK has sent its user somewhere.
  async begin() {
    const [client, transport] = [this.sdk.make({}), this.#transport()];
    this.wanted = undefined;
    await assert.rejects(client.connect(transport), this.sdk.Unauthorized);
    assert(this.wanted, 'nobody was sent anywhere');
    return { url: this.wanted, finish: (params) => this.#finish(transport, params) };
  }

  async #finish(transport, params) {
    assert.equal(params.get('state'), this.kept.state);
    await this.sdk.finish(transport, params);
  }

  // The whole way of somebody who signs in, up to a connected client.
  async signIn(browser, how) {
    const { url, finish } = await this.begin();
    const params = await person(browser, url, { redirect: this.redirectUrl, ...how });
    assert(params.has('code'), params.toString());
    await finish(params);
    return this.connect();
  }
}

// The names of the tools that a client finds; then it is closed.
export async function toolsOf(client) {
  try {
    return (await client.listTools()).tools.map((tool) => tool.name);
  } finally {
    await client.close();
  }
}
