// From here to ContextForge and back, with ContextForge itself: its own import takes what `tidegate export` writes,
// `tidegate migrate from` reads what its own export says, and `tidegate migrate check` compares both.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import { startContextForge } from '../contextforge.mjs';
import { KEY, TOKEN, differing, says, sent } from '../exported.mjs';
import { Skip } from '../harness.mjs';

const TOOLS = ['echo', 'get-structured-content', 'get-sum'];
const CALLS = [
  { tool: 'remote-echo', arguments: { message: 'ebb and flow' } },
  { tool: 'remote-get-sum', arguments: { a: 1, b: 2 } },
  { tool: 'remote-get-sum', arguments: { a: 'no number' } },
  { tool: 'remote-get-structured-content', arguments: { location: 'New York' } },
];

// What is written for it: servers past the gateway, and endpoints with and without lists of their own.
const own = ({ url, node, everything }) => ({
  upstreams: {
    local: { command: [node, everything, 'stdio'] },
    remote: {
      url,
      transport: 'streamable-http',
      description: 'All that a server can do.',
      headers: {
        'X-Team': 'tide',
        'X-Key': { env: 'TIDE_KEY' },
        Authorization: { env: 'TIDE_TOKEN', prefix: 'Bearer ' },
      },
      expose: [...TOOLS, 'get-env'],
      hide: ['*-env'],
    },
    dark: { url: 'http://127.0.0.1:1/mcp', transport: 'streamable-http', enabled: false },
  },
  endpoints: {
    desk: { description: 'What the desk needs.', upstreams: ['remote', 'local'] },
    lamp: { upstreams: ['remote'], expose: ['remote_echo', 'remote_get-env'] },
  },
});

// The file that is written, and what is said of it.
function exported(all) {
  all.toContextForge ??= (async () => {
    const config = path.join(all.gateway.folder, 'own.yaml');
    fs.writeFileSync(config, JSON.stringify(own(all)));
    const file = path.join(all.gateway.folder, 'contextforge.json');
    const words = ['export', 'contextforge', file, '--config', config, '--write', '--output', 'json'];
    const { code, text, err } = await says(all, all.world.gateway, words);
    assert.equal(code, 6, err);
    return { file, report: JSON.parse(text).report };
  })();
  return all.toContextForge;
}

// ContextForge with what is written for it.
function running(all) {
  const { world } = all;
  if (!world.contextforge) throw new Skip(world['contextforge-missing'] ?? 'there is no ContextForge');
  all.contextforge ??= (async () => {
    const program = await startContextForge(all, world.contextforge);
    all.stops.push(program.stop);
    const { file } = await exported(all);
    const { code, text, err } = await program.command('import', file);
    return { ...program, imported: { code, text, err } };
  })();
  return all.contextforge;
}

// Where one of its virtual servers is.
async function at(program, name) {
  const servers = await program.ask('GET', '/servers');
  const found = servers.find((one) => one.name === name);
  assert(found, servers.map((one) => one.name).join());
  return `${program.base}/servers/${found.id}/mcp`;
}

