// A web API as an upstream: its operations are tools, its document is made by FastAPI.
import assert from 'node:assert/strict';

import { rpcError, texts } from '../world.mjs';

const CREATE = 'shop_create_order_orders_post';
const LIST = 'shop_list_orders_orders_get';
const GET = 'shop_get_order_orders_number_get';

export const shop = {
  async 'operations are tools with hints'({ client, upstreams }) {
    if (!upstreams.includes('shop')) return;
    const { items: tools } = await client.list('tools');
    const named = (name) => tools.find((tool) => tool.name === name);
    assert.equal(tools.filter((tool) => tool.name.startsWith('shop_')).length, 11);
    const create = named(CREATE);
    assert.deepEqual(create.inputSchema.required, ['body'], 'a key of idempotency is not asked for');
    if (create.annotations) {
      assert.equal(create.annotations.readOnlyHint, false);
      assert.equal(named(LIST).annotations.readOnlyHint, true);
    }
  },

  async 'an order is made, read, changed and gone'({ client, upstreams }) {
    if (!upstreams.includes('shop')) return;
    const read = (result) => {
      assert(!result.isError, texts(result));
      return JSON.parse(texts(result));
    };
    const made = read(await client.call(CREATE, { body: { sku: 'hat', count: 2, tags: ['a', 'b'] } }));
    assert.equal(made.status, 'open');
    const number = made.id;
    assert.deepEqual(read(await client.call(GET, { number })), made);
    const key = { body: { sku: 'cap' }, 'idempotency-key': `one-${number}` };
    const [one, again] = [await client.call(CREATE, key), await client.call(CREATE, key)].map(read);
    assert.deepEqual(one, again, 'the same key is the same order');
    const page = read(await client.call(LIST, { limit: 1, cursor: number - 1, status: ['open', 'sent'] }));
    assert.deepEqual([page.items[0].id, page.next_cursor], [number, number]);
    const changed = { number, body: { sku: 'scarf' } };
    assert.equal(read(await client.call('shop_replace_order_orders_number_put', changed)).sku, 'scarf');
    const note = { number: one.id, body: { text: 'x & y = ü' } };
    const noted = read(await client.call('shop_add_note_orders_number_note_post', note));
    assert.deepEqual(noted, { order: String(one.id), text: 'x & y = ü', mood: 'calm' });
    const receipt = { number: one.id, body: { receipt: Buffer.from([0, 1, 255]).toString('base64'), title: 'r' } };
    const uploaded = read(await client.call('shop_upload_receipt_orders_number_receipt_post', receipt));
    assert.deepEqual(uploaded, { title: 'r', bytes: '0001ff' });
  },

  async 'what it refuses is a result with its words, and what it cannot do now an error'({ client, upstreams }) {
    if (!upstreams.includes('shop')) return;
    const missing = await client.call(GET, { number: 999_999 });
    assert(missing.isError);
    assert.match(texts(missing), /404 Not Found:[^]*no order 999999/);
    const wrong = await client.call(CREATE, { body: { sku: 'hat', count: 200 } });
    assert(wrong.isError);
    assert.match(texts(wrong), /422[^]*less than or equal to 100/);
    const gone = await client.call(GET, {});
    assert(gone.isError);
    assert.match(texts(gone), /The call was not made: the argument "number" is required/);
    await assert.rejects(client.call('shop_busy_busy_get', {}), rpcError(-31003));
  },

  async 'values stay in their place, and pictures are pictures'({ client, upstreams }) {
    if (!upstreams.includes('shop')) return;
    const label = 'shop_label_products_path_label_get';
    const read = async (args) => JSON.parse(texts(await client.call(label, args)));
    const odd = 'ä/ö ?x=1#y&z';
    assert.deepEqual(await read({ path: odd, 'x-language': 'de' }), { path: odd, language: 'de' });
    for (const path of ['..', '../orders', 'a/../../orders', '%2e%2e']) {
      const refused = await client.call(label, { path });
      assert(refused.isError, path);
      assert.match(texts(refused), /would lead out of the path/);
    }
    const picture = await client.call('shop_picture_picture_get', {});
    assert.equal(picture.content[0].type, 'image');
    assert.deepEqual(Buffer.from(picture.content[0].data, 'base64').subarray(1, 4).toString(), 'PNG');
  },
};
