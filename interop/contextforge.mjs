// IBM ContextForge as it comes from the Python package index: started on an empty database of its own, given
// files by its own `import`, and asked for its own `export`.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { says } from './exported.mjs';
import { freePort } from './gateways.mjs';
import { until } from './harness.mjs';

// It makes its tables first.
const START_MS = 120_000;
const ADMIN = 'admin@example.com';
// It wants secrets that look like some.
const SEED = 's3cr3t-seed-of-Another-gateway-1!';

// Starts it. `python` is that of an environment which has it.
export async function startContextForge(all, python) {
  const port = await freePort();
  const folder = path.join(all.gateway.folder, 'contextforge');
  fs.mkdirSync(folder);
  const log = path.join(folder, 'contextforge.log');
  const program = path.join(path.dirname(python), 'mcpgateway');
  const own = {
    HOST: '127.0.0.1',
    PORT: String(port),
    DATABASE_URL: `sqlite:///${path.join(folder, 'mcp.db')}`,
    CACHE_TYPE: 'memory',
    JWT_SECRET_KEY: `${SEED}-tokens`,
    AUTH_ENCRYPTION_SECRET: `${SEED}-vault`,
    BASIC_AUTH_PASSWORD: `${SEED}-page`,
    PLATFORM_ADMIN_EMAIL: ADMIN,
    PLATFORM_ADMIN_PASSWORD: `${SEED}-person`,
    // Servers of this machine are taken.
    SSRF_ALLOW_LOCALHOST: 'true',
    MCPGATEWAY_UI_ENABLED: 'false',
    MCPGATEWAY_ADMIN_API_ENABLED: 'false',
    PLUGINS_ENABLED: 'false',
  };
  const env = { ...all.env, ...own };
  const words = ['-m', 'mcpgateway.utils.create_jwt_token', '--username', ADMIN, '--admin', '--exp', '60'];
  // The last line, whatever is said of settings before it.
  const made = await says({ home: folder, env }, python, words);
  const token = made.text.trim().split('\n').at(-1);
  if (made.code !== 0 || !token) throw new Error(`no token of ContextForge's: ${made.err.slice(-2000)}`);
  const out = fs.openSync(log, 'w');
  const child = spawn(program, ['--host', '127.0.0.1', '--port', String(port)], {
    cwd: folder,
    stdio: ['ignore', out, out],
    env,
  });
  fs.closeSync(out);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const stop = () => child.kill('SIGKILL') && ended;
  const base = `http://127.0.0.1:${port}`;
  const ready = () => {
    if (child.exitCode !== null)
      throw new Error(`ContextForge has ended: ${fs.readFileSync(log, 'utf8').slice(-2000)}`);
    return fetch(`${base}/health`).then(
      (answer) => answer.ok,
      () => false,
    );
  };
  try {
    await until('ContextForge', ready, START_MS);
  } catch (error) {
    await stop();
    throw error;
  }
  const bearer = `Bearer ${token}`;
  // Its commands, which ask the program that runs.
  const command = (...args) => says({ home: folder, env }, program, args, { MCPGATEWAY_BEARER_TOKEN: token });
  const ask = async (method, at, body) => {
    const headers = { authorization: bearer, 'content-type': 'application/json' };
    const answer = await fetch(base + at, { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${at}: ${answer.status}: ${text.slice(0, 2000)}`);
    return JSON.parse(text);
  };
  return { base, bearer, folder, command, ask, stop };
}
