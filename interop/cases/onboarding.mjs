// Ten real things, each added by `tidegate add` to a gateway that runs, and then called: five packages by a
// registry's entry, two web APIs by documents from the field, a bundle, and two servers elsewhere.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { Client } from '../clients.mjs';
import { freePort, startGateway } from '../gateways.mjs';
import { Skip, until } from '../harness.mjs';
import { startApis, startLegacy, startModern, startRegistry } from '../remotes.mjs';
import { texts } from '../world.mjs';
import { printed } from './discovery.mjs';

const HERE = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const MODULES = path.join(HERE, 'node_modules');
const ENTRIES = path.join(HERE, 'entries');
// What is fetched from a registry of packages may take a while.
const FETCHED_MS = 90_000;
const KEYS = { figma: 'figma-key-of-nobody', blockfrost: 'blockfrost-key-of-nobody' };

export async function startOnboarding(world) {
  const port = await freePort();
  const folder = path.join(path.dirname(world.files), 'onboarding');
  // A home folder of its own, in which nothing of this machine's user decides what is fetched.
  const home = path.join(path.dirname(world.files), 'onboarding-home');
  fs.rmSync(home, { recursive: true, force: true });
  fs.mkdirSync(path.join(home, '.config/uv'), { recursive: true });
  const python = world.python && path.dirname(world.python);
  const uv = [
    // What this machine trusts, also where somebody between here and the registry speaks for it.
    'system-certs = true',
    'python-downloads = "never"',
    python && `cache-dir = ${JSON.stringify(path.join(path.dirname(path.dirname(python)), 'interop-uv'))}`,
  ];
  fs.writeFileSync(path.join(home, '.config/uv/uv.toml'), uv.filter(Boolean).join('\n'));
  const env = {
    HOME: home,
    XDG_STATE_HOME: folder,
    PATH: [python, process.env.PATH].filter(Boolean).join(path.delimiter),
    FIGMA_KEY: KEYS.figma,
    BLOCKFROST_KEY: KEYS.blockfrost,
  };
  const text = `listen: 127.0.0.1:${port}\ndrain_timeout: 1s\nupstreams: {}\n`;
  const gateway = await startGateway(world, 'onboarding', port, text, {}, env);
  const entry = (file) => JSON.parse(fs.readFileSync(path.join(ENTRIES, file)));
  const entries = fs.readdirSync(ENTRIES).map(entry);
  const others = {
    registry: await startRegistry(entries),
    apis: await startApis(KEYS),
    modern: await startModern(),
    legacy: await startLegacy(world, MODULES, path.join(folder, 'everything.log')),
  };
  const stop = async () => {
    await gateway.stop();
    for (const other of Object.values(others)) await other.stop();
  };
  return { world, gateway, folder, env, ...others, stop };
}

// A command of the gateway's, where packages of this folder are at hand.
const tidegate = ({ world, env }, ...args) => printed(world.gateway, args, { cwd: HERE, env });

// Adds something, having looked at it first, and gives what was said.
async function add(all, what, name, ...more) {
  const config = ['--config', path.join(all.gateway.folder, 'tidegate.yaml')];
  const said = await tidegate(all, 'add', what, '--name', name, '--probe', '--yes', ...config, ...more);
  assert.match(said, /^tool {4}\S+ pin1:/m, said);
  assert.match(said, new RegExp(`^added ${name} to `, 'm'), said);
  return said;
}

// Calls what was added, as soon as the gateway that runs has it.
async function call(all, name, tool, args = {}) {
  const url = `${all.gateway.base}/${name}/mcp`;
  const client = await until(name, () => Client.open('v2', url).catch(() => undefined));
  try {
    const result = await client.call(tool, args);
    assert(!result.isError, texts(result));
    return texts(result);
  } finally {
    await client.close();
  }
}

// The copy of the registry is made by the first who wants an entry of it.
async function addEntry(all, name, ...more) {
  const copies = ['--folder', path.join(all.folder, 'copies')];
  await tidegate(all, 'registry', 'sync', all.registry.base, ...copies);
  const entry = `io.github.modelcontextprotocol/server-${name}`;
  return add(all, entry, name, '--registries', copies[1], ...more);
}

function wantsPython({ world }) {
  if (!world.python) throw new Skip('there is no Python');
}

function slow(work) {
  return Object.assign(work, { limitMs: FETCHED_MS });
}

