// Calls that go to one upstream and come back: results of every kind, progress, logs, size, many at once.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';

import { until } from '../harness.mjs';
import { metric, rpcError, texts } from '../world.mjs';

// One call on each upstream, and what its answer has.
const CALLS = [
  ['everything', 'get-sum', { a: 40, b: 2 }, /is 42/],
  ['everything-http', 'get-sum', { a: 40, b: 2 }, /is 42/],
  ['everything-sse', 'get-sum', { a: 40, b: 2 }, /is 42/],
  ['files', 'list_allowed_directories', {}, /Allowed directories/],
  [
    'time',
    'convert_time',
    { source_timezone: 'UTC', time: '12:00', target_timezone: 'Asia/Tokyo' },
    /\+9\.0h/,
  ],
  ['legacy', 'test_simple_text', {}, /simple text/],
  ['modern', 'test_simple_text', {}, /simple text/],
  ['fragile', 'test_simple_text', {}, /simple text/],
  ['shop', 'who_who_get', {}, /"ann"/],
];

export const calls = {
  async 'a tool of every upstream is called'({ client, upstreams }) {
    for (const [upstream, tool, args, expected] of CALLS) {
      if (!upstreams.includes(upstream)) continue;
      const result = await client.call(`${upstream}_${tool}`, args);
      assert.match(texts(result), expected, upstream);
      assert(!result.isError);
    }
  },

  async 'a call is one request upstream'({ client, upstreams, base }) {
    const count = (upstream) => metric(base, 'tidegate_upstream_requests_total', upstream);
    for (const [upstream, tool, args] of CALLS) {
      if (!upstreams.includes(upstream)) continue;
      // Whatever the first call has to find out is known by the second.
      await client.call(`${upstream}_${tool}`, args);
      const before = await count(upstream);
      for (let call = 0; call < 3; call++) await client.call(`${upstream}_${tool}`, args);
      assert.equal((await count(upstream)) - before, 3, upstream);
    }
  },

  async 'nothing is asked of upstreams while nobody asks the gateway'({ client, upstreams, base }) {
    await client.list('tools');
    const counts = async () => {
      const count = (upstream) => metric(base, 'tidegate_upstream_requests_total', upstream);
      return Object.fromEntries(
        await Promise.all(upstreams.map(async (upstream) => [upstream, await count(upstream)])),
      );
    };
    // What others have left to do (streams that end, lists that were changed) is done by then.
    for (let patience = 10; ; patience--) {
      const before = await counts();
      await sleep(1_000);
      const after = await counts();
      if (isDeepStrictEqual(after, before)) return;
      if (patience === 0) assert.deepEqual(after, before);
    }
  },

  async 'content of every kind arrives as it was sent'({ client }) {
    for (const upstream of ['legacy', 'modern']) {
      const kinds = async (tool) =>
        (await client.call(`${upstream}_${tool}`)).content.map((block) => block.type);
      assert.deepEqual(await kinds('test_image_content'), ['image']);
      assert.deepEqual(await kinds('test_audio_content'), ['audio']);
      assert.deepEqual(await kinds('test_embedded_resource'), ['resource']);
      assert.deepEqual(await kinds('test_multiple_content_types'), ['text', 'image', 'resource']);
    }
    const links = await client.call('everything_get-resource-links', { count: 3 });
    assert.equal(links.content.filter((block) => block.type === 'resource_link').length, 3);
    const image = (await client.call('everything-http_get-tiny-image')).content.find(
      (block) => block.type === 'image',
    );
    assert.equal(image.mimeType, 'image/png');
    assert(Buffer.from(image.data, 'base64').subarray(1, 4).equals(Buffer.from('PNG')));
  },

  async 'structured content passes the check against its schema'({ client }) {
    // The SDK checks it against the schema that it was told in the list.
    await client.list('tools');
    for (const upstream of ['everything', 'everything-http', 'everything-sse']) {
      const result = await client.call(`${upstream}_get-structured-content`, { location: 'Chicago' });
      // HTTP+SSE belongs to a revision without structured content: there it stands in the text.
      const weather = result.structuredContent ?? JSON.parse(texts(result));
      assert.deepEqual(weather, { temperature: 36, conditions: 'Light rain / drizzle', humidity: 82 });
    }
  },

  async 'an error of a tool is told apart from an error of the call'({ client }) {
    for (const upstream of ['legacy', 'modern', 'fragile']) {
      assert.equal((await client.call(`${upstream}_test_error_handling`)).isError, true);
      await assert.rejects(client.call(`${upstream}_protocol_error_job`), rpcError(-32603));
    }
    await assert.rejects(client.call('modern_no_such_tool'), rpcError(-32602));
    await assert.rejects(client.call('no-such-upstream_echo'), rpcError(-32602));
  },

  async 'progress reaches the call that asked for it'({ client }) {
    const run = async (tool, args) => {
      const seen = [];
      await client.call(tool, args, {
        onprogress: (progress) => seen.push([progress.progress, progress.total]),
      });
      return seen;
    };
    const long = { duration: 0.3, steps: 3 };
    const steps = [
      [1, 3],
      [2, 3],
      [3, 3],
    ];
    for (const upstream of ['everything', 'everything-http', 'everything-sse']) {
      const seen = await run(`${upstream}_trigger-long-running-operation`, long);
      // The last one may be overtaken by the answer, and then the SDK no longer tells it.
      assert.deepEqual(seen, steps.slice(0, Math.max(2, seen.length)), upstream);
    }
    for (const upstream of ['legacy', 'modern', 'fragile']) {
      const seen = await run(`${upstream}_test_tool_with_progress`, {});
      assert.deepEqual(
        seen,
        [
          [0, 100],
          [50, 100],
          [100, 100],
        ],
        upstream,
      );
    }
  },

  async 'a stream that the server cuts is picked up again'({ client }) {
    for (const upstream of ['legacy', 'modern', 'fragile']) {
      const result = await client.call(`${upstream}_test_reconnection`);
      assert.equal(texts(result), 'The answer after the reconnection', upstream);
    }
  },

  async 'log messages come at the level that was asked for'({ fresh }) {
    const client = await fresh();
    const logs = async (tool, level) => {
      const before = client.heard('notifications/message').length;
      if (!client.modern) await client.sdk.setLoggingLevel(level);
      const meta = client.modern ? { 'io.modelcontextprotocol/logLevel': level } : undefined;
      await client.call(tool, {}, { meta });
      return client
        .heard('notifications/message')
        .slice(before)
        .map((note) => note.params.level);
    };
    const loud = ['error', 'critical', 'alert', 'emergency'];
    // What a legacy server logs it logs for its session, at a level that is not this client's alone; the
    // gateway leaves out what this one did not ask for.
    for (const upstream of ['modern', 'legacy']) {
      // Where the server logs beside the call, the first response may overtake the messages.
      if (upstream === 'legacy') await logs('legacy_test_logging_tool', 'error');
      assert.deepEqual(await logs(`${upstream}_test_logging_tool`, 'error'), loud, upstream);
      const info = await logs(`${upstream}_test_tool_with_logging`, 'info');
      assert.deepEqual(info, ['info', 'info', 'info'], upstream);
    }
    await client.close();
  },

  async 'a large file is written, read, and is the same'({ client, files }) {
    const text = Array.from({ length: 60_000 }, (_, line) => `${line}: ${'tide '.repeat(12)}€\n`).join('');
    assert(text.length > 4_000_000);
    const digest = (data) => createHash('sha256').update(data).digest('hex');
    const big = path.join(files, 'big.txt');
    fs.writeFileSync(big, text);
    const read = await client.call('files_read_text_file', { path: big });
    assert.equal(digest(texts(read)), digest(text));
    const copy = path.join(files, 'copy.txt');
    const part = text.slice(0, 1_000_000);
    await client.call('files_write_file', { path: copy, content: part });
    assert.equal(digest(fs.readFileSync(copy, 'utf8')), digest(part));
    fs.rmSync(big);
    fs.rmSync(copy);
  },

  async 'many calls at once on all upstreams get their own answers'({ client, upstreams }) {
    const echo = async (upstream, at) => {
      const { text } = (await client.call(`${upstream}_echo`, { message: `${upstream} ${at}` })).content[0];
      assert.equal(text, `Echo: ${upstream} ${at}`);
    };
    const progress = async (upstream, at) => {
      const seen = [];
      const onprogress = ({ progress }) => seen.push(progress);
      const result = await client.call(
        `${upstream}_slow_compute`,
        { seconds: 0.2, label: `${at}` },
        { onprogress },
      );
      assert.match(texts(result), new RegExp(`^Computed ${at} for`));
    };
    const all = [];
    for (let at = 0; at < 10; at++) {
      for (const upstream of ['everything', 'everything-http', 'everything-sse'])
        all.push(echo(upstream, at));
      for (const upstream of ['legacy', 'modern', 'fragile']) all.push(progress(upstream, at));
      if (upstreams.includes('time')) all.push(client.call('time_get_current_time', { timezone: 'UTC' }));
    }
    await Promise.all(all);
  },

  async 'a call that is cancelled ends here and upstream'({ client, base }) {
    for (const upstream of ['legacy', 'modern', 'fragile', 'everything', 'everything-http']) {
      const running = () => metric(base, 'tidegate_upstream_in_flight', upstream);
      const cancel = new AbortController();
      const [tool, args] = upstream.startsWith('every')
        ? ['trigger-long-running-operation', { duration: 20, steps: 100 }]
        : ['slow_compute', { seconds: 20 }];
      const call = client.call(`${upstream}_${tool}`, args, { signal: cancel.signal });
      const ended = assert.rejects(call);
      await until(`${upstream} at work`, async () => (await running()) === 1);
      cancel.abort('no longer wanted');
      await ended;
      await until(`${upstream} at rest`, async () => (await running()) === 0);
    }
  },
};
