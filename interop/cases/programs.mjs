// What `tidegate export` writes for a client, read by the client itself: programs too large for every check.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

import { KEY, TOKEN, printed, says, sent, startExported, write } from '../exported.mjs';
import { Skip } from '../harness.mjs';

// Of what is installed, by where it is among the packages.
const CLAUDE = '@anthropic-ai/claude-code-linux-x64/claude';
const CLINE = '@cline/cli-linux-x64/bin/cline';
const CODEX = '@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex';
const COPILOT = '@github/copilot-linux-x64/copilot';
const INSPECTOR = '@modelcontextprotocol/inspector';

export function startPrograms(world) {
  return startExported(world, 'programs');
}

function wants({ world }, program) {
  if (!world.programs) throw new Skip(world.noPrograms ?? 'they are not installed');
  const file = path.join(world.programs.modules, program);
  if (!fs.existsSync(file)) throw new Skip(`${program} is not for this machine`);
  return file;
}

// All that came by the entry with variables has their values.
function expanded(all, from) {
  const heads = sent(all, from);
  assert(heads.length > 0, 'nothing came');
  for (const head of heads) assert.deepEqual(head, [KEY, `Bearer ${TOKEN}`]);
}

function slow(work) {
  return Object.assign(work, { limitMs: 90_000 });
}

export const programs = {
  'claude-code: it names all of an entry, and connects to all three': slow(async (all) => {
    const program = wants(all, CLAUDE);
    const file = await write(all, 'claude-code', '.claude.json', '{\n  "numStartups": 12\n}\n');
    assert.equal(JSON.parse(fs.readFileSync(file, 'utf8')).numStartups, 12);
    const from = all.front.heads.length;
    const said = await printed(all, program, ['mcp', 'list']);
    for (const line of [
      `tidegate: ${all.front.base}/mcp (HTTP) - ✔ Connected`,
      `local: ${all.node} ${all.everything} stdio - ✔ Connected`,
      `remote: ${all.url} (HTTP) - ✔ Connected`,
    ])
      assert(said.split('\n').includes(line), said);
    expanded(all, from);
    const lines = async (name) => (await printed(all, program, ['mcp', 'get', name])).split('\n');
    const remote = await lines('remote');
    for (const line of [
      '  Scope: User config (available in all your projects)',
      '  Type: http',
      `  URL: ${all.url}`,
      '    X-Team: tide',
      '    X-Key: ${TIDE_KEY}',
      '    Authorization: Bearer ${TIDE_TOKEN}',
    ])
      assert(remote.includes(line), remote.join('\n'));
    const local = await lines('local');
    for (const line of [
      '  Type: stdio',
      `  Command: ${all.node}`,
      `  Args: ${all.everything} stdio`,
      '    LEVEL=debug',
      '    TIDE_KEY=${TIDE_KEY}',
    ])
      assert(local.includes(line), local.join('\n'));
  }),

  'codex: it names all of an entry, lists of tools as well': slow(async (all) => {
    const program = wants(all, CODEX);
    await write(all, 'codex', '.codex/config.toml', '# mine\n');
    const list = JSON.parse(await printed(all, program, ['mcp', 'list', '--json']));
    const byName = Object.fromEntries(list.map((entry) => [entry.name, entry]));
    assert.deepEqual(Object.keys(byName).sort(), ['local', 'remote', 'tidegate']);
    const { transport } = byName.tidegate;
    assert.deepEqual([transport.type, transport.url], ['streamable_http', `${all.front.base}/mcp`]);
    const get = async (name) => JSON.parse(await printed(all, program, ['mcp', 'get', name, '--json']));
    const remote = await get('remote');
    assert.equal(remote.transport.url, all.url);
    assert.equal(remote.transport.bearer_token_env_var, 'TIDE_TOKEN');
    assert.deepEqual(remote.transport.http_headers, { 'X-Team': 'tide' });
    assert.deepEqual(remote.transport.env_http_headers, { 'X-Key': 'TIDE_KEY' });
    assert.deepEqual([remote.enabled_tools, remote.disabled_tools], [['echo', 'get-sum'], null]);
    const local = await get('local');
    assert.equal(local.transport.command, all.node);
    assert.deepEqual(local.transport.args, [all.everything, 'stdio']);
    assert.deepEqual(local.transport.env, { LEVEL: 'debug' });
    assert.deepEqual(local.transport.env_vars, ['TIDE_KEY']);
    assert.deepEqual([local.enabled_tools, local.disabled_tools], [null, ['get-tiny-image']]);
  }),

  'copilot: it names all of an entry, the tools that it may use as well': slow(async (all) => {
    const program = wants(all, COPILOT);
    await write(all, 'copilot', '.copilot/mcp-config.json');
    const list = JSON.parse(await printed(all, program, ['mcp', 'list', '--json'])).mcpServers;
    const { tidegate, local, remote } = list;
    const entry = (type, tools) => ({ type, tools, source: 'user', enabled: true });
    assert.deepEqual(tidegate, { ...entry('http', ['*']), url: `${all.front.base}/mcp` });
    assert.deepEqual(remote, {
      ...entry('http', ['echo', 'get-sum']),
      url: all.url,
      headers: { 'X-Team': 'tide', 'X-Key': '${TIDE_KEY}', Authorization: 'Bearer ${TIDE_TOKEN}' },
    });
    assert.deepEqual(local, {
      ...entry('local', ['*']),
      command: all.node,
      args: [all.everything, 'stdio'],
      env: { LEVEL: 'debug', TIDE_KEY: '${TIDE_KEY}' },
    });
  }),

  'cline: it finds all three, each with its transport': slow(async (all) => {
    const program = wants(all, CLINE);
    const file = await write(all, 'cline', '.cline/data/settings/cline_mcp_settings.json');
    const list = JSON.parse(await printed(all, program, ['config', 'mcp', '--json']));
    const found = list.map(({ name, transportType, disabled, path: of }) => [name, transportType, disabled, of]);
    assert.deepEqual(found.sort(), [
      ['local', 'stdio', false, file],
      ['remote', 'streamableHttp', false, file],
      ['tidegate', 'streamableHttp', false, file],
    ]);
  }),

  'mcp-json: the Inspector lists tools and calls one': slow(async (all) => {
    const folder = wants(all, INSPECTOR);
    const { bin } = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
    const program = path.join(folder, bin['mcp-inspector']);
    const file = await write(all, 'mcp-json', 'mcp.json');
    const asks = (server, ...words) => {
      const args = ['--cli', '--config', file, '--server', server, ...words];
      return says(all, all.world.programs.node, [program, ...args], { MCP_INSPECTOR_SECRET_STORE: 'memory' });
    };
    const tools = await asks('tidegate', '--method', 'tools/list');
    assert.equal(tools.code, 0, tools.err);
    const names = JSON.parse(tools.text).tools.map((tool) => tool.name);
    assert(names.includes('everything_echo'), names.join(' '));
    const call = ['--method', 'tools/call', '--tool-name', 'echo', '--tool-arg', 'message=tide'];
    for (const server of ['local', 'remote']) {
      const from = all.front.heads.length;
      const called = await asks(server, ...call);
      assert.equal(called.code, 0, called.err);
      assert.equal(JSON.parse(called.text).content[0].text, 'Echo: tide');
      if (server === 'remote') assert(all.front.heads.slice(from).every((head) => head['x-team'] === 'tide'));
    }
  }),
};
