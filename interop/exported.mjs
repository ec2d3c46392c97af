// Files of clients that `tidegate export` has written, and the programs of others that read them: in a home
// folder of their own, with two variables, in front of a gateway whose callers' headers are kept.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { freePort, startFront, startGateway } from './gateways.mjs';
import { within } from './harness.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
// Nothing takes that long unless it waits for somebody.
const PROGRAM_MS = 60_000;
const EVERYTHING = path.join(HERE, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js');
// The logs of the gateways are searched for what begins like this.
export const KEY = 's3cr3t-seed-of-a-key';
export const TOKEN = 's3cr3t-seed-of-a-token';

// The servers that are written past the gateway: a program and a URL, with all that an entry can say.
const direct = (node, url) => ({
  upstreams: {
    local: {
      command: [node, EVERYTHING, 'stdio'],
      env: { LEVEL: 'debug', TIDE_KEY: { env: 'TIDE_KEY' } },
      hide: ['get-tiny-image'],
    },
    remote: {
      url,
      transport: 'streamable-http',
      headers: {
        'X-Team': 'tide',
        'X-Key': { env: 'TIDE_KEY' },
        Authorization: { env: 'TIDE_TOKEN', prefix: 'Bearer ' },
      },
      expose: ['echo', 'get-sum'],
    },
  },
});

// Starts the gateway with what stands before it. `name` is the folder's.
export async function startExported(world, name) {
  const port = await freePort();
  const upstreams = { everything: { command: [world.node, EVERYTHING, 'stdio'] } };
  const gateway = await startGateway(world, name, port, { upstreams });
  const front = await startFront();
  front.add(port);
  const home = path.join(gateway.folder, 'home');
  const url = `${front.base}/everything/mcp`;
  fs.mkdirSync(home);
  fs.writeFileSync(path.join(gateway.folder, 'direct.yaml'), JSON.stringify(direct(world.node, url)));
  const env = {
    HOME: home,
    PATH: process.env.PATH,
    XDG_STATE_HOME: gateway.folder,
    TIDE_KEY: KEY,
    TIDE_TOKEN: TOKEN,
    NO_COLOR: '1',
    // Nobody is asked whether this folder is to be trusted, and nobody is told of what happens in it.
    GEMINI_CLI_TRUST_WORKSPACE: 'true',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    DISABLE_TELEMETRY: '1',
    DO_NOT_TRACK: '1',
  };
  const stop = async () => {
    await front.stop();
    await gateway.stop();
  };
  return { world, gateway, front, home, env, url, node: world.node, everything: EVERYTHING, stop };
}

// What a program prints, in the home folder. It gets nothing of this process's environment but the path.
export async function says({ home, env }, program, args, more = {}) {
  const stdio = ['ignore', 'pipe', 'pipe'];
  const child = spawn(program, args, { cwd: home, env: { ...env, ...more }, stdio });
  const [out, err] = [[], []];
  child.stdout.on('data', (data) => out.push(data));
  child.stderr.on('data', (data) => err.push(data));
  const ended = new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  const words = `${path.basename(program)} ${args.join(' ')}`;
  try {
    const code = await within(PROGRAM_MS, words, ended);
    const text = Buffer.concat(out).toString();
    return { code, text, err: Buffer.concat(err).toString(), words };
  } finally {
    child.kill('SIGKILL');
  }
}

// The same of one that has to end well.
export async function printed(all, program, args, more) {
  const { code, text, err, words } = await says(all, program, args, more);
  if (code !== 0) throw new Error(`${words}: ${code}: ${text}${err}`);
  return text;
}

// Writes a client's file: an entry `tidegate` for the gateway, and the servers `local` and `remote` themselves.
// `text` is what was there. Gives its path.
export async function write(all, format, file, text) {
  const target = path.join(all.home, file);
  fs.mkdirSync(path.dirname(target), { recursive: true });
  if (text) fs.writeFileSync(target, text);
  const { folder } = all.gateway;
  const config = (name) => ['--config', path.join(folder, name)];
  const words = ['export', format, target, '--write'];
  await printed(all, all.world.gateway, [...words, '--url', all.front.base, ...config('tidegate.yaml')]);
  const { code, err, text: said } = await says(all, all.world.gateway, [
    ...words,
    '--direct',
    ...config('direct.yaml'),
  ]);
  // 6: something that guards has no place there.
  if (code !== 0 && code !== 6) throw new Error(`export ${format}: ${code}: ${said}${err}`);
  return target;
}

// What programs have sent to the gateway by the entry `remote` since `from`, without what is their own.
export const sent = (all, from) =>
  all.front.heads
    .slice(from)
    .filter((head) => head['x-team'] === 'tide')
    .map((head) => [head['x-key'], head.authorization]);

// What a comparison of `tidegate migrate check` has found to differ, in one line each.
export const differing = ({ onlyOld, onlyNew, tools, calls }) => [
  ...onlyOld.map(({ name }) => `only there: ${name}`),
  ...onlyNew.map((name) => `only here: ${name}`),
  ...[...tools, ...calls].flatMap((one) => one.differences.map(({ at }) => `${one.old}: ${at}`)),
];
