// Two generations of the TypeScript SDK behind one set of methods, so that every case runs with each.
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport as HttpV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { Client as ClientV2, StreamableHTTPClientTransport as HttpV2 } from '@modelcontextprotocol/client';

const INFO = { name: 'tidegate-interop', version: '1' };
const EVERYTHING = { elicitation: { form: {}, url: {} }, sampling: {}, roots: {} };

// The kinds of clients, with what they speak.
export const KINDS = {
  // The line of the SDK that most clients ship.
  v1: { era: 'legacy', make: (options) => v1(options, (url, hooks) => new HttpV1(url, hooks)) },
  // The same over the transport of 2024-11-05, at /sse.
  'v1-sse': {
    era: 'legacy',
    make: (options) => v1(options, (url, hooks) => new SSEClientTransport(url, hooks)),
  },
  // The newer line: it asks the server what it speaks, and takes the newest.
  v2: { era: 'modern', make: (options) => v2(options, 'auto') },
  'v2-legacy': { era: 'legacy', make: (options) => v2(options, 'legacy') },
};

function v1({ capabilities }, transport) {
  const client = new ClientV1(INFO, { capabilities });
  const handle = (schema, answer) => client.setRequestHandler(schema, (request) => answer(request.params));
  const schemas = {
    elicit: ElicitRequestSchema,
    sample: CreateMessageRequestSchema,
    roots: ListRootsRequestSchema,
  };
  return {
    client,
    transport,
    on: (question, answer) => handle(schemas[question], answer),
    call: (params, options) => client.callTool(params, undefined, options),
  };
}

function v2({ capabilities }, mode) {
  const client = new ClientV2(INFO, { capabilities, versionNegotiation: { mode } });
  const handle = (method, answer) => client.setRequestHandler(method, (request) => answer(request.params));
  const methods = { elicit: 'elicitation/create', sample: 'sampling/createMessage', roots: 'roots/list' };
  return {
    client,
    transport: (url, hooks) => new HttpV2(url, hooks),
    on: (question, answer) => handle(methods[question], answer),
    call: (params, options) => client.callTool(params, options),
  };
}

// A connected client. It answers what it is asked as `answers` says, keeps what it was asked and told, and
// counts what it sent.
export class Client {
  asked = [];
  told = [];
  sent = [];
  #own;

  static async open(kind, url, { capabilities = EVERYTHING, answers = {} } = {}) {
    const self = new Client();
    const own = KINDS[kind].make({ capabilities });
    self.#own = own;
    self.kind = kind;
    self.era = KINDS[kind].era;
    const answering = { ...ANSWERS, ...answers };
    for (const [question, capability] of [
      ['elicit', 'elicitation'],
      ['sample', 'sampling'],
      ['roots', 'roots'],
    ]) {
      if (!capabilities[capability]) continue;
      own.on(question, (params) => {
        self.asked.push({ question, params });
        return answering[question](params);
      });
    }
    own.client.fallbackNotificationHandler = async (notification) => void self.told.push(notification);
    own.client.onerror = () => {};
    const counting = async (input, init) => {
      if (init?.method === 'POST') self.sent.push(JSON.parse(init.body));
      return fetch(input, init);
    };
    await own.client.connect(own.transport(new URL(url), { fetch: counting }));
    return self;
  }

  get sdk() {
    return this.#own.client;
  }

  get modern() {
    return this.era === 'modern';
  }

  // How many requests of a method it has sent so far.
  count(method) {
    return this.sent.filter((message) => message.method === method).length;
  }

  // What it was told by notifications of one method.
  heard(method) {
    return this.told.filter((note) => note.method === method);
  }

  call(name, args = {}, options = {}) {
    const { meta, ...rest } = options;
    const _meta = meta ? { _meta: meta } : {};
    return this.#own.call({ name, arguments: args, ..._meta }, { timeout: 25_000, ...rest });
  }

  // A whole list, page by page; `first` is the first page's result.
  async list(what) {
    const [method, member] = LISTS[what];
    const first = await this.sdk[method]();
    const items = [...first[member]];
    // The newer SDK has walked all pages already.
    for (let cursor = first.nextCursor; cursor;) {
      const page = await this.sdk[method]({ cursor });
      items.push(...page[member]);
      cursor = page.nextCursor;
    }
    return { items, first };
  }

  close() {
    return this.sdk.close();
  }
}

const LISTS = {
  tools: ['listTools', 'tools'],
  resources: ['listResources', 'resources'],
  templates: ['listResourceTemplates', 'resourceTemplates'],
  prompts: ['listPrompts', 'prompts'],
};

// The user accepts what is proposed, the model says one sentence, and there is one root.
export const ANSWERS = {
  elicit: (params) => {
    if (params.mode === 'url') return { action: 'accept' };
    const fields = Object.entries(params.requestedSchema.properties);
    return {
      action: 'accept',
      content: Object.fromEntries(fields.map(([name, field]) => [name, valueOf(field)])),
    };
  },
  sample: () => ({
    model: 'interop-model',
    role: 'assistant',
    stopReason: 'endTurn',
    content: { type: 'text', text: 'A sentence by no model.' },
  }),
  roots: () => ({ roots: [{ uri: 'file:///interop', name: 'interop' }] }),
};

// The default, or the simplest value that the field takes.
function valueOf(field) {
  if (field.default !== undefined) return field.default;
  const choice = field.enum ?? field.oneOf?.map((one) => one.const);
  if (choice) return choice[0];
  switch (field.type) {
    case 'boolean':
      return true;
    case 'integer':
    case 'number':
      return field.minimum ?? 1;
    case 'array':
      return (field.items.enum ?? field.items.anyOf.map((one) => one.const)).slice(0, 1);
    default:
      return (
        { email: 'a@example.com', uri: 'https://example.com', date: '2026-01-02' }[field.format] ?? 'interop'
      );
  }
}
