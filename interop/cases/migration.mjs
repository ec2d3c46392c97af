// From LiteLLM to here, with LiteLLM itself: it reads what `tidegate export` writes for it, `tidegate migrate
// from` reads that, and `tidegate migrate check` compares both while they run.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { KEY, TOKEN, differing, printed, says, sent, startExported } from '../exported.mjs';
import { freePort, startGateway } from '../gateways.mjs';
import { Skip, until } from '../harness.mjs';

// It loads for a long time.
const START_MS = 120_000;
const MASTER = 's3cr3t-seed-of-the-proxy';

export async function startMigration(world) {
  const all = await startExported(world, 'migration');
  const file = path.join(all.gateway.folder, 'litellm.yaml');
  const direct = path.join(all.gateway.folder, 'direct.yaml');
  const words = ['export', 'litellm', file, '--config', direct, '--write', '--output', 'json'];
  const report = JSON.parse(await printed(all, world.gateway, words)).report;
  // Who may come is said there.
  fs.appendFileSync(file, 'general_settings:\n  master_key: os.environ/LITELLM_MASTER_KEY\n');
  const litellm = world.litellm && (await startLiteLlm(all, file));
  // What is started by the cases.
  const stops = [];
  const stop = async () => {
    await Promise.all(stops.map((each) => each()));
    await litellm?.stop();
    await all.stop();
  };
  return { ...all, file, report, litellm, stops, stop };
}

