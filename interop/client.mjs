// Runs every case with one kind of client: `node client.mjs KIND`. What it runs against is in INTEROP_WORLD,
// as JSON; INTEROP_ONLY is a part of the names of the cases to run.
import { attacks } from './cases/attacks.mjs';
import { chapters as guardrails, startStory as startGuardrails } from '../examples/guardrails/run.mjs';
import { chapters, startStory } from '../examples/sso/run.mjs';
import { broker, startBroker } from './cases/broker.mjs';
import { calls } from './cases/calls.mjs';
import { changes } from './cases/changes.mjs';
import { contextforge } from './cases/contextforge.mjs';
import { discovery, startDiscovery } from './cases/discovery.mjs';
import { durable } from './cases/durable.mjs';
import { failures, pidsIn, startLater } from './cases/failures.mjs';
import { lists } from './cases/lists.mjs';
import { migration, startMigration } from './cases/migration.mjs';
import { onboarding, startOnboarding } from './cases/onboarding.mjs';
import { pages } from './cases/pages.mjs';
import { portability, startPortability } from './cases/portability.mjs';
import { programs, startPrograms } from './cases/programs.mjs';
import { questions } from './cases/questions.mjs';
import { sessions } from './cases/sessions.mjs';
import { shop } from './cases/shop.mjs';
import { signon, startSignOn } from './cases/signon.mjs';
import { tasks } from './cases/tasks.mjs';
import { walks } from './cases/walks.mjs';
import { Client } from './clients.mjs';
import { run } from './harness.mjs';
import { LIFECYCLES, walk } from './rmcp.mjs';

const kind = process.argv[2];
// All cases together; each has its own, shorter limit. What loads for minutes has more of them.
const LIMIT_MS = kind === 'migration' ? 420_000 : 180_000;

const world = JSON.parse(process.env.INTEROP_WORLD);
const only = process.env.INTEROP_ONLY;
const url = (path, end = 'mcp') => [world.base, path, end].filter(Boolean).join('/');

setTimeout(() => {
  console.log(`FAILED ${kind}: all cases together took more than ${LIMIT_MS} ms`);
  process.exit(1);
}, LIMIT_MS).unref();

// Clients that bring gateways of their own.
const OWN = {
  oidc: ['OpenID provider', signon, startSignOn],
  sso: ['single sign-on', chapters, startStory],
  guardrails: ['guardrails', guardrails, startGuardrails],
  broker: ['broker', { ...broker, ...attacks, ...pages }, startBroker],
  discovery: ['discovery', discovery, startDiscovery],
  onboarding: ['onboarding', onboarding, startOnboarding],
  portability: ['portability', portability, startPortability],
  programs: ['programs', programs, startPrograms],
  migration: ['migration', { ...migration, ...contextforge }, startMigration],
};

const failed = kind in OWN ? await own(...OWN[kind]) : kind in LIFECYCLES ? await rust() : await typescript();
process.exit(failed > 0 ? 1 : 0);

async function rust() {
  const lifecycle = LIFECYCLES[kind];
  const go = (args, path) => walk(world.fixture, lifecycle, [url(path), ...args]);
  return run(`Rust ${kind}`, walks, { ...world, lifecycle, go }, only);
}

async function own(label, cases, start) {
  const all = await start(world);
  const count = await run(label, cases, all, only);
  await all.stop();
  return count;
}

async function typescript() {
  const end = kind === 'v1-sse' ? 'sse' : 'mcp';
  const fresh = ({ path, ...options } = {}) => Client.open(kind, url(path, end), options);
  const client = await fresh();
  const context = {
    ...world,
    kind,
    client,
    fresh,
    fragilePid: () => pidsIn(world.fragilePids),
    later: (era) => startLater(world.fixture, world.laterPort, era),
  };
  const old = kind === 'v1' ? tasks : {};
  const killed = kind === 'v1' || kind === 'v2' ? durable : {};
  const asked = { ...questions, ...sessions, ...changes };
  const cases = { ...lists, ...calls, ...shop, ...asked, ...old, ...killed, ...failures };
  const count = await run(`TypeScript ${kind}`, cases, context, only);
  await client.close();
  return count;
}
