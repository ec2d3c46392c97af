// Hearing of changes without asking.
import assert from 'node:assert/strict';

import { until } from '../harness.mjs';

// Has the client told of changes, in the way of its revision.
async function listen(client, { tools = false, prompts = false, resources = [] }) {
  if (!client.modern) {
    for (const uri of resources) await client.sdk.subscribeResource({ uri });
    return { close: async () => {} };
  }
  return client.sdk.listen({
    ...(tools && { toolsListChanged: true }),
    ...(prompts && { promptsListChanged: true }),
    ...(resources.length > 0 && { resourceSubscriptions: resources }),
  });
}

export const changes = {
  async 'a change of the tools is heard, and the list is the new one'({ fresh }) {
    const client = await fresh();
    const has = async (name) => (await client.list('tools')).items.some((tool) => tool.name === name);
    const stream = await listen(client, { tools: true });
    for (const upstream of ['modern', 'legacy', 'fragile']) {
      const dynamic = `${upstream}_test_dynamic_tool`;
      assert.equal(await has(dynamic), false);
      for (const there of [true, false]) {
        const before = client.heard('notifications/tools/list_changed').length;
        await client.call(`${upstream}_test_trigger_tool_change`);
        await until(
          `word of the tools of ${upstream}`,
          () => client.heard('notifications/tools/list_changed').length > before,
        );
        await until(`the new tools of ${upstream}`, async () => (await has(dynamic)) === there);
      }
    }
    await stream.close();
    await client.close();
  },

  async 'a change of the prompts is heard'({ fresh }) {
    const client = await fresh();
    const stream = await listen(client, { prompts: true });
    for (const upstream of ['modern', 'legacy']) {
      for (let change = 0; change < 2; change++) {
        const before = client.heard('notifications/prompts/list_changed').length;
        await client.call(`${upstream}_test_trigger_prompt_change`);
        await until(
          `word of the prompts of ${upstream}`,
          () => client.heard('notifications/prompts/list_changed').length > before,
        );
      }
    }
    await stream.close();
    await client.close();
  },

  async 'a watched resource is told of under its listed address'({ fresh }) {
    const client = await fresh();
    const uris = (await client.list('resources')).items.map((resource) => resource.uri);
    const of = (upstream) => uris.find((uri) => uri === `tidegate://${upstream}/test://watched-resource`);
    // The first upstream that has the address keeps it as it is.
    const watched = { legacy: 'test://watched-resource', modern: of('modern') };
    const stream = await listen(client, { resources: Object.values(watched) });
    const told = (uri) =>
      client.heard('notifications/resources/updated').filter((note) => note.params.uri === uri);
    for (const [upstream, uri] of Object.entries(watched)) {
      const before = told(uri).length;
      // Where the upstream is legacy the subscription takes a moment to arrive there.
      await until(`word of ${uri}`, async () => {
        await client.call(`${upstream}_test_trigger_resource_update`);
        return told(uri).length > before;
      });
    }
    await stream.close();
    if (!client.modern) {
      await client.sdk.unsubscribeResource({ uri: watched.legacy });
    }
    await client.close();
  },

  async 'who did not ask hears nothing'({ fresh, client }) {
    const quiet = await fresh();
    const loud = await fresh();
    const stream = await listen(loud, { resources: ['test://watched-resource'] });
    await until('word', async () => {
      await client.call('legacy_test_trigger_resource_update');
      return loud.heard('notifications/resources/updated').length > 0;
    });
    assert.deepEqual(quiet.heard('notifications/resources/updated'), []);
    await stream.close();
    await Promise.all([quiet.close(), loud.close()]);
  },
};
