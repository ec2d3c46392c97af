// The tasks of 2025-11-25, which only the older line of the TypeScript SDK speaks. They pass where both sides
// speak that revision, at the endpoint of one upstream.
import assert from 'node:assert/strict';

import { CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js';

import { texts } from '../world.mjs';

// Follows a call that becomes a task: what was told of it, and its result.
async function follow(client, name, args) {
  const seen = [];
  const params = { name, arguments: args };
  const options = { task: { ttl: 60_000 } };
  for await (const message of client.sdk.experimental.tasks.callToolStream(
    params,
    CallToolResultSchema,
    options,
  )) {
    if (message.type === 'error') throw message.error;
    if (message.type === 'result') return { seen, result: message.result };
    seen.push(message.task);
  }
  throw new Error('there is no result');
}

// One on each transport at once, as they take their time.
const everywhere = (work) => Promise.all(['everything', 'everything-http', 'everything-sse'].map(work));

async function research(fresh, path, ambiguous) {
  const client = await fresh({ path });
  // The SDK makes a task only of a tool that it knows to be one.
  await client.list('tools');
  const { seen, result } = await follow(client, 'simulate-research-query', { topic: 'tides', ambiguous });
  await client.close();
  assert.equal(seen[0].status, 'working');
  assert.equal(new Set(seen.map((task) => task.taskId)).size, 1, 'one id from its begin to its end');
  return { seen, report: texts(result), asked: client.asked.filter((one) => one.question === 'elicit') };
}

export const tasks = {
  async 'a task is followed to its result'({ fresh }) {
    await everywhere(async (path) => {
      const { report, asked } = await research(fresh, path, false);
      assert.match(report, /Research Report: tides/, path);
      assert.deepEqual(asked, []);
    });
  },

  async 'a task that needs input asks for it'({ fresh }) {
    await everywhere(async (path) => {
      const { seen, report, asked } = await research(fresh, path, true);
      assert.equal(seen.at(-1).status, 'input_required', path);
      assert.equal(asked.length, 1, path);
      assert.match(report, /Research Report: tides \(/, path);
      assert.doesNotMatch(report, /unavailable/, path);
    });
  },
};