async function startLiteLlm({ world, gateway, env, node }, file) {
  const port = await freePort();
  const log = path.join(gateway.folder, 'litellm.log');
  const out = fs.openSync(log, 'w');
  const program = path.join(path.dirname(world.litellm), 'litellm');
  const child = spawn(program, ['--config', file, '--host', '127.0.0.1', '--port', String(port)], {
    stdio: ['ignore', out, out],
    env: {
      ...env,
      LITELLM_MASTER_KEY: MASTER,
      // Nothing is fetched, and programs are started, which it does where both are said.
      LITELLM_LOCAL_MODEL_COST_MAP: 'True',
      LITELLM_ENABLE_MCP_STDIO: 'true',
      LITELLM_MCP_STDIO_EXTRA_COMMANDS: path.basename(node),
    },
  });
  fs.closeSync(out);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const base = `http://127.0.0.1:${port}`;
  const said = () => fs.readFileSync(log, 'utf8').slice(-2000);
  const ready = () => {
    if (child.exitCode !== null) throw new Error(`LiteLLM has ended: ${said()}`);
    return fetch(`${base}/health/liveliness`).then(
      (answer) => answer.ok,
      () => false,
    );
  };
  try {
    await until('LiteLLM', ready, START_MS);
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  const stop = () => child.kill('SIGKILL') && ended;
  return { url: `${base}/mcp`, stop };
}

const CALLS = [
  { tool: 'remote-echo', arguments: { message: 'ebb and flow' } },
  { tool: 'remote-get-sum', arguments: { a: 1, b: 2 } },
  { tool: 'remote-get-sum', arguments: { a: 'no number' } },
  { tool: 'local-echo', arguments: { message: 'high water' } },
];

function wants({ world, litellm }) {
  if (!litellm) throw new Skip(world['litellm-missing'] ?? 'there is no LiteLLM');
  return litellm;
}

// Compares LiteLLM with what `sides` says of this side; the code and the report.
async function check(all, calls, ...sides) {
  const { url } = wants(all);
  const file = path.join(all.gateway.folder, 'calls.json');
  fs.writeFileSync(file, JSON.stringify(calls));
  const words = ['migrate', 'check', '--url', url, '--header', 'Authorization=env:OLD', '--calls', file];
  const ran = await says(all, all.world.gateway, [...words, ...sides, '--output', 'json'], {
    OLD: `Bearer ${MASTER}`,
    NEW: all.key,
  });
  assert.equal(ran.err, '');
  return { code: ran.code, report: JSON.parse(ran.text) };
}

function slow(work) {
  return Object.assign(work, { limitMs: 90_000 });
}

export const migration = {
  'litellm: what is exported says how it is started there, and loses nothing that guards': async (all) => {
    assert.equal(all.report.guards_lost, false);
    const said = all.report.fields.find(({ path: of }) => of.endsWith('servers.local.transport'));
    assert.match(said.meaning, /LITELLM_ENABLE_MCP_STDIO/);
  },

  'litellm: its file becomes a configuration; keys are made anew, and no secret is copied': async (all) => {
    const into = path.join(all.gateway.folder, 'new');
    const words = ['migrate', 'from', 'litellm', all.file, '--into', into, '--output', 'json'];
    const ran = await says(all, all.world.gateway, words);
    assert.equal(ran.code, 0, ran.err);
    const text = fs.readFileSync(path.join(into, 'tidegate.yaml'), 'utf8');
    for (const secret of [KEY, TOKEN, MASTER]) assert(!text.includes(secret));
    assert.match(text, /allow: \[\]/);
    all.text = text;
  },

  'litellm: the same tools with the same definitions, and the same answers, good and bad': slow(async (all) => {
    wants(all);
    const from = all.front.heads.length;
    const config = path.join(all.gateway.folder, 'new/tidegate.yaml');
    const { code, report } = await check(all, CALLS, '--config', config);
    assert.deepEqual(differing(report), []);
    assert.deepEqual([code, report.same, report.calls.length], [0, true, CALLS.length]);
    const names = report.tools.map(({ old, new: own }) => `${old} ${own}`);
    assert(names.includes('remote-echo remote_echo') && names.includes('local-echo local_echo'), names.join());
    // The lists of tools hold on both sides.
    const remote = names.filter((name) => name.startsWith('remote-'));
    assert.deepEqual(remote.sort(), ['remote-echo remote_echo', 'remote-get-sum remote_get-sum']);
    assert(!names.some((name) => name.includes('tiny-image')), names.join());
    const texts = report.calls.map((call) => call.answers.new.result.content[0].text);
    assert.equal(texts[0], 'Echo: ebb and flow');
    assert(report.calls[2].answers.old.result.isError, 'one is bad');
    // Both have sent what the entry says.
    const heads = sent(all, from);
    assert(heads.length > 0);
    for (const head of heads) assert.deepEqual(head, [KEY, `Bearer ${TOKEN}`]);
  }),

  'litellm: beside a gateway that runs with it and lets in who has a key': slow(async (all) => {
    wants(all);
    const made = JSON.parse(
      await printed(all, all.world.gateway, ['auth', 'key', '--endpoint', '*', '--output', 'json']),
    );
    all.key = `Bearer ${made.key}`;
    const port = await freePort();
    const keys = `allow: [keys]\n  keys: ${JSON.stringify([made.config])}`;
    const text = `listen: 127.0.0.1:${port}\ndrain_timeout: 1s\n${all.text.replace('allow: []', keys)}`;
    const gateway = await startGateway(all.world, 'migrated', port, text, {}, all.env);
    try {
      const sides = ['--new-url', `${gateway.base}/mcp`, '--new-header', 'Authorization=env:NEW'];
      const { code, report } = await check(all, CALLS, ...sides);
      assert.deepEqual(differing(report), []);
      assert.equal(code, 0);
    } finally {
      await gateway.stop();
    }
  }),

  'litellm: what is another server, and a tool that is gone, are found and nothing else': slow(async (all) => {
    wants(all);
    const config = path.join(all.gateway.folder, 'new/other.yaml');
    const text = all.text.replace('debug', 'trace').replace('get-sum', 'get-sun');
    assert.notEqual(text, all.text);
    fs.writeFileSync(config, text);
    const calls = [CALLS[0], { tool: 'local-get-env', arguments: {} }];
    const { code, report } = await check(all, calls, '--config', config);
    assert.equal(code, 4);
    assert.equal(report.same, false);
    assert(differing(report).includes('only there: remote-get-sum'));
    const [echo, env] = report.calls;
    assert.deepEqual(echo.differences, []);
    assert.deepEqual(env.differences.map(({ at }) => at), ['/content/0/text']);
    const level = (side) => JSON.parse(env.answers[side].result.content[0].text).LEVEL;
    assert.deepEqual([level('old'), level('new')], ['debug', 'trace']);
  }),
};
