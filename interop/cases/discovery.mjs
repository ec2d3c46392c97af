// One gateway publishes; another one finds, copies, adds and calls. Clients by others look on.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { Client } from '../clients.mjs';
import { freePort, startGateway } from '../gateways.mjs';
import { Skip, until } from '../harness.mjs';
import { texts } from '../world.mjs';

const HERE = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const NAME = 'com.acme/crm';

// What a program prints, of one that ends well.
export async function printed(program, args, { cwd, env = {} } = {}) {
  const stdio = ['ignore', 'pipe', 'pipe'];
  const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio });
  const [out, err] = [[], []];
  child.stdout.on('data', (data) => out.push(data));
  child.stderr.on('data', (data) => err.push(data));
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  const text = Buffer.concat(out).toString();
  const words = `${path.basename(program)} ${args.join(' ')}`;
  if (code !== 0) throw new Error(`${words}: ${code}: ${text}${Buffer.concat(err)}`);
  return text;
}

export async function startDiscovery(world) {
  const server = { command: [world.fixture, 'server', '--stdio', '--era', 'legacy'] };
  const card = (name) => ({
    name: `com.acme/${name}`,
    version: '1.2.0',
    title: `The ${name} of Acme`,
    description: `What the ${name} of Acme knows`,
    visibility: 'public',
  });
  const publisher = await startGateway(world, 'discovery-there', await freePort(), {
    upstreams: { crm: server, erp: server, inner: server },
    discovery: { cards: { crm: card('crm'), erp: card('erp') } },
  });
  const port = await freePort();
  const text = `listen: 127.0.0.1:${port}\ndrain_timeout: 1s\nupstreams: {}\n`;
  const own = await startGateway(world, 'discovery-here', port, text);
  const stop = async () => {
    await own.stop();
    await publisher.stop();
  };
  return { world, publisher, own, registry: `${publisher.base}/registry`, stop };
}

const tidegate = ({ world, own }, ...args) =>
  printed(world.gateway, args, { cwd: own.folder, env: { XDG_STATE_HOME: own.folder } });

const foreign = ({ world, registry }, ...args) => {
  if (!world.python) throw new Skip('there is no Python');
  const env = { COLUMNS: '200', NO_COLOR: '1' };
  return printed(world.python, [path.join(HERE, 'registry.py'), registry, ...args], { env });
};

// As editors do that are pointed at a registry: pages of the latest versions, then one entry by its name.
async function asAnEditor(registry) {
  const found = [];
  let cursor;
  do {
    const query = new URLSearchParams({ limit: '1', version: 'latest', ...(cursor ? { cursor } : {}) });
    const headers = { accept: 'application/json' };
    const answer = await fetch(`${registry}/v0.1/servers?${query}`, { headers });
    assert.equal(answer.status, 200);
    const page = await answer.json();
    assert(page.servers.length <= 1, 'as many as were asked for');
    found.push(...page.servers);
    cursor = page.metadata.nextCursor;
  } while (cursor);
  return found;
}

export const discovery = {
  async 'a crawl finds what is published and nothing else'(all) {
    const options = ['--private', '--live', '--output', 'json'];
    const said = await tidegate(all, 'discover', all.publisher.base, ...options);
    const { summary, cards } = JSON.parse(said);
    assert.deepEqual([summary.found, summary.cards, summary.answered], [1, 2, 2], said);
    assert.deepEqual([summary.serious, summary.warnings], [0, 0], said);
    assert.deepEqual(Object.values(cards).map((card) => card.name).sort(), ['com.acme/crm', 'com.acme/erp']);
    assert(!said.includes('inner'), said);
  },

  async 'a client of registries by somebody else reads ours'(all) {
    const list = await foreign(all, 'list', '--limit', '1');
    assert.match(list, /com\.acme\/crm .*active.*1\.2\.0.*What the crm of Acme knows/);
    assert.match(list, /Showing 1 servers/);
    const [, cursor] = list.match(/Next cursor: (\S+)/);
    assert.match(await foreign(all, 'list', '--cursor', cursor), /com\.acme\/erp/);
    const found = await foreign(all, 'list', '--search', 'erp');
    assert(/com\.acme\/erp/.test(found) && !found.includes('crm'), found);
    const [version, ...more] = JSON.parse(await foreign(all, 'versions', NAME));
    assert.deepEqual([version.name, version.version, version.status, more], [NAME, '1.2.0', 'active', []]);
    assert.equal(version.remotes[0].url, `${all.publisher.base}/crm/mcp`);
  },

  async 'an editor that is pointed at ours reads it'({ registry, publisher }) {
    const found = await asAnEditor(registry);
    assert.deepEqual(found.map(({ server }) => server.name), ['com.acme/crm', 'com.acme/erp']);
    const place = `${registry}/v0.1/servers/${encodeURIComponent(NAME)}/versions/latest`;
    const { server, _meta } = await (await fetch(place)).json();
    assert.deepEqual(server, found[0].server);
    const { type, url } = server.remotes[0];
    assert.deepEqual([type, url], ['streamable-http', `${publisher.base}/crm/mcp`]);
    assert.equal(_meta['io.modelcontextprotocol.registry/official'].isLatest, true);
    assert.equal((await fetch(place.replace('crm', 'none'))).status, 404);
  },

  async 'an entry is copied, added and called, while the gateway runs'(all) {
    const sync = ['registry', 'sync', all.registry, '--folder', 'copies', '--output', 'json'];
    assert.equal(JSON.parse(await tidegate(all, ...sync)).changed, 2);
    assert.equal(JSON.parse(await tidegate(all, ...sync)).changed, 0);
    assert.match(await tidegate(all, 'registry', 'search', 'knows', '--folder', 'copies'), /com\.acme\/crm/);
    const add = ['add', NAME, '--registries', 'copies', '--private', '--probe', '--yes'];
    assert.match(await tidegate(all, ...add), /tool {4}\S+ pin1:/);
    const written = fs.readFileSync(path.join(all.own.folder, 'tidegate.yaml'), 'utf8');
    assert.match(written, /^ {2}crm:\n {4}# Added on /m);
    for (const kind of ['v1', 'v2']) {
      const url = `${all.own.base}/crm/mcp`;
      const client = await until('the new endpoint', () => Client.open(kind, url).catch(() => undefined));
      const said = await client.call('test_simple_text');
      assert.equal(texts(said), 'This is a simple text response for testing.');
      await client.close();
    }
  },
};
