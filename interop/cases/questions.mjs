// Upstreams that ask the client in the middle of a call, in whatever way their revision and the client's
// have.
import assert from 'node:assert/strict';

import { ANSWERS } from '../clients.mjs';
import { rpcError, texts } from '../world.mjs';

// What was asked during `work`, and what came of it.
async function asking(client, work) {
  const before = client.asked.length;
  const result = await work();
  return { result, asked: client.asked.slice(before) };
}

export const questions = {
  async 'a legacy server asks the user, over every transport that can'({ client }) {
    for (const upstream of ['everything', 'everything-http', 'everything-sse']) {
      const call = () => client.call(`${upstream}_trigger-elicitation-request`);
      const { result, asked } = await asking(client, call);
      assert.deepEqual(
        asked.map((one) => one.question),
        ['elicit'],
        upstream,
      );
      const fields = asked[0].params.requestedSchema.properties;
      assert.equal(fields.integer.default, 42);
      assert.deepEqual(fields.legacyTitledEnum.enumNames, ['Cats', 'Dogs', 'Birds', 'Fish', 'Reptiles']);
      const given = JSON.parse(/Raw result: ([^]*)$/.exec(texts(result))[1]);
      assert.deepEqual(given, ANSWERS.elicit(asked[0].params));
    }
  },

  async 'the SDK server asks the user, in its own revision'({ client }) {
    for (const upstream of ['legacy', 'modern', 'fragile']) {
      const call = () => client.call(`${upstream}_test_elicitation`, { message: 'Who are you?' });
      const { result, asked } = await asking(client, call);
      assert.deepEqual(
        asked.map((one) => one.question),
        ['elicit'],
        upstream,
      );
      assert.equal(asked[0].params.message, 'Who are you?');
      assert.match(texts(result), /accept/i);
    }
  },

  async 'a modern server asks again and again'({ client }) {
    const call = () => client.call('modern_test_input_required_result_multi_round');
    const { result, asked } = await asking(client, call);
    assert(asked.length >= 2);
    assert(!result.isError);
  },

  async 'several questions at once are all asked'({ client }) {
    for (const upstream of ['modern', 'legacy']) {
      const call = () => client.call(`${upstream}_test_input_required_result_multiple_inputs`);
      const { result, asked } = await asking(client, call);
      assert(asked.length >= 2, upstream);
      assert(!result.isError);
    }
  },

  async 'the user is sent to a URL'({ client }) {
    const args = { url: 'https://example.com/sign', message: 'Please sign', elicitationId: 'one' };
    for (const upstream of ['everything', 'everything-http', 'everything-sse']) {
      // Asked in the middle of the call, or by the error that says what to do before it.
      for (const errorPath of [false, true]) {
        const call = () => client.call(`${upstream}_trigger-url-elicitation`, { ...args, errorPath });
        const { result, asked } = await asking(client, call);
        const urls = asked.map((one) => one.params.url);
        if (errorPath) assert.equal(urls.shift(), 'https://modelcontextprotocol.io');
        assert.deepEqual(urls, [args.url], upstream);
        assert.match(texts(result), /completed the URL elicitation/);
      }
    }
  },

  async 'a user who declines is heard'({ fresh }) {
    const client = await fresh({ answers: { elicit: () => ({ action: 'decline' }) } });
    assert.match(texts(await client.call('everything_trigger-elicitation-request')), /declined/);
    assert.match(texts(await client.call('everything-http_trigger-elicitation-request')), /declined/);
    for (const upstream of ['legacy', 'modern', 'fragile']) {
      const result = await client.call(`${upstream}_test_elicitation`, { message: 'Well?' });
      assert.match(texts(result), /decline/i, upstream);
    }
    await client.close();
  },

  async 'the model is asked'({ client }) {
    const calls = [
      ['everything_trigger-sampling-request', { prompt: 'Say something', maxTokens: 10 }],
      ['everything-http_trigger-sampling-request', { prompt: 'Say something', maxTokens: 10 }],
      ['everything-sse_trigger-sampling-request', { prompt: 'Say something', maxTokens: 10 }],
      ['legacy_test_sampling', { prompt: 'Say something' }],
      ['modern_test_sampling', { prompt: 'Say something' }],
      ['fragile_test_sampling', { prompt: 'Say something' }],
    ];
    for (const [name, args] of calls) {
      const { result, asked } = await asking(client, () => client.call(name, args));
      assert.deepEqual(
        asked.map((one) => one.question),
        ['sample'],
        name,
      );
      assert.match(JSON.stringify(asked[0].params.messages), /Say something/);
      assert.match(texts(result), /A sentence by no model/, name);
    }
  },

  async 'the roots are asked for'({ fresh }) {
    for (const upstream of ['everything', 'everything-http', 'everything-sse']) {
      // The server asks once for each of its sessions; so only the answer shows that it did.
      const client = await fresh();
      assert.match(texts(await client.call(`${upstream}_get-roots-list`)), /file:\/\/\/interop/, upstream);
      await client.close();
    }
    for (const upstream of ['legacy', 'modern', 'fragile']) {
      const client = await fresh();
      const call = () => client.call(`${upstream}_test_input_required_result_list_roots`);
      const { result, asked } = await asking(client, call);
      assert.deepEqual(
        asked.map((one) => one.question),
        ['roots'],
        upstream,
      );
      assert(!result.isError, upstream);
      await client.close();
    }
  },

  async 'a prompt and a resource may ask too'({ client }) {
    for (const upstream of ['legacy', 'modern', 'fragile']) {
      const get = () => client.sdk.getPrompt({ name: `${upstream}_test_input_required_result_prompt` });
      const { result, asked } = await asking(client, get);
      assert.equal(asked.length, 1, upstream);
      assert.equal(result.messages[0].content.text, 'Prompt with context: interop');
    }
    // It is not listed, so only its upstream's name tells whose it is.
    for (const uri of ['legacy', 'modern'].map((name) => `tidegate://${name}/test://input-required-result`)) {
      const { result, asked } = await asking(client, () => client.sdk.readResource({ uri }));
      assert.equal(asked.length, 1, uri);
      assert.equal(result.contents[0].text, 'Read by interop');
      assert.equal(result.contents[0].uri, uri);
    }
  },

  async 'a client that cannot be asked is not asked'({ fresh }) {
    const client = await fresh({ capabilities: {} });
    const names = (await client.list('tools')).items.map((tool) => tool.name);
    // This server offers the tool only to clients that can be asked.
    for (const upstream of ['everything', 'everything-http', 'everything-sse']) {
      assert(!names.includes(`${upstream}_trigger-elicitation-request`), upstream);
      assert(names.includes(`${upstream}_echo`), upstream);
    }
    const missing = client.modern ? -32021 : -32602;
    await assert.rejects(client.call('modern_test_elicitation', { message: 'Well?' }), rpcError(missing));
    const result = await client.call('legacy_test_elicitation', { message: 'Well?' }).catch((error) => error);
    assert(result.isError || result.code < 0, 'the server itself refuses');
    assert.deepEqual(client.asked, []);
    await client.close();
  },

  async 'questions of calls that run at once are not mixed up'({ fresh }) {
    const names = ['ada', 'bob', 'cleo', 'dan'];
    const clients = await Promise.all(
      names.map((name) => fresh({ answers: { elicit: () => ({ action: 'accept', content: { name } }) } })),
    );
    for (const upstream of ['everything', 'everything-http']) {
      const call = (client) => client.call(`${upstream}_trigger-elicitation-request`);
      const results = await Promise.all(clients.map(call));
      results.forEach((result, at) =>
        assert.match(texts(result), new RegExp(`Name: ${names[at]}\\b`), upstream),
      );
    }
    for (const client of clients) assert.equal(client.asked.length, 2);
    await Promise.all(clients.map((client) => client.close()));
  },
};
