// Gateways of the cases' own, each with a configuration, a folder and a port of its own.
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';

import { Skip, until } from './harness.mjs';

export function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

// A command that dies with this program, where the machine can arrange that.
function bound(command) {
  const setpriv = ['setpriv', '--pdeathsig', 'KILL', '--'];
  return spawnSync(setpriv[0], [...setpriv.slice(1), 'true']).status === 0
    ? [...setpriv, ...command]
    : command;
}

// A gateway; `more` is the rest of its configuration, as JSON, which is YAML, or the text of all of it.
// `secrets` are files beside it.
export async function startGateway({ gateway: program, files }, name, port, more, secrets = {}, env = {}) {
  const folder = path.join(path.dirname(files), name);
  // What another run has left there is not this one's.
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  for (const [file, text] of Object.entries(secrets))
    fs.writeFileSync(path.join(folder, file), text, { mode: 0o600 });
  // Its log is searched for secrets.
  const telemetry = { log_level: 'debug', log_calls: 'all' };
  const config = { listen: `127.0.0.1:${port}`, drain_timeout: '1s', telemetry, ...more };
  const text = typeof more === 'string' ? more : JSON.stringify(config, undefined, 2);
  fs.writeFileSync(path.join(folder, 'tidegate.yaml'), text);
  const log = fs.openSync(path.join(folder, 'tidegate.log'), 'w');
  const [command, ...args] = bound([program, 'up', '--config', path.join(folder, 'tidegate.yaml')]);
  const child = spawn(command, args, {
    stdio: ['ignore', log, log],
    env: { ...process.env, XDG_STATE_HOME: folder, ...env },
  });
  fs.closeSync(log);
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const base = `http://127.0.0.1:${port}`;
  const said = () => fs.readFileSync(path.join(folder, 'tidegate.log'), 'utf8');
  await until(
    `the gateway ${name}`,
    () => {
      if (child.exitCode !== null) throw new Error(`the gateway ${name} has ended: ${said().slice(-2000)}`);
      // Nobody here trusts its certificate.
      if (more.tls) return said().includes('endpoint  ');
      return fetch(`${base}/readyz`).then(
        (answer) => answer.ok,
        () => false,
      );
    },
    20_000,
  );
  const stop = () => child.kill('SIGTERM') && ended;
  return { base, folder, said, stop };
}

// Replicas of one gateway, on one database and with one key ring, which are reached by one address that gives
// requests to one after the other: `front`. `more` is the rest of their configuration, or makes the text of
// all of it, by where one listens for clients and for the others.
export async function startReplicas(world, name, front, more, secrets = {}, count = 2) {
  if (!world.database) throw new Skip(world.noDatabase ?? 'there is no PostgreSQL');
  const ring = await makeRing(world, name);
  const gateways = [];
  const stop = async () => {
    await Promise.all(gateways.map((each) => each.stop()));
  };
  try {
    for (let number = 1; number <= count; number++) {
      const port = await freePort();
      const between = `127.0.0.1:${await freePort()}`;
      const own =
        typeof more === 'function'
          ? more(`127.0.0.1:${port}`, between)
          : {
              keys: { file: 'keys.txt' },
              store: { url: { env: 'TIDEGATE_STORE_URL' } },
              replica: { listen: between },
              ...more,
            };
      const files = { ...secrets, 'keys.txt': ring };
      const env = {
        TIDEGATE_STORE_URL: `${world.database}?schema=${name.replaceAll('-', '_')}_${process.pid}`,
      };
      gateways.push(await startGateway(world, `${name}-${number}`, port, own, files, env));
      front.add(port);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { base: front.base, gateways, front, stop };
}

async function makeRing({ gateway: program, files }, name) {
  const folder = path.join(path.dirname(files), `${name}-keys`);
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'tidegate.yaml'), JSON.stringify({ keys: { file: 'keys.txt' } }));
  const child = spawn(program, ['keys', 'generate', '--config', path.join(folder, 'tidegate.yaml')]);
  const said = [];
  child.stderr.on('data', (data) => said.push(data));
  const code = await new Promise((resolve) => child.once('exit', resolve));
  if (code !== 0) throw new Error(`no key ring: ${Buffer.concat(said)}`);
  return fs.readFileSync(path.join(folder, 'keys.txt'), 'utf8');
}

// What stands before replicas: each request goes to the next one, whoever sends it. `heads` are their headers.
export async function startFront() {
  const [ports, served, heads] = [[], new Map(), []];
  let turn = 0;
  const server = http.createServer((request, response) => {
    const port = ports[turn++ % ports.length];
    served.set(port, (served.get(port) ?? 0) + 1);
    const { method, headers, url } = request;
    heads.push(headers);
    const onward = http.request({ host: '127.0.0.1', port, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    base: `http://127.0.0.1:${server.address().port}`,
    served,
    heads,
    add: (port) => ports.push(port),
    stop: () => new Promise((resolve) => server.close(resolve) && server.closeAllConnections()),
  };
}
