// Upstreams that are not there, die, and come back, while the others go on.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';

import { until } from '../harness.mjs';
import { texts } from '../world.mjs';

// The error of a call that the gateway itself refuses: its code, and what it says of the upstream.
function gatewayError(code, upstream, retry) {
  return (error) => {
    assert.equal(error.code, code, error.message);
    assert.match(error.message, new RegExp(`Upstream ${upstream}\\b`));
    const { upstream: named, reason, fault, retry: again } = error.data;
    assert.deepEqual([named, fault, again], [upstream, 'upstream', retry]);
    assert.equal(typeof reason, 'string');
    return true;
  };
}

async function othersWork(client) {
  assert.match(texts(await client.call('everything_echo', { message: 'still here' })), /still here/);
  assert.match(texts(await client.call('modern_test_simple_text')), /simple text/);
}

export const failures = {
  async 'a command that does not exist is an error of its own and of no other'({ client }) {
    await assert.rejects(client.call('nothing_echo'), gatewayError(-31001, 'nothing', 'safe'));
    await othersWork(client);
  },

  async 'an upstream that cannot be reached is no empty server'({ fresh }) {
    // Whoever connects to it alone learns that it is not there, at once or with the first list.
    const connecting = fresh({ path: 'nothing' }).then((client) => client.list('tools'));
    await assert.rejects(connecting, (error) =>
      /cannot be reached|-31001/.test(`${error.code} ${error.message}`),
    );
  },

  async 'a killed process fails its own calls, and is started again'({ client, fragilePid }) {
    assert.match(texts(await client.call('fragile_test_simple_text')), /simple text/);
    const call = client.call('fragile_slow_compute', { seconds: 25 });
    const failed = assert.rejects(call, gatewayError(-31003, 'fragile', 'may_have_run'));
    const other = client.call('legacy_slow_compute', { seconds: 0.5 });
    await new Promise((resolve) => setTimeout(resolve, 200));
    // Each process writes its id there, so this is the newest; the call may run on an older one.
    for (const pid of fragilePid()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (error) {
        if (error.code !== 'ESRCH') throw error;
      }
    }
    await failed;
    assert.match(texts(await other), /Computed/);
    await othersWork(client);
    const back = async () =>
      texts(await client.call('fragile_test_simple_text').catch(() => ({ content: [] })));
    await until('the restarted process', async () => /simple text/.test(await back()));
    const { first, items } = await client.list('tools');
    assert(items.some((tool) => tool.name.startsWith('fragile_')));
    assert(!JSON.stringify(first._meta ?? {}).includes('fragile'));
  },

  async 'a server that appears later is used, its end is told, its return is noticed'(world) {
    const { client, later } = world;
    await assert.rejects(client.call('later_test_simple_text'), gatewayError(-31001, 'later', 'safe'));
    for (const era of ['modern', 'legacy']) {
      const server = await later(era);
      const works = async () =>
        texts(await client.call('later_test_simple_text').catch(() => ({ content: [] })));
      await until(`the ${era} server that came later`, async () => /simple text/.test(await works()), 20_000);
      const running = client.call('later_slow_compute', { seconds: 20 });
      const broken = assert.rejects(running, gatewayError(-31003, 'later', 'may_have_run'));
      await new Promise((resolve) => setTimeout(resolve, 200));
      await server.kill();
      await broken;
      await assert.rejects(client.call('later_test_simple_text'), gatewayError(-31001, 'later', 'safe'));
      await othersWork(client);
    }
  },
};

// Starts the server of `later`, and says how to end it.
export async function startLater(program, port, era) {
  const args = ['server', '--listen', `127.0.0.1:${port}`, '--era', era, '--exit-with-stdin'];
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  await new Promise((resolve, reject) => {
    child.stdout.once('data', resolve);
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)));
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  return {
    kill: () => {
      child.kill('SIGKILL');
      return ended;
    },
  };
}

// The ids in a file to which every process adds its own.
export function pidsIn(file) {
  return fs.readFileSync(file, 'utf8').split('\n').filter(Boolean).map(Number);
}
