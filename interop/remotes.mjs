// What the cases add that is neither a package nor a bundle: servers, web APIs and a registry on this machine.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';

import { toNodeHandler } from '@modelcontextprotocol/node';
import { McpServer, createMcpHandler } from '@modelcontextprotocol/server';
import { z } from 'zod';

import { freePort } from './gateways.mjs';
import { until } from './harness.mjs';

const CARD = 'https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json';

// Serves until it is stopped. `serve` gets requests and responses.
async function listen(serve) {
  const server = http.createServer(serve);
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = () => new Promise((resolve) => server.close(resolve) && server.closeAllConnections());
  return { base: `http://127.0.0.1:${server.address().port}`, stop };
}

function json(response, value, status = 200) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}

// A server of 2026-07-28 alone, on the v2 line of the official SDK, with a card.
export async function startModern() {
  const handler = createMcpHandler(
    () => {
      const server = new McpServer({ name: 'com.example/words', version: '1.0.0' });
      const count = { description: 'Counts words', inputSchema: z.object({ text: z.string() }) };
      server.registerTool('count', count, ({ text }) => {
        return { content: [{ type: 'text', text: String(text.split(/\s+/).length) }] };
      });
      return server;
    },
    { legacy: 'reject' },
  );
  const own = await listen((request, response) => {
    if (request.url !== '/mcp/server-card') return toNodeHandler(handler)(request, response);
    const versions = { supportedProtocolVersions: ['2026-07-28'] };
    const remotes = [{ type: 'streamable-http', url: `${own.base}/mcp`, ...versions }];
    const about = { name: 'com.example/words', version: '1.0.0', description: 'Counts words' };
    json(response, { $schema: CARD, ...about, remotes });
  });
  return { ...own, card: `${own.base}/mcp/server-card` };
}

// `server-everything` over HTTP: sessions, by the v1 line of the official SDK.
export async function startLegacy({ node }, modules, log) {
  const port = await freePort();
  const script = path.join(modules, '@modelcontextprotocol/server-everything/dist/index.js');
  const out = fs.openSync(log, 'w');
  const env = { ...process.env, PORT: String(port) };
  const child = spawn(node, [script, 'streamableHttp'], { stdio: ['ignore', out, out], env });
  fs.closeSync(out);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await until('server-everything', () => fs.readFileSync(log, 'utf8').includes(`port ${port}`));
  return { url: `http://127.0.0.1:${port}/mcp`, stop: () => child.kill() && ended };
}

// A registry of these entries, as a registry serves them.
export async function startRegistry(entries) {
  const at = new Date(Date.now() - 60_000).toISOString();
  const official = { status: 'active', publishedAt: at, updatedAt: at, isLatest: true };
  const servers = entries.map((server) => ({
    server,
    _meta: { 'io.modelcontextprotocol.registry/official': official },
  }));
  const own = await listen((request, response) => {
    if (!request.url.startsWith('/v0.1/servers?')) return json(response, { error: 'not found' }, 404);
    json(response, { servers, metadata: { count: servers.length } });
  });
  return own;
}

// What answers for two web APIs, which want a key each, and has a page.
export async function startApis(keys) {
  const asked = [];
  const own = await listen((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    if (request.url === '/page') {
      response.writeHead(200, { 'content-type': 'text/html' });
      return response.end('<html><body><h1>Tides</h1><p>High water is at noon.</p></body></html>');
    }
    const [, api, rest] = request.url.match(/^\/(figma|blockfrost)(\/.*)$/) ?? [];
    const key = { figma: 'x-figma-token', blockfrost: 'project_id' }[api];
    if (!api) return json(response, { error: 'not found' }, 404);
    if (request.headers[key] !== keys[api]) return json(response, { error: 'who is it?' }, 403);
    const ann = { id: '7', handle: 'Ann', img_url: 'https://a.example/i', email: 'ann@a.example' };
    if (rest === '/v1/me') return json(response, ann);
    if (rest === '/health/clock') return json(response, { server_time: 1_603_400_958_947 });
    json(response, { error: `nothing is at ${rest}` }, 404);
  });
  return { ...own, asked };
}
