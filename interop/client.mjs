// Runs every case with one kind of client: `node client.mjs KIND`. What it runs against is in INTEROP_WORLD, as
// JSON; INTEROP_ONLY is a part of the names of the cases to run.
import { calls } from './cases/calls.mjs';
import { changes } from './cases/changes.mjs';
import { failures, pidsIn, startLater } from './cases/failures.mjs';
import { lists } from './cases/lists.mjs';
import { questions } from './cases/questions.mjs';
import { Client } from './clients.mjs';
import { run } from './harness.mjs';

const kind = process.argv[2];
const world = JSON.parse(process.env.INTEROP_WORLD);
const end = kind === 'v1-sse' ? 'sse' : 'mcp';
const fresh = ({ path, ...options } = {}) =>
  Client.open(kind, [world.base, path, end].filter(Boolean).join('/'), options);
const client = await fresh();
const context = {
  ...world,
  client,
  fresh,
  fragilePid: () => pidsIn(world.fragilePids),
  later: (era) => startLater(world.fixture, world.laterPort, era),
};
const cases = { ...lists, ...calls, ...questions, ...changes, ...failures };
const failed = await run(`TypeScript ${kind}`, cases, context, process.env.INTEROP_ONLY);
await client.close();
process.exit(failed > 0 ? 1 : 0);
