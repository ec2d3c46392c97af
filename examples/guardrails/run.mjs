// A server that somebody has got hold of, and what keeps its users from harm. `node run.mjs` tells it;
// `cargo xtask interop --client guardrails` tests it.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { freePort, startGateway } from '../../interop/gateways.mjs';
import { run, until } from '../../interop/harness.mjs';
import { Program } from '../../interop/program.mjs';
import { startShop } from './shop.mjs';

const FOLDER = path.dirname(fileURLToPath(import.meta.url));

const say = (text) => console.log(`  ${text}`);

// Starts everything. The ports of the configuration are another one's here: free ones.
export async function startStory(world) {
  const [shop, port] = [await startShop(), await freePort()];
  const text = fs.readFileSync(path.join(FOLDER, 'tidegate.yaml'), 'utf8');
  const configuration = text
    .replaceAll('127.0.0.1:7400', `127.0.0.1:${port}`)
    .replaceAll('http://127.0.0.1:7430', shop.base)
    .concat('telemetry: {log_level: debug, log_calls: all}\n');
  const policies = fs.readFileSync(path.join(FOLDER, 'guardrails.cedar'), 'utf8');
  const gateway = await startGateway(world, 'guardrails', port, configuration, {
    'guardrails.cedar': policies,
  });
  const url = `${gateway.base}/mcp`;
  const clients = await Promise.all(
    ['v1', 'v2'].map((sdk) => new Program(sdk, url, { name: 'an assistant' }).connect({})),
  );
  const stop = async () => {
    for (const client of clients) await client.close();
    await gateway.stop();
    await shop.stop();
  };
  return { world, shop, gateway, clients, url, stop };
}

// A command of the gateway's, on its store.
function tidegate({ world, gateway }, ...args) {
  const config = ['--config', path.join(gateway.folder, 'tidegate.yaml')];
  const ran = spawnSync(world.gateway, [...args, ...config], { encoding: 'utf8' });
  if (ran.status !== 0) throw new Error(`tidegate ${args.join(' ')}: ${ran.stderr || ran.stdout}`);
  return ran.stdout;
}

const asJson = (all, ...args) => JSON.parse(tidegate(all, ...args, '--output', 'json'));

async function tools(client) {
  const { tools } = await client.listTools();
  return tools.map(({ name }) => name).sort();
}

const call = (client, name, args) => client.callTool({ name, arguments: args });
const textOf = (result) => result.content[0].text;

