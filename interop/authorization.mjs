// The conformance suite against the gateway's own authorization server, with somebody who signs in:
// `node authorization.mjs GATEWAY FIXTURE SUITE FOLDER REVISION`. The suite's results are in
// FOLDER/results, as it writes them; the exit code is the suite's.
import { spawn } from 'node:child_process';
import path from 'node:path';
import readline from 'node:readline';

import { Browser } from './browser.mjs';
import { startCompany } from './company.mjs';
import { freePort, startGateway } from './gateways.mjs';
import { person } from './program.mjs';

const [gateway, fixture, suite, folder, revision] = process.argv.slice(2);
const [port, callbackPort] = [await freePort(), await freePort()];
const base = `http://127.0.0.1:${port}`;
const redirect = `http://127.0.0.1:${callbackPort}/callback`;

const company = await startCompany([base]);
const up = await startGateway(
  { gateway, files: path.join(folder, 'files') },
  'gateway',
  port,
  {
    auth: {
      url: base,
      allow: ['broker'],
      issuers: {
        corp: {
          issuer: company.issuer,
          sign_in: { client_id: 'tidegate', client_secret: { file: 'company' } },
        },
      },
      broker: {
        sign_in: ['corp'],
        clients: [{ client_id: 'conformance', redirect_uris: [redirect] }],
      },
    },
    upstreams: { fixture: { command: [fixture, 'server', '--stdio', '--era', 'legacy'] } },
  },
  { company: company.secret },
);

const args = ['authorization', '--url', base, '--client-id', 'conformance'];
args.push('--resource', `${base}/fixture/mcp`, '-p', `${callbackPort}`);
args.push('--spec-version', revision, '-o', path.join(folder, 'results'));
const child = spawn(process.execPath, [suite, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
const ended = new Promise((resolve) => child.once('exit', resolve));

// Where its user is to go, it says in a line of its own.
for await (const line of readline.createInterface({ input: child.stdout })) {
  console.log(line);
  if (!line.startsWith(`${base}/oauth/authorize?`)) continue;
  const params = await person(new Browser(), line, { who: 'ann', redirect });
  await (await fetch(`${redirect}?${params}`)).body?.cancel();
}

const code = await ended;
await up.stop();
await company.stop();
process.exit(code ?? 1);
