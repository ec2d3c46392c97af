// What the client of the Rust SDK does, which is one walk through a server at a time.
import assert from 'node:assert/strict';

import { call, walk } from '../rmcp.mjs';
import { texts } from '../world.mjs';

const RMCP = ['legacy', 'modern', 'fragile'];
const EVERYTHING = ['everything', 'everything-http', 'everything-sse'];

const methods = (entries) => entries.map((entry) => entry.method);

export const walks = {
  async 'the revision is the one that the client began with'({ go, lifecycle }) {
    const seen = await go([]);
    assert.equal(seen.lifecycle, lifecycle);
    assert.equal(seen.protocolVersion, lifecycle === 'modern' ? '2026-07-28' : '2025-11-25');
    assert.equal(seen.serverInfo.name, 'tidegate');
  },

  async 'nothing of an upstream is missing from the lists'({ go, urls, fixture }) {
    const seen = await go([]);
    for (const [upstream, url] of Object.entries(urls)) {
      const direct = await walk(fixture, 'auto', [url]);
      for (const list of ['tools', 'prompts']) {
        const prefix = `${upstream}_`;
        const own = seen[list].filter((name) => name.startsWith(prefix));
        assert.deepEqual(
          own,
          direct[list].map((name) => prefix + name),
          `${list} of ${upstream}`,
        );
      }
      for (const list of ['resources', 'resourceTemplates']) {
        // The later of two that have the same is wrapped.
        const missing = direct[list].filter(
          (uri) => !seen[list].includes(uri) && !seen[list].includes(`tidegate://${upstream}/${uri}`),
        );
        assert.deepEqual(missing, [], `${list} of ${upstream}`);
      }
    }
  },

  async 'an upstream alone shows what it shows without the gateway'({ go, urls, fixture }) {
    for (const [upstream, url] of Object.entries(urls)) {
      const [seen, direct] = await Promise.all([go([], upstream), walk(fixture, 'auto', [url])]);
      for (const list of ['tools', 'prompts', 'resources', 'resourceTemplates']) {
        assert.deepEqual(seen[list], direct[list], `${list} of ${upstream}`);
      }
    }
  },

  async 'a tool of every upstream is called'({ go, upstreams }) {
    for (const upstream of EVERYTHING) {
      const seen = await go(call(`${upstream}_echo`, { message: upstream }));
      assert.equal(texts(seen.call), `Echo: ${upstream}`);
    }
    for (const upstream of RMCP) {
      assert.match(texts((await go(call(`${upstream}_test_simple_text`))).call), /simple text/, upstream);
    }
    assert.match(texts((await go(call('files_list_allowed_directories'))).call), /Allowed directories/);
    if (upstreams.includes('time')) {
      assert.match(texts((await go(call('time_get_current_time', { timezone: 'UTC' }))).call), /UTC/);
    }
  },

  async 'progress reaches the call'({ go }) {
    for (const upstream of RMCP) {
      const seen = await go(call(`${upstream}_test_tool_with_progress`));
      const steps = seen.notifications.filter((note) => note.method === 'notifications/progress');
      assert.deepEqual(
        steps.map((note) => note.params.progress),
        [0, 50, 100],
        upstream,
      );
    }
  },

  async 'the user, the model and the roots are asked for'({ go }) {
    const questions = [
      ['elicitation/create', 'test_elicitation', { message: 'Who are you?' }],
      ['sampling/createMessage', 'test_sampling', { prompt: 'Say something' }],
      ['roots/list', 'test_input_required_result_list_roots', {}],
    ];
    for (const upstream of RMCP) {
      for (const [method, tool, args] of questions) {
        const seen = await go(call(`${upstream}_${tool}`, args));
        assert.deepEqual(methods(seen.asked), [method], upstream);
        assert(!seen.call.isError, upstream);
      }
      const seen = await go(call(`${upstream}_test_input_required_result_multi_round`));
      assert.equal(seen.asked.length, 2, upstream);
      assert.equal(texts(seen.call), 'fixture likes fixture', upstream);
    }
    for (const upstream of EVERYTHING) {
      const ask = call(`${upstream}_trigger-elicitation-request`);
      assert.deepEqual(
        methods((await go(ask)).asked).filter((one) => one !== 'roots/list'),
        ['elicitation/create'],
      );
    }
  },

  async 'a stream that the server cuts is picked up again'({ go }) {
    for (const upstream of ['legacy', 'modern']) {
      const seen = await go(call(`${upstream}_test_reconnection`));
      assert.equal(texts(seen.call), 'The answer after the reconnection', upstream);
    }
  },

  async 'log messages come at the level that was asked for'({ go }) {
    const message = 'notifications/message';
    for (const upstream of ['legacy', 'modern']) {
      const tool = [...call(`${upstream}_test_logging_tool`), '--log-level', 'alert'];
      // Where the server logs beside the call, the first response may overtake the messages.
      if (upstream === 'legacy') await go(tool);
      const seen = await go([...tool, '--expect', message, '--expect', message]);
      const logs = seen.notifications.filter((note) => note.method === message);
      const levels = logs.map((note) => note.params.level);
      assert.deepEqual(levels, ['alert', 'emergency'], upstream);
    }
  },

  async 'changes of lists and of watched resources are told'({ go }) {
    const changed = 'notifications/tools/list_changed';
    for (const upstream of RMCP) {
      // There, and back again.
      for (let change = 0; change < 2; change++) {
        await go([...call(`${upstream}_test_trigger_tool_change`), '--expect', changed]);
      }
    }
    const updated = 'notifications/resources/updated';
    const uris = { legacy: 'test://watched-resource', modern: 'tidegate://modern/test://watched-resource' };
    for (const [upstream, uri] of Object.entries(uris)) {
      const watch = ['--watch', uri, '--expect', updated];
      const seen = await go([...call(`${upstream}_test_trigger_resource_update`), ...watch]);
      assert(
        seen.notifications.some((note) => note.params?.uri === uri),
        upstream,
      );
    }
  },

  async 'a task of the same revision is followed to its end'({ go, lifecycle }) {
    const seen = await go(['--tasks', ...call('modern_multi_input')]);
    if (lifecycle === 'legacy') {
      // The extension is of a later revision, so there the call waits for its end.
      assert.equal(seen.call.isError ?? false, false);
    } else {
      assert.equal(seen.call.status, 'completed');
    }
    assert.equal(seen.asked.length, 2);
  },

  async 'what went wrong is told'({ go }) {
    const told = (text) => (error) => {
      assert.match(error.stderr, text);
      return true;
    };
    await assert.rejects(go(call('nothing_echo')), told(/-31001.*Upstream nothing/s));
    await assert.rejects(go(call('modern_no_such_tool')), told(/-32602/));
    await assert.rejects(go([], 'nothing'), told(/cannot be reached/));
  },

  async 'the gateway is a process with standard streams as well'({
    fixture,
    gateway,
    stdioConfig,
    lifecycle,
  }) {
    const serve = ['--', gateway, 'stdio', '--config', stdioConfig];
    const ask = call('modern_test_elicitation', { message: 'Who are you?' });
    const calls = [
      [ask, 1],
      [call('legacy_test_simple_text'), 0],
      [call('legacy_test_reconnection'), 0],
    ];
    for (const [args, asked] of calls) {
      const seen = await walk(fixture, lifecycle, ['--stdio', ...args, ...serve]);
      assert.equal(seen.lifecycle, lifecycle);
      assert.equal(seen.asked.length, asked);
      assert(!seen.call.isError);
    }
  },
};
