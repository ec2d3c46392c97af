// Tasks of the gateway's own, in front of a server on stdio that knows nothing of tasks, while the gateway is
// killed and started again.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { createTaskSessionFromClient, resultFromTaskOutcome } from '@modelcontextprotocol/ext-tasks/client';
import { CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js';

import { Client } from '../clients.mjs';
import { until } from '../harness.mjs';
import { texts } from '../world.mjs';

const VERSION = '2026-07-28';
const EXTENSION = 'io.modelcontextprotocol/tasks';
const SECONDS = 3;

// A gateway of the case's own, on a port that stays the same.
class Gateway {
  static async start({ gateway, fixture, files }, kind) {
    const self = new Gateway();
    const folder = path.join(path.dirname(files), `durable-${kind}`);
    fs.mkdirSync(folder, { recursive: true });
    const port = await freePort();
    const command = JSON.stringify([fixture, 'server', '--stdio', '--era', 'legacy']);
    self.url = `http://127.0.0.1:${port}/slow/mcp`;
    self.command = [gateway, ['up', '--config', path.join(folder, 'tidegate.yaml')]];
    self.log = fs.openSync(path.join(folder, 'log'), 'a');
    const lines = [
      `listen: 127.0.0.1:${port}`,
      `store: {url: "sqlite:${path.join(folder, 'store.db')}"}`,
      'tasks: {lease: 1s, poll_interval: 100ms, host: [{when: always}]}',
      `upstreams: {slow: {command: ${command}, idempotent: [slow_compute]}}`,
    ];
    fs.writeFileSync(path.join(folder, 'tidegate.yaml'), `${lines.join('\n')}\n`);
    await self.again();
    return self;
  }

  // Starts it once more, where it was.
  async again() {
    const [program, args] = this.command;
    this.process = spawn(program, args, { stdio: ['ignore', this.log, this.log] });
    const ready = new URL('/readyz', this.url);
    await until('the gateway', () => fetch(ready).then((answer) => answer.ok, () => false));
  }

  // Ends it without a word.
  async kill() {
    const gone = new Promise((resolve) => this.process.once('exit', resolve));
    this.process.kill('SIGKILL');
    await gone;
  }
}

function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

// A call that becomes a task, with the SDK's v1 line: its name, and the way to its result.
async function beginV1(client, params) {
  const { tasks } = client.sdk.experimental;
  const stream = tasks.callToolStream(params, CallToolResultSchema, { task: { ttl: 60_000 } });
  const first = await stream.next();
  assert.equal(first.value.type, 'taskCreated', JSON.stringify(first.value));
  const { taskId } = first.value.task;
  return { result: () => tasks.getTaskResult(taskId, CallToolResultSchema) };
}

// The same with the Tasks extension's own requester on the v2 line.
async function beginV2(client, params, url) {
  const framing = {
    protocolVersion: VERSION,
    clientInfo: { name: 'tidegate-interop', version: '1' },
    clientCapabilities: { extensions: { [EXTENSION]: {} } },
  };
  const options = client.modern ? { rawDispatch: dispatch(url), v2RequestFraming: framing } : {};
  const session = createTaskSessionFromClient(client.sdk, { endpointId: 'slow', ...options });
  const { tools } = await client.sdk.listTools();
  const tool = tools.find((one) => one.name === params.name);
  const declaration = { name: tool.name, inputSchema: tool.inputSchema, taskSupport: 'optional' };
  const execution = await session.callTool(params.name, params.arguments, { declaration });
  assert.equal(execution.kind, 'task');
  return {
    result: async () => {
      const { outcome } = await execution.settle();
      return resultFromTaskOutcome(outcome);
    },
  };
}

// Sends a request as the extension has framed it; whoever is not there yet is asked again.
const dispatch = (url) => async (request) => {
  const { method, params } = request;
  const body = JSON.stringify({ ...request, jsonrpc: '2.0', id: request.id ?? 1 });
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': VERSION,
    'mcp-method': method,
    'mcp-name': params.name ?? params.taskId,
  };
  for (;;) {
    const answer = await fetch(url, { method: 'POST', headers, body }).catch(() => null);
    if (answer) {
      const { result, error } = await answer.json();
      return error ? { kind: 'error', error } : { kind: 'result', result };
    }
    await sleep(50);
  }
};

export const durable = {
  async 'a slow tool of a server without tasks ends as a task that saw its gateway killed'(world) {
    const gateway = await Gateway.start(world, world.kind);
    try {
      const capabilities = { extensions: { [EXTENSION]: {} } };
      const client = await Client.open(world.kind, gateway.url, { capabilities });
      const { items } = await client.list('tools');
      assert(items.some((tool) => tool.name === 'slow_compute'));
      const params = { name: 'slow_compute', arguments: { seconds: SECONDS, label: 'tides' } };
      const begin = world.kind === 'v1' ? beginV1 : beginV2;
      const task = await begin(client, params, gateway.url);
      await sleep(500);
      await gateway.kill();
      await gateway.again();
      assert.match(texts(await task.result()), /Computed tides for 3000 ms/);
    } finally {
      await gateway.kill();
    }
  },
};
