// Two people of one company use one endpoint, each with what is his own, through two replicas of the gateway;
// then one of them leaves the company. `node run.mjs` tells it; `cargo xtask interop --client sso` tests it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { Browser } from '../../interop/browser.mjs';
import { startCompany } from '../../interop/company.mjs';
import { freePort, startFront, startReplicas } from '../../interop/gateways.mjs';
import { Skip, run, until } from '../../interop/harness.mjs';
import { ElicitRequestSchema } from '../../interop/packages.mjs';
import { Program, person } from '../../interop/program.mjs';
import { startNotes } from './notes.mjs';

const FOLDER = path.dirname(fileURLToPath(import.meta.url));
const URL_CAPABILITY = { elicitation: { form: {}, url: {} } };

const say = (text) => console.log(`  ${text}`);

// Starts everything. The ports of the configuration are another one's here: free ones.
export async function startStory(world) {
  if (!world.database) return { missing: world.noDatabase ?? 'there is no PostgreSQL', stop() {} };
  const [front, notesPort] = [await startFront(), await freePort()];
  const at = {
    id: 'notes',
    secret: 's3cr3t-seed-of the notes',
    redirect: `http://127.0.0.1:${notesPort}/login/back`,
  };
  const company = await startCompany([front.base], { programs: [at] });
  const notes = await startNotes(notesPort, { issuer: company.issuer, ...at });
  const text = fs.readFileSync(path.join(FOLDER, 'tidegate.yaml'), 'utf8');
  const configuration = (rechecks) => (listen, between) =>
    text
      .replaceAll('127.0.0.1:7401', listen)
      .replaceAll('127.0.0.1:7501', between)
      .replaceAll('http://127.0.0.1:7400', front.base)
      .replaceAll('http://127.0.0.1:7410', company.issuer)
      .replaceAll('http://127.0.0.1:7420', notes.base)
      .replace(/.*recheck:.*\n/, rechecks ? '$&' : '')
      .concat('telemetry: {log_level: debug, log_calls: all}\n');
  const secrets = { 'company-secret': company.secret };
  let rechecks = true;
  const start = () => startReplicas(world, 'sso', front, configuration(rechecks), secrets);
  const replicas = await start().catch((error) => {
    if (!/recheck/.test(error.message)) throw error;
    rechecks = false;
    return start();
  });
  const stop = async () => {
    await replicas.stop();
    for (const each of [front, notes, company]) await each.stop();
  };
  say(`the company is at ${company.issuer}, its server of notes at ${notes.base}`);
  say(`the gateway is at ${front.base}: ${replicas.gateways.map(({ base }) => base).join(' and ')}`);
  return { front, company, notes, replicas, rechecks, url: `${front.base}/mcp`, people: {}, stop };
}

// Somebody at his machine: a browser, and a program that opens it.
class Person {
  browser = new Browser();
  opened = 0;

  constructor(name, sdk, url, program) {
    this.name = name;
    this.program = new Program(sdk, url, { name: program });
  }

  // Signs in at the gateway, where the company asks who he is, and nobody else does.
  async signIn() {
    const { url, finish } = await this.program.begin();
    const { redirectUrl: redirect } = this.program;
    const params = await person(this.browser, url, { who: this.name, redirect });
    assert(params.has('code'), `${this.name} was not signed in: ${params}`);
    await finish(params);
  }

  // Connects his program, which opens his browser where it is told to.
  async connect(url) {
    this.client = await this.program.connect({
      url,
      capabilities: URL_CAPABILITY,
      before: (client) => this.#listen(client),
    });
  }

  #listen(client) {
    const open = ({ params }) => {
      this.opened += 1;
      this.#follow(params.url).catch((error) => console.error(`${this.name} is stuck:`, error));
      return { action: 'accept' };
    };
    if (this.program.line === 'v1') client.setRequestHandler(ElicitRequestSchema, open);
    else client.setRequestHandler('elicitation/create', open);
  }

  // The notes ask whether the gateway may, and nobody asks who it is: the company knows this browser.
  async #follow(url) {
    const page = await this.browser.go(url);
    assert.match(page.text, /May the gateway read and write your notes/);
    const done = await this.browser.submit(page, { answer: 'yes' });
    assert.match(done.text, /may use notes for you now/);
  }

  async tools() {
    return (await this.client.listTools()).tools.map((tool) => tool.name).sort();
  }

  async call(name, args = {}) {
    const result = await this.client.callTool({ name, arguments: args });
    const text = result.content.map((block) => block.text).join('\n');
    assert(!result.isError, text);
    return text;
  }
}

