// What `tidegate export` writes for a client, read by programs of others: the client itself, its parser, or a
// program that reads the same files. Larger programs are in `programs.mjs`.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import * as jsonc from 'jsonc-parser';

import { KEY, TOKEN, printed, says, sent, startExported, write } from '../exported.mjs';
import { Skip } from '../harness.mjs';

const HERE = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const GEMINI = path.join(HERE, 'node_modules/@google/gemini-cli/bundle/gemini.js');
const SCHEMA = path.join(HERE, '../crates/discovery/tests/schemas/server-2025-12-11.schema.json');
const GEMINI_FILE = '.gemini/settings.json';
const GEMINI_SETTINGS = '{\n  // mine\n  "security": { "auth": { "selectedType": "gemini-api-key" } }\n}\n';
const script = (name) => path.join(HERE, 'portability', name);
const ECHO = { message: 'tide' };

// The formats that FastMCP reads, with what it is to call. What has no variables there is left out.
const FASTMCP = {
  'claude-desktop': 'claude_desktop_config.json',
  'claude-code': 'claude.json',
  cursor: 'cursor.json',
  kiro: 'kiro.json',
  'mcp-json': 'mcp.json',
};

export function startPortability(world) {
  return startExported(world, 'portability');
}

function wants(all, environment) {
  const python = all.world[environment];
  if (!python) throw new Skip(all.world[`${environment}-missing`] ?? `there is no ${environment}`);
  return python;
}

async function parsed(all, environment, ...args) {
  return JSON.parse(await printed(all, wants(all, environment), [script('parsed.py'), ...args]));
}

// All files are read by one process.
function fastmcp(all) {
  const python = wants(all, 'fastmcp');
  all.fastmcp ??= (async () => {
    const jobs = {};
    for (const [format, file] of Object.entries(FASTMCP)) {
      jobs[await write(all, format, path.join('fastmcp', file))] = [
        ['tidegate', 'everything_echo', ECHO],
        ['local', 'get-env', {}],
        ['remote', 'echo', ECHO],
      ];
    }
    const from = all.front.heads.length;
    const text = await printed(all, python, [script('fastmcp_reads.py'), JSON.stringify(jobs)]);
    const found = Object.values(JSON.parse(text));
    const of = Object.fromEntries(Object.keys(FASTMCP).map((format, index) => [format, found[index]]));
    return { of, sent: sent(all, from) };
  })();
  return all.fastmcp;
}

// What FastMCP made of an entry at a URL and of a program, in a format whose variables it leaves as they are.
async function readByFastmcp(all, format, reference, { type, own = {} }) {
  const { of } = await fastmcp(all);
  const { tidegate, local, remote } = of[format];
  const named = (word) => (type ? { type: word } : {});
  assert.deepEqual(tidegate.server, { url: `${all.front.base}/mcp`, ...named(type) });
  assert.deepEqual(tidegate.calls, ['Echo: tide']);
  assert.deepEqual(remote.server, {
    url: all.url,
    ...named(type),
    headers: {
      'X-Team': 'tide',
      'X-Key': reference('TIDE_KEY'),
      Authorization: `Bearer ${reference('TIDE_TOKEN')}`,
    },
  });
  assert.deepEqual(remote.calls, ['Echo: tide']);
  const { type: kind, ...program } = local.server;
  assert.equal(kind, type && 'stdio');
  assert.deepEqual(program, {
    command: all.node,
    args: [all.everything, 'stdio'],
    env: { LEVEL: 'debug', TIDE_KEY: reference('TIDE_KEY') },
    ...own,
  });
  assert.equal(JSON.parse(local.calls[0]).LEVEL, 'debug');
}

// A model that calls the tool of this name once, and is done then. What it was asked is in `asked`.
async function startModel(name, args) {
  const asked = [];
  const server = http.createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    asked.push(JSON.parse(Buffer.concat(chunks)));
    const part = asked.length === 1 ? { functionCall: { name, args } } : { text: 'done' };
    const content = { role: 'model', parts: [part] };
    const answer = { candidates: [{ content, finishReason: 'STOP', index: 0 }] };
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.end(`data: ${JSON.stringify(answer)}\r\n\r\n`);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = () => new Promise((resolve) => server.close(resolve) && server.closeAllConnections());
  return { asked, url: `http://127.0.0.1:${server.address().port}`, stop };
}

function slow(work) {
  return Object.assign(work, { limitMs: 90_000 });
}