export const onboarding = {
  'npm: server-everything, by its entry': slow(async (all) => {
    const said = await addEntry(all, 'everything');
    assert.match(said, /starts {2}"npx" "--yes" "@modelcontextprotocol\/server-everything@[\d.]+" "stdio"/);
    assert.match(await call(all, 'everything', 'echo', { message: 'tide' }), /Echo: tide/);
  }),

  'npm: server-filesystem, by its entry, which asks for a folder': slow(async (all) => {
    const folder = fs.mkdtempSync(path.join(all.folder, 'shared-'));
    await addEntry(all, 'filesystem', '--set', `folder=${folder}`);
    const file = path.join(folder, 'note.txt');
    await call(all, 'filesystem', 'write_file', { path: file, content: 'ebb and flow' });
    assert.equal(fs.readFileSync(file, 'utf8'), 'ebb and flow');
  }),

  'npm: server-memory, by its entry, which asks for a variable': slow(async (all) => {
    const file = path.join(all.folder, 'memory.jsonl');
    await addEntry(all, 'memory', '--set', `MEMORY_FILE_PATH=${file}`);
    const entities = [{ name: 'tide', entityType: 'water', observations: ['comes and goes'] }];
    await call(all, 'memory', 'create_entities', { entities });
    assert.match(fs.readFileSync(file, 'utf8'), /comes and goes/);
  }),

  'PyPI: mcp-server-fetch, by its entry, which has a switch': slow(async (all) => {
    wantsPython(all);
    const said = await addEntry(all, 'fetch', '--set=--allow-private-ips=true');
    assert.match(said, /starts {2}"uvx" "mcp-server-fetch@[\d.]+" "--allow-private-ips"/);
    assert.match(await call(all, 'fetch', 'fetch', { url: `${all.apis.base}/page` }), /High water is at noon/);
  }),

  'PyPI: mcp-server-time, by its entry': slow(async (all) => {
    wantsPython(all);
    await addEntry(all, 'time');
    assert.match(await call(all, 'time', 'get_current_time', { timezone: 'UTC' }), /"timezone": ?"UTC"/);
  }),

  'OpenAPI 3.1: the document of Figma': slow(async (all) => {
    const file = path.join(MODULES, '@figma/rest-api-spec/openapi/openapi.yaml');
    const server = ['--server', `${all.apis.base}/figma`];
    const key = ['--secret', 'PersonalAccessToken=env:FIGMA_KEY'];
    // What takes a token of another kind alone is named, and left out.
    const others = ['getFolderMeta', 'getActivityLogs', 'getDeveloperLogs', 'getAiUsageDaily'];
    const less = add(all, file, 'figma', ...server, ...key);
    await assert.rejects(less, /--secret PlanAccessToken=env:…: a key in the header "X-Figma-Token"/);
    const rest = others.flatMap((id) => ['--exclude', id]);
    const said = await add(all, file, 'figma', ...server, ...key, ...rest);
    assert.match(said, /asks {4}PersonalAccessToken \(secret, given\) a key in the header "X-Figma-Token"/);
    assert.match(await call(all, 'figma', 'getMe'), /Ann/);
  }),

  'OpenAPI 3.0: the document of Blockfrost': slow(async (all) => {
    const file = path.join(MODULES, '@blockfrost/openapi/openapi.yaml');
    const server = ['--server', `${all.apis.base}/blockfrost`];
    const key = ['--secret', 'project_id=env:BLOCKFROST_KEY', '--include', 'tag:Health'];
    await add(all, file, 'blockfrost', ...server, ...key);
    assert.match(await call(all, 'blockfrost', 'get_health_clock'), /1603400958947/);
  }),

  'a bundle that the official packer made of server-sequential-thinking': slow(async (all) => {
    const file = await pack(all);
    const sha256 = createHash('sha256').update(fs.readFileSync(file)).digest('hex');
    const bundles = ['--bundles', path.join(all.folder, 'bundles')];
    const wrong = add(all, file, 'thinking', '--sha256', '0'.repeat(64), ...bundles);
    await assert.rejects(wrong, /4: .*hash|4: .*SHA-256/s);
    const said = await add(all, file, 'thinking', '--sha256', sha256, ...bundles);
    assert.match(said, new RegExp(`hash {4}the bundle's SHA-256 is ${sha256}`));
    const last = { thoughtNumber: 1, totalThoughts: 1, nextThoughtNeeded: false };
    const thought = { thought: 'Water rises', ...last };
    assert.match(await call(all, 'thinking', 'sequentialthinking', thought), /"thoughtNumber": ?1/);
  }),

  async 'elsewhere: a server of 2026-07-28, by its card'(all) {
    await add(all, all.modern.card, 'words', '--private');
    assert.equal(await call(all, 'words', 'count', { text: 'ebb and flow' }), '3');
  },

  async 'elsewhere: a server of a revision with sessions, by its URL'(all) {
    await add(all, all.legacy.url, 'elsewhere', '--private');
    assert.match(await call(all, 'elsewhere', 'echo', { message: 'from afar' }), /Echo: from afar/);
  },

  async 'all ten are upstreams of one gateway, and no key is in its log or its configuration'(all) {
    const config = fs.readFileSync(path.join(all.gateway.folder, 'tidegate.yaml'), 'utf8');
    const added = [...config.matchAll(/^ {2}(\S+):\n {4}# Added on /gm)].map(([, name]) => name);
    const python = all.world.python ? ['fetch', 'time'] : [];
    const names = ['everything', 'filesystem', 'memory', ...python, 'figma', 'blockfrost', 'thinking'];
    assert.deepEqual(added, [...names, 'words', 'elsewhere']);
    for (const key of Object.values(KEYS)) assert(!config.includes(key) && !all.gateway.said().includes(key));
  },
};

// A bundle of a server from npm and all that it needs.
async function pack(all) {
  const stage = path.join(all.folder, 'stage');
  const name = '@modelcontextprotocol/server-sequential-thinking';
  const { version } = JSON.parse(fs.readFileSync(path.join(MODULES, name, 'package.json')));
  fs.mkdirSync(stage);
  const options = ['--prefix', stage, '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund'];
  await printed('npm', ['install', ...options, `${name}@${version}`], { cwd: stage });
  const entry = `node_modules/${name}/dist/index.js`;
  const config = { command: 'node', args: [`\${__dirname}/${entry}`], env: {} };
  const manifest = {
    manifest_version: '0.3',
    name: 'sequential-thinking',
    version,
    description: 'Thoughts, one after the other',
    author: { name: 'Model Context Protocol' },
    server: { type: 'node', entry_point: entry, mcp_config: config },
  };
  fs.writeFileSync(path.join(stage, 'manifest.json'), JSON.stringify(manifest));
  const file = path.join(all.folder, 'sequential-thinking.mcpb');
  const packer = path.join(MODULES, '@anthropic-ai/mcpb/dist/cli/cli.js');
  await printed(all.world.node, [packer, 'pack', stage, file], { cwd: stage });
  return file;
}