const needed = ({ missing }) => {
  if (missing) throw new Skip(missing);
};

export const chapters = {
  async 'ann and bob sign in at one endpoint, with their account at the company'(all) {
    needed(all);
    const { url, people } = all;
    people.ann = new Person('ann', 'v1', url, "Ann's editor");
    people.bob = new Person('bob', 'v2', url, "Bob's assistant");
    for (const one of Object.values(people)) {
      await one.signIn();
      await one.connect();
      say(`${one.name} has signed in, and finds ${(await one.tools()).join(', ')}`);
      assert.deepEqual(await one.tools(), ['notes_tidegate_sign_in']);
    }
  },

  async 'each lets the gateway use the notes, and nobody asks again who he is'(all) {
    needed(all);
    for (const one of Object.values(all.people)) {
      const logins = all.company.asked.filter((line) => line.startsWith('POST /login')).length;
      say(`${one.name} reads: ${await one.call('notes_tidegate_sign_in')}`);
      assert.equal(one.opened, 1, 'his program has opened his browser once');
      const more = all.company.asked.filter((line) => line.startsWith('POST /login')).length - logins;
      assert.equal(more, 0, 'the company knows his browser');
      await until('the tools', async () => (await one.tools()).includes('notes_add'));
      say(`${one.name} finds ${(await one.tools()).join(', ')}`);
    }
  },

  async 'each finds his own notes, through both replicas'(all) {
    needed(all);
    const { people, replicas } = all;
    for (const one of Object.values(people)) {
      await one.call('notes_add', { text: `the first note of ${one.name}` });
      await one.call('notes_add', { text: `the second note of ${one.name}` });
    }
    for (const one of Object.values(people)) {
      for (const { base } of [{ base: undefined }, ...replicas.gateways]) {
        await one.client.close();
        await one.connect(base && `${base}/mcp`);
        const found = await one.call('notes_list');
        assert.equal(found, `the first note of ${one.name}\nthe second note of ${one.name}`);
      }
      say(
        `${one.name} finds, through either of them: ${(await one.call('notes_list')).replaceAll('\n', ', ')}`,
      );
    }
    const served = [...all.front.served.values()];
    assert(served.length === 2 && served.every((count) => count > 5), `${served}`);
    say(`the replicas have answered ${served.join(' and ')} requests`);
  },

  'bob leaves the company, and is out within a minute; ann goes on': Object.assign(
    async (all) => {
      needed(all);
      if (!all.rechecks) throw new Skip('this gateway does not ask again: auth.issuers.*.sign_in.recheck');
      const { ann, bob } = all.people;
      const begun = Date.now();
      all.company.disable('bob');
      const { access_token } = bob.program.kept.tokens;
      for (const { base } of all.replicas.gateways) {
        await until(`${base} to refuse bob`, () => isRefused(`${base}/mcp`, access_token), 60_000);
      }
      say(`bob is out after ${Math.round((Date.now() - begun) / 1_000)} seconds, at both replicas`);
      const { url } = await bob.program.begin();
      const redirect = bob.program.redirectUrl;
      const page = await bob.browser.go(url, { stop: (at) => at.href.startsWith(redirect) });
      assert.equal(page.url.pathname, '/oauth/authorize', 'his browser stays signed in no longer');
      const params = await person(new Browser(), url, { who: 'bob', redirect });
      assert.equal(params.get('error'), 'access_denied', 'another browser is of no use to him, either');
      say('he cannot sign in again');
      assert.match(await ann.call('notes_list'), /the second note of ann/);
      say('ann has noticed nothing');
    },
    { limitMs: 75_000 },
  ),
};

// Whether a token is of no use any more.
async function isRefused(url, token) {
  const { status, body } = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
  });
  await body?.cancel();
  return status === 401;
}

// On its own, with what the environment says.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { TIDEGATE: gateway, DATABASE_URL: database } = process.env;
  if (!gateway || !database) {
    console.error('TIDEGATE is to be the program, and DATABASE_URL a PostgreSQL: see README.md');
    process.exit(2);
  }
  const files = path.join(FOLDER, '../../out/sso/files');
  const all = await startStory({ gateway: path.resolve(gateway), database, files });
  const failed = await run('single sign-on', chapters, all);
  await all.stop();
  process.exit(failed > 0 ? 1 : 0);
}
