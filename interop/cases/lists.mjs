// What the endpoint of everything shows of its upstreams, and reading it.
import assert from 'node:assert/strict';

import { rpcError, texts } from '../world.mjs';

export const lists = {
  async 'tools of every upstream are listed under its prefix'({ client, upstreams }) {
    const { items } = await client.list('tools');
    const names = items.map((tool) => tool.name);
    assert.equal(new Set(names).size, names.length, 'every name once');
    for (const name of names) assert.match(name, /^[A-Za-z0-9_.-]{1,64}$/);
    const prefixes = new Set(names.map((name) => name.split('_')[0]));
    assert.deepEqual(prefixes, new Set(upstreams));
    const order = names.map((name) => upstreams.indexOf(name.split('_')[0]));
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
      'in the order of the configuration',
    );
  },

  async 'a list is the same each time'({ client, fresh }) {
    const again = await fresh();
    const [one, other] = [await client.list('tools'), await again.list('tools')];
    await again.close();
    assert.deepEqual(one.items, other.items);
  },

  async 'a list comes in pages'({ client, pageSize }) {
    const before = client.count('tools/list');
    const { items } = await client.list('tools');
    const pages = client.sent.filter((message) => message.method === 'tools/list').slice(before);
    assert.equal(pages.length, Math.ceil(items.length / pageSize));
    assert(pages.length > 3, 'the case needs more than one page');
    const cursors = pages.map((page) => page.params?.cursor);
    assert.equal(new Set(cursors).size, cursors.length);
  },

  async 'a page holds no more than its size'({ client, pageSize }) {
    const { items } = await client.list('tools');
    const cursor = client.sent.findLast((message) => message.params?.cursor).params.cursor;
    const page = await client.sdk.listTools({ cursor });
    assert.equal(page.tools.length, items.length % pageSize || pageSize);
    assert.equal(page.nextCursor, undefined);
  },

  async 'a cursor of nobody is refused'({ client }) {
    await assert.rejects(client.sdk.listTools({ cursor: 'made-up' }), rpcError(-32602));
  },

  async 'a cursor of one list is refused for another'({ client }) {
    await client.list('tools');
    const cursor = client.sent.findLast((message) => message.method === 'tools/list').params.cursor;
    await assert.rejects(client.sdk.listPrompts({ cursor }), rpcError(-32602));
  },

  async 'what is missing from a list is named with its reason'({ client, dead }) {
    for (const list of ['tools', 'prompts', 'resources', 'templates']) {
      const { first } = await client.list(list);
      const missing = first._meta['io.tidegate/missing'];
      assert.deepEqual(missing.map((one) => one.upstream).toSorted(), dead.toSorted());
      for (const one of missing) assert.equal(one.reason, 'unreachable');
    }
  },

  async 'an upstream alone has its own names'({ fresh }) {
    const client = await fresh({ path: 'everything' });
    const { items, first } = await client.list('tools');
    assert(items.some((tool) => tool.name === 'echo'));
    assert.equal(first._meta?.['io.tidegate/missing'], undefined);
    assert.equal(texts(await client.call('echo', { message: 'alone' })), 'Echo: alone');
    await client.close();
  },

  async 'an endpoint shows what it exposes and hides the rest'({ fresh }) {
    const client = await fresh({ path: 'some' });
    const names = async (list) => (await client.list(list)).items.map((item) => item.name);
    assert.deepEqual(await names('tools'), [
      'everything_echo',
      'everything_get-sum',
      'legacy_test_simple_text',
    ]);
    assert.deepEqual(await names('prompts'), ['legacy_test_simple_prompt']);
    assert.match(texts(await client.call('everything_get-sum', { a: 1, b: 2 })), /is 3/);
    for (const hidden of ['everything_get-env', 'legacy_test_image_content', 'modern_test_simple_text']) {
      await assert.rejects(client.call(hidden), rpcError(-32602));
    }
    await assert.rejects(client.sdk.getPrompt({ name: 'everything_simple-prompt' }), rpcError(-32602));
    await client.close();
  },

  async 'resources of every upstream can be read under the listed address'({ client }) {
    const { items } = await client.list('resources');
    const uris = items.map((resource) => resource.uri);
    assert.equal(new Set(uris).size, uris.length, 'every address once');
    for (const uri of uris) {
      const { contents } = await client.sdk.readResource({ uri });
      assert.equal(contents[0].uri, uri);
      assert((contents[0].text ?? contents[0].blob).length > 0);
    }
  },

  async 'what two upstreams call by one address is told apart'({ client, stamp }) {
    const uris = (await client.list('resources')).items.map((resource) => resource.uri);
    const watched = uris.filter((uri) => uri.endsWith('test://watched-resource'));
    assert(watched.length >= 2 && watched.includes('test://watched-resource'));
    const read = async (uri) =>
      (await client.sdk.readResource({ uri }, { cacheMode: 'bypass' })).contents[0].text;
    const before = await Promise.all(watched.map(read));
    await client.call('modern_test_trigger_resource_update');
    const after = await Promise.all(watched.map(read));
    const changed = watched.filter((_, at) => before[at] !== after[at]);
    assert.deepEqual(
      changed,
      watched.filter((uri) => uri.includes('modern')),
      stamp,
    );
  },

  async 'resources that are not listed are found by their template'({ client }) {
    const { items } = await client.list('templates');
    const templates = items.map((template) => template.uriTemplate);
    assert.equal(new Set(templates).size, templates.length);
    for (const template of templates) {
      const uri = template.replace(/\{\w+\}/, '7');
      const { contents } = await client.sdk.readResource({ uri });
      assert.equal(contents[0].uri, uri);
      const text = contents[0].text ?? Buffer.from(contents[0].blob, 'base64').toString();
      assert.match(text, /\b7\b/);
    }
  },

  async 'a resource that is nowhere is an error with its address'({ client }) {
    const uri = 'test://nowhere-at-all';
    // The newer SDK shows the code of its own revision, whatever came.
    const code = client.kind === 'v1' || client.kind === 'v1-sse' ? -32002 : -32602;
    await assert.rejects(client.sdk.readResource({ uri }), (error) => {
      assert.deepEqual([error.code, error.data?.uri], [code, uri]);
      return true;
    });
  },

  async 'prompts of every upstream that has some are listed and given'({ client }) {
    const names = (await client.list('prompts')).items.map((prompt) => prompt.name);
    for (const upstream of ['everything', 'everything-http', 'legacy', 'modern']) {
      assert(
        names.some((name) => name.startsWith(`${upstream}_`)),
        upstream,
      );
    }
    const place = { city: 'Vienna', state: 'Austria' };
    for (const upstream of ['everything', 'everything-http', 'everything-sse']) {
      const prompt = await client.sdk.getPrompt({ name: `${upstream}_args-prompt`, arguments: place });
      assert.equal(prompt.messages[0].content.text, "What's weather in Vienna, Austria?");
    }
    const words = { arg1: 'one', arg2: 'two' };
    for (const upstream of ['legacy', 'modern', 'fragile']) {
      const prompt = await client.sdk.getPrompt({
        name: `${upstream}_test_prompt_with_arguments`,
        arguments: words,
      });
      assert.equal(prompt.messages[0].content.text, "Prompt with arguments: arg1='one', arg2='two'");
    }
    await assert.rejects(client.sdk.getPrompt({ name: 'legacy_no_such_prompt' }), rpcError(-32602));
  },

  async 'arguments are completed by the upstream that owns the prompt or the template'({ client }) {
    const complete = async (ref, name, value, context) => {
      const argument = { name, value };
      const { completion } = await client.sdk.complete({ ref, argument, ...(context && { context }) });
      return completion.values;
    };
    const prompt = (name) => ({ type: 'ref/prompt', name });
    const resource = (uri) => ({ type: 'ref/resource', uri });
    const team = prompt('everything_completable-prompt');
    assert.deepEqual(await complete(team, 'department', 'S'), ['Sales', 'Support']);
    const sales = { arguments: { department: 'Sales' } };
    // The context is of 2025-06-18, and the transport of v1-sse does not change what the SDK speaks.
    assert.deepEqual(await complete(team, 'name', '', sales), ['David', 'Eve', 'Frank']);
    const documents = resource('tidegate://everything-http/demo://resource/dynamic/text/{resourceId}');
    assert.deepEqual(await complete(documents, 'resourceId', '12'), ['12']);
    const modern = prompt('modern_test_prompt_with_arguments');
    assert.deepEqual(await complete(modern, 'arg1', 'par'), ['paris', 'park', 'party']);
  },
};