export const portability = {
  'gemini-cli: Gemini CLI reads its settings, and connects to all three by them': slow(async (all) => {
    const { gateway, url, node, everything, front } = all;
    const file = await write(all, 'gemini-cli', GEMINI_FILE, GEMINI_SETTINGS);
    const from = front.heads.length;
    const { code, text: out, err } = await says(all, node, [GEMINI, 'mcp', 'list']);
    const said = out + err;
    assert.equal(code, 0, said);
    for (const line of [
      `✓ tidegate: ${front.base}/mcp (http) - Connected`,
      `✓ remote: ${url} (http) - Connected`,
      `✓ local: ${node} ${everything} stdio (stdio) - Connected`,
    ])
      assert(said.split('\n').includes(line), said);
    // What stands in the file are the variables' names.
    const text = fs.readFileSync(file, 'utf8');
    assert(text.includes('// mine') && text.includes('"selectedType"'), text);
    assert(!text.includes(KEY) && !gateway.said().includes(KEY));
    const heads = sent(all, from);
    assert(heads.length > 0);
    for (const head of heads) assert.deepEqual(head, [KEY, `Bearer ${TOKEN}`]);
  }),

  'gemini-cli: it offers its model what the lists of tools leave, and calls one': slow(async (all) => {
    await write(all, 'gemini-cli', GEMINI_FILE, GEMINI_SETTINGS);
    const model = await startModel('mcp_remote_echo', ECHO);
    try {
      const more = { GEMINI_API_KEY: 'key-of-nobody', GOOGLE_GEMINI_BASE_URL: model.url };
      const words = ['-p', 'high water?', '-m', 'gemini-2.5-flash', '--approval-mode', 'yolo'];
      const said = await printed(all, all.node, [GEMINI, ...words], more);
      assert.match(said, /done/);
      const tools = model.asked[0].tools.flatMap((tool) => tool.functionDeclarations.map(({ name }) => name));
      const of = (server) => tools.filter((name) => name.startsWith(`mcp_${server}_`)).sort();
      assert.deepEqual(of('remote'), ['mcp_remote_echo', 'mcp_remote_get-sum']);
      assert(of('local').includes('mcp_local_echo') && of('local').includes('mcp_local_get-env'), tools.join());
      assert(!of('local').includes('mcp_local_get-tiny-image'), tools.join());
      assert(of('tidegate').includes('mcp_tidegate_everything_echo'), tools.join());
      const answers = model.asked.at(-1).contents.flatMap(({ parts }) => parts);
      const answer = answers.find((part) => part.functionResponse?.name === 'mcp_remote_echo');
      assert.match(JSON.stringify(answer), /Echo: tide/);
    } finally {
      await model.stop();
    }
  }),

  'langchain: its adapters connect by what is written for them, and call': slow(async (all) => {
    const python = wants(all, 'langchain');
    const file = await write(all, 'langchain', 'langchain.json');
    const calls = [
      ['tidegate', 'everything_echo', ECHO],
      ['local', 'get-env', {}],
      ['remote', 'echo', ECHO],
    ];
    const from = all.front.heads.length;
    const args = [script('langchain_reads.py'), file, JSON.stringify(calls)];
    const { tidegate, local, remote } = JSON.parse(await printed(all, python, args));
    assert.deepEqual([tidegate.calls, remote.calls], [['Echo: tide'], ['Echo: tide']]);
    assert(tidegate.tools.includes('everything_get-sum') && remote.tools.includes('get-sum'));
    const env = JSON.parse(local.calls[0]);
    assert.equal(env.LEVEL, 'debug');
    // It has no variables: a value that is one is left out, and never written as its name.
    assert(!Object.values(env).some((value) => value.includes('TIDE_')), local.calls[0]);
    const heads = sent(all, from);
    assert(heads.length > 0);
    for (const head of heads) assert.deepEqual(head, [undefined, undefined]);
  }),

  'claude-desktop: FastMCP starts the gateway as the program that is named, and the other one': slow(
    async (all) => {
      const { of } = await fastmcp(all);
      const { tidegate, local, remote } = of['claude-desktop'];
      assert.equal(remote, undefined, 'it reaches no URLs');
      assert.deepEqual(tidegate.server.args.slice(0, 2), ['stdio', '--config']);
      assert.deepEqual(tidegate.calls, ['Echo: tide']);
      assert.deepEqual(local.server, {
        command: all.node,
        args: [all.everything, 'stdio'],
        env: { LEVEL: 'debug' },
      });
      assert.equal(JSON.parse(local.calls[0]).LEVEL, 'debug');
    },
  ),

  'claude-code: FastMCP connects by it': slow((all) =>
    readByFastmcp(all, 'claude-code', (name) => `\${${name}}`, { type: 'http' }),
  ),
  'cursor: FastMCP connects by it': slow((all) =>
    readByFastmcp(all, 'cursor', (name) => `\${env:${name}}`, {}),
  ),
  'kiro: FastMCP connects by it': slow((all) =>
    readByFastmcp(all, 'kiro', (name) => `\${${name}}`, { own: { disabledTools: ['get-tiny-image'] } }),
  ),
  'mcp-json: FastMCP connects by it': slow((all) =>
    readByFastmcp(all, 'mcp-json', (name) => `\${env:${name}}`, { type: 'streamable-http' }),
  ),

  async 'vscode: its parser finds what was written among what was there, comments and all'(all) {
    const start = '// mine\n{\n  "servers": {\n    // the first\n';
    const there = `${start}    "a": { "command": "x", },\n  },\n  "inputs": [],\n}\n`;
    const file = await write(all, 'vscode', 'mcp.json', there);
    const text = fs.readFileSync(file, 'utf8');
    const errors = [];
    const value = jsonc.parse(text, errors, { allowTrailingComma: true });
    assert.deepEqual(errors, []);
    assert(text.startsWith(start), text);
    assert.deepEqual(value, {
      servers: {
        a: { command: 'x' },
        tidegate: { type: 'http', url: `${all.front.base}/mcp` },
        local: {
          type: 'stdio',
          command: all.node,
          args: [all.everything, 'stdio'],
          env: { LEVEL: 'debug', TIDE_KEY: '${env:TIDE_KEY}' },
        },
        remote: {
          type: 'http',
          url: all.url,
          headers: {
            'X-Team': 'tide',
            'X-Key': '${env:TIDE_KEY}',
            Authorization: 'Bearer ${env:TIDE_TOKEN}',
          },
        },
      },
      inputs: [],
    });
  },

  async 'codex: a parser of TOML reads it'(all) {
    const file = await write(all, 'codex', 'codex.toml', '# mine\nmodel = "x"\n\n[tui]\ntheme = "y"\n');
    assert(fs.readFileSync(file, 'utf8').startsWith('# mine\n'));
    assert.deepEqual(await parsed(all, 'langchain', 'toml', file), {
      model: 'x',
      tui: { theme: 'y' },
      mcp_servers: {
        tidegate: { url: `${all.front.base}/mcp` },
        local: {
          command: all.node,
          args: [all.everything, 'stdio'],
          env: { LEVEL: 'debug' },
          env_vars: ['TIDE_KEY'],
          disabled_tools: ['get-tiny-image'],
        },
        remote: {
          url: all.url,
          bearer_token_env_var: 'TIDE_TOKEN',
          http_headers: { 'X-Team': 'tide' },
          env_http_headers: { 'X-Key': 'TIDE_KEY' },
          enabled_tools: ['echo', 'get-sum'],
        },
      },
    });
  },

  async 'goose: a parser of YAML reads it'(all) {
    const file = await write(all, 'goose', 'goose.yaml', '# mine\nGOOSE_MODEL: x\n');
    assert(fs.readFileSync(file, 'utf8').startsWith('# mine\n'));
    const { extensions, ...rest } = await parsed(all, 'fastmcp', 'yaml', file);
    assert.deepEqual(rest, { GOOSE_MODEL: 'x' });
    const { tidegate, local, remote } = extensions;
    const entry = (name, type) => ({ enabled: true, name, type });
    const uri = `${all.front.base}/mcp`;
    assert.deepEqual(tidegate, { ...entry('tidegate', 'streamable_http'), uri });
    assert.deepEqual(local, {
      ...entry('local', 'stdio'),
      cmd: all.node,
      args: [all.everything, 'stdio'],
      envs: { LEVEL: 'debug' },
      env_keys: ['TIDE_KEY'],
    });
    assert.deepEqual(remote, {
      ...entry('remote', 'streamable_http'),
      uri: all.url,
      env_keys: ['TIDE_KEY', 'TIDE_TOKEN'],
      headers: { 'X-Team': 'tide', 'X-Key': '${TIDE_KEY}', Authorization: 'Bearer ${TIDE_TOKEN}' },
      available_tools: ['echo', 'get-sum'],
    });
  },

  async 'server-json: the registry’s schema accepts it'(all) {
    const file = path.join(all.home, 'server.json');
    const card = { name: 'com.example/tide', version: '1.0.0', description: 'Everything.', visibility: 'public' };
    const published = {
      auth: { url: 'https://mcp.example.com' },
      upstreams: { everything: { command: [all.node, all.everything, 'stdio'] } },
      discovery: { cards: { mcp: card } },
    };
    const config = path.join(all.gateway.folder, 'published.yaml');
    fs.writeFileSync(config, JSON.stringify(published));
    await printed(all, all.world.gateway, ['export', 'server-json', file, '--write', '--config', config]);
    const value = await parsed(all, 'python', 'json', file, SCHEMA);
    assert.equal(value.name, 'com.example/tide');
    assert.equal(value.description, 'Everything.');
    assert.equal(value.remotes.length, 1);
    const [{ type, url, ...rest }] = value.remotes;
    assert.deepEqual([type, url], ['streamable-http', 'https://mcp.example.com/mcp']);
    assert.deepEqual(Object.keys(rest), ['supportedProtocolVersions']);
  },
};
