// A server that remembers something in each session, whose sessions clients open and close themselves.
import assert from 'node:assert/strict';

import { texts } from '../world.mjs';

export const sessions = {
  async 'what a server remembers belongs to the handle of a session'({ client }) {
    const open = async () => (await client.call('memory_session_open', {})).structuredContent.session;
    const toggle = (args) => client.call('memory_toggle-simulated-logging', args);
    const [one, two] = [await open(), await open()];
    for (const [session, expected] of [
      [one, /^Started/],
      [two, /^Started/],
      [one, /^Stopped/],
      [two, /^Stopped/],
      [two, /^Started/],
    ]) {
      assert.match(texts(await toggle({ session })), expected);
    }
    // Without a handle nothing is remembered.
    for (let call = 0; call < 2; call++) assert.match(texts(await toggle({})), /^Started/);
    await client.call('memory_session_close', { session: one });
    const closed = await toggle({ session: one });
    assert(closed.isError);
    assert.match(texts(closed), /^Unknown session/);
    assert.match(texts(await toggle({ session: two })), /^Stopped/);
    await client.call('memory_session_close', { session: two });
  },
};