// What a virtual server answers.
async function said(program, name, method, params) {
  const answer = await fetch(await at(program, name), {
    method: 'POST',
    headers: {
      authorization: program.bearer,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
  assert.equal(answer.status, 200);
  return answer.json();
}

const listedAt = async (program, name) =>
  (await said(program, name, 'tools/list')).result.tools.map((tool) => tool.name);

// What it has made of what it was given, in its own words, and what becomes of that here.
async function migrated(all) {
  all.fromContextForge ??= (async () => {
    const program = await running(all);
    const file = path.join(program.folder, 'export.json');
    const done = await program.command('export', '--out', file);
    assert.equal(done.code, 0, done.err);
    const into = path.join(all.gateway.folder, 'from-contextforge');
    const words = ['migrate', 'from', 'contextforge', file, '--into', into, '--output', 'json'];
    const ran = await says(all, all.world.gateway, words);
    const config = path.join(into, 'tidegate.yaml');
    return { ran, file, config, text: fs.readFileSync(config, 'utf8') };
  })();
  return all.fromContextForge;
}

async function check(all, url, calls, ...sides) {
  const program = await running(all);
  const file = path.join(all.gateway.folder, 'contextforge-calls.json');
  fs.writeFileSync(file, JSON.stringify(calls));
  const words = ['migrate', 'check', '--url', url, '--header', 'Authorization=env:OLD', '--calls', file];
  // It says nothing of how tools are carried out.
  const more = ['--ignore', 'execution', '--output', 'json'];
  const ran = await says(all, all.world.gateway, [...words, ...sides, ...more], { OLD: program.bearer });
  assert.equal(ran.err, '');
  return { code: ran.code, report: JSON.parse(ran.text) };
}

function slow(work) {
  return Object.assign(work, { limitMs: 240_000 });
}

export const contextforge = {
  'contextforge: what is written has no secret, and says what it has no place for': async (all) => {
    const { file, report } = await exported(all);
    const text = fs.readFileSync(file, 'utf8');
    for (const secret of [KEY, TOKEN, 'TIDE_KEY', 'TIDE_TOKEN', 'X-Team']) assert(!text.includes(secret));
    const { gateways, servers } = JSON.parse(text).entities;
    assert.deepEqual(gateways.map(({ name }) => name), ['remote']);
    const ids = servers.map((one) => [one.name, one.tool_ids]);
    // What one list of two keeps back is in neither.
    assert.deepEqual(ids, [
      ['desk', TOOLS.map((tool) => `remote-${tool}`)],
      ['lamp', ['remote-echo']],
    ]);
    const fates = (at) => report.fields.filter((one) => one.path === at).map(({ fate }) => fate);
    assert.deepEqual(fates('servers.remote.headers'), ['dropped']);
    assert.deepEqual(fates('servers.local.transport'), ['dropped']);
    assert.deepEqual(fates('servers.dark.enabled'), ['approximated']);
    assert.deepEqual(fates('servers.remote.url'), ['approximated']);
  },

  'contextforge: its own import takes all of it, and its virtual servers have those tools alone': slow(
    async (all) => {
      const program = await running(all);
      const { code, text, err } = program.imported;
      assert.equal(code, 0, `${text}${err}`);
      assert.match(text, /Created: 3\b/);
      assert.match(text, /Failed: 0\b/);
      for (const [name, tools] of [
        ['desk', TOOLS],
        ['lamp', ['echo']],
      ]) {
        const listed = await listedAt(program, name);
        assert.deepEqual(listed.sort(), tools.map((tool) => `remote-${tool}`));
      }
    },
  ),

  'contextforge: it calls through, with the headers that it is given as the report says': slow(async (all) => {
    const program = await running(all);
    const [gateway] = await program.ask('GET', '/gateways');
    const headers = [
      { key: 'X-Team', value: 'tide' },
      { key: 'X-Key', value: KEY },
      { key: 'Authorization', value: `Bearer ${TOKEN}` },
    ];
    const body = { auth_type: 'authheaders', auth_headers: headers };
    await program.ask('PUT', `/gateways/${gateway.id}`, body);
    const from = all.front.heads.length;
    const params = { name: 'remote-echo', arguments: { message: 'ebb and flow' } };
    const { result } = await said(program, 'desk', 'tools/call', params);
    assert.equal(result.content[0].text, 'Echo: ebb and flow');
    const heads = sent(all, from);
    assert(heads.length > 0);
    for (const head of heads) assert.deepEqual(head, [KEY, `Bearer ${TOKEN}`]);
  }),

  'contextforge: what it exports becomes a configuration, and nothing of its vault goes over': slow(async (all) => {
    const { ran, file, config, text } = await migrated(all);
    // Users and teams are in its database.
    assert.equal(ran.code, 6, ran.err);
    const { report } = JSON.parse(ran.text);
    const lost = report.fields.filter((one) => one.guards && one.fate === 'dropped').map((one) => one.path);
    assert.deepEqual(lost, ['entities.users']);
    const [gateway] = JSON.parse(fs.readFileSync(file, 'utf8')).entities.gateways;
    assert.equal(gateway.auth_type, 'authheaders');
    for (const secret of [KEY, TOKEN, gateway.auth_value]) assert(!text.includes(secret));
    const told = report.fields.find((one) => one.path === 'entities.gateways[0].auth_value');
    assert.equal(told.fate, 'dropped');
    const checked = await says(all, all.world.gateway, ['config', 'check', '--config', config]);
    assert.equal(checked.code, 0, checked.err);
  }),

  'contextforge: the same tools with the same definitions, and the same answers, good and bad': slow(async (all) => {
    const program = await running(all);
    const { config } = await migrated(all);
    const sides = ['--config', config, '--endpoint', 'desk'];
    const { code, report } = await check(all, await at(program, 'desk'), CALLS, ...sides);
    assert.deepEqual(differing(report), []);
    assert.deepEqual([code, report.same, report.calls.length], [0, true, CALLS.length]);
    const names = report.tools.map((one) => one.new).sort();
    assert.deepEqual(names, TOOLS.map((tool) => `remote_${tool}`));
    assert.equal(report.calls[0].answers.new.result.content[0].text, 'Echo: ebb and flow');
    assert(report.calls[2].answers.old.result.isError, 'one is bad');
  }),

  'contextforge: a tool that is gone and a server that is another one are found, and nothing else': slow(async (all) => {
    const program = await running(all);
    const { config, text } = await migrated(all);
    const other = path.join(path.dirname(config), 'other.yaml');
    const more = '- remote_echo\n      - remote_get-env\n';
    const changed = text.replaceAll(/get.sum/g, 'get-sun').replaceAll('- remote_echo\n', more);
    assert.notEqual(changed, text);
    fs.writeFileSync(other, changed);
    const sides = ['--config', other, '--endpoint', 'desk'];
    const { code, report } = await check(all, await at(program, 'desk'), CALLS.slice(0, 1), ...sides);
    assert.equal(code, 4);
    assert.deepEqual(differing(report), ['only there: remote-get-sum', 'only here: remote_get-env']);
  }),
};