// The story, each part after the one before.
export const chapters = {
  'what a tool answers has no keys in it': async (all) => {
    for (const client of all.clients) {
      assert.deepEqual(await tools(client), ['shop_look_up', 'shop_refund']);
      const answer = textOf(await call(client, 'shop_look_up', { order: 'A7' }));
      assert.match(answer, /two lamps/);
      assert(!answer.includes('AKIA'), answer);
      say(`the assistant reads: ${answer}`);
    }
  },

  'a large refund waits for somebody else, and is made once he has said yes': async (all) => {
    const [client] = all.clients;
    const large = { order: 'A7', cents: 25_000 };
    assert.match(textOf(await call(client, 'shop_refund', { order: 'A7', cents: 500 })), /Paid back 500/);
    const waits = await call(client, 'shop_refund', large);
    assert(waits.isError, textOf(waits));
    say(`the assistant reads: ${textOf(waits)}`);
    const [pending] = asJson(all, 'approvals', 'list', '--state', 'pending');
    assert.deepEqual(JSON.parse(pending.arguments), large, 'whoever decides sees what will run');
    tidegate(all, 'approvals', 'approve', pending.id, '--as', 'frida', '--reason', 'ticket 12');
    say(`frida of finance approves ${pending.tool} with ${pending.arguments}`);
    const other = await call(client, 'shop_refund', { ...large, cents: 99_000 });
    assert(other.isError, 'another amount is another question');
    assert.match(textOf(await call(client, 'shop_refund', large)), /Paid back 25000/);
    assert((await call(client, 'shop_refund', large)).isError, 'one yes is for one refund');
    assert.deepEqual(
      all.shop.refunds.map(({ cents }) => cents),
      [500, 25_000],
    );
  },

  'a tool whose description changes is out of the way until somebody has looked': async (all) => {
    const looks = all.shop.looks;
    all.shop.poisoned = true;
    for (const client of all.clients) {
      const refused = await call(client, 'shop_look_up', { order: 'A7' }).then(textOf, (error) => error.message);
      say(`the assistant reads: ${refused}`);
      assert.match(refused, /quarantine|approved/i);
      await until('the tool to be gone', async () => !(await tools(client)).includes('shop_look_up'));
    }
    assert.equal(all.shop.looks, looks, 'the shop has heard of no call');
  },

  'the difference is shown, and a second person approves what is good': async (all) => {
    const diff = tidegate(all, 'pins', 'diff', 'shop', 'look_up');
    assert.match(diff, /ignore all previous instructions/);
    for (const line of diff.trim().split('\n')) say(line);
    const [pin] = asJson(all, 'pins', 'list', '--state', 'drifted');
    assert.equal(pin.name, 'look_up');
    // The shop has its server back.
    all.shop.poisoned = false;
    for (const client of all.clients) {
      await until('the tool to be back', async () => (await tools(client)).includes('shop_look_up'));
      assert.match(textOf(await call(client, 'shop_look_up', { order: 'A8' })), /two lamps/);
    }
  },

  'the whole story is in the log, and the log can be verified by anybody': async (all) => {
    const of = (...which) => asJson(all, 'audit', 'query', '--limit', '500', ...which);
    const calls = of('--kind', 'tool_call', '--tool', 'refund');
    say(`the log has ${calls.length} records of refunds`);
    assert(calls.some((record) => JSON.stringify(record).includes('large-refunds')));
    const outcomes = new Set(calls.map(({ record }) => record.outcome));
    for (const outcome of ['allowed', 'deferred']) assert(outcomes.has(outcome), [...outcomes].join());
    const folder = path.join(all.gateway.folder, 'log');
    tidegate(all, 'audit', 'export', '--format', 'tiles', '--to', folder);
    const keys = path.join(all.gateway.folder, 'keys.txt');
    fs.writeFileSync(keys, tidegate(all, 'audit', 'keys'));
    verify(all, folder, keys, true);
    say('it is verified by its files and a public key alone');
    const bundle = firstBundle(folder);
    const bytes = fs.readFileSync(bundle);
    bytes[bytes.indexOf('shop_refund'.slice(5)) + 1] ^= 1;
    fs.writeFileSync(bundle, bytes);
    say(verify(all, folder, keys, false).trim());
  },
};

function firstBundle(folder) {
  const found = fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && `${entry.parentPath}`.includes('entries'))
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter((file) => fs.readFileSync(file).includes('refund'));
  assert(found.length > 0, 'there is a bundle of entries');
  return found[0];
}

function verify({ world }, folder, keys, good) {
  const key = fs
    .readFileSync(keys, 'utf8')
    .split(/\s+/)
    .find((word) => /^\S+\+[0-9a-f]{8}\+/.test(word));
  assert(key, 'a public key is printed');
  const ran = spawnSync(world.gateway, ['audit', 'verify', folder, '--key', key], { encoding: 'utf8' });
  assert.equal(ran.status === 0, good, ran.stdout + ran.stderr);
  return ran.stderr || ran.stdout;
}

// On its own, with what the environment says.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { TIDEGATE: gateway } = process.env;
  if (!gateway) {
    console.error('TIDEGATE is to be the program: see README.md');
    process.exit(2);
  }
  const files = path.join(FOLDER, '../../out/guardrails/files');
  const all = await startStory({ gateway: path.resolve(gateway), files });
  const failed = await run('guardrails', chapters, all);
  await all.stop();
  process.exit(failed > 0 ? 1 : 0);
}
