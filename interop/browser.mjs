// A browser without a window: it keeps cookies, follows whatever sends it on, reads forms, and sends them.
import assert from 'node:assert/strict';

const HOPS_MAX = 20;

export class Browser {
  // Cookies by host: a browser does not tell ports apart.
  #jars = new Map();
  // Every page and redirect: what was asked, and what came of it.
  trail = [];

  // Goes there and on, until there is a page, or until `stop` says of an address that it is where to end: it
  // is not asked, as a client's own address is nothing that answers here.
  async go(url, { stop = () => false, ...init } = {}) {
    let next = { url: new URL(url), init };
    for (let hops = 0; hops < HOPS_MAX; hops++) {
      if (stop(next.url)) return { url: next.url, stopped: true };
      const page = await this.ask(next.url, next.init);
      const to = this.#onward(page);
      if (!to) return page;
      // Whatever sends a browser on, it goes there with GET.
      next = { url: to, init: {} };
    }
    throw new Error(
      `more than ${HOPS_MAX} hops: ${this.trail.map(({ url }) => url.origin + url.pathname).join(', ')}`,
    );
  }

  // Sends the form of a page with these fields, as if its button of this name and value were pressed.
  submit(page, fields = {}, options = {}) {
    const form = formOf(page);
    const body = new URLSearchParams({ ...form.fields, ...fields });
    const headers = {
      'content-type': 'application/x-www-form-urlencoded',
      origin: page.url.origin,
      ...options.headers,
    };
    return this.go(form.action, { ...options, method: 'POST', headers, body });
  }

  // The cookies that this browser would send there.
  cookies(url) {
    const jar = this.#jars.get(url.hostname) ?? new Map();
    const fits = [...jar.values()].filter((cookie) => (url.pathname + '/').startsWith(cookie.path));
    return fits.map((cookie) => `${cookie.name}=${cookie.value}`).join('; ');
  }

  // One request, and nothing that it leads to.
  async ask(url, init = {}) {
    const headers = new Headers(init.headers);
    const cookies = this.cookies(url);
    if (cookies) headers.set('cookie', cookies);
    headers.set('accept', 'text/html');
    const answer = await fetch(url, { ...init, headers, redirect: 'manual' });
    for (const line of answer.headers.getSetCookie()) this.#keep(url, line);
    const page = { url, status: answer.status, headers: answer.headers, text: await answer.text() };
    this.trail.push({ method: init.method ?? 'GET', url, status: page.status });
    return page;
  }

  #onward(page) {
    if (page.status >= 300 && page.status < 400) return new URL(page.headers.get('location'), page.url);
    const meta = /<meta http-equiv="?refresh"? content="\d+;\s*url=([^"]*)"/i.exec(page.text);
    return meta ? new URL(unescaped(meta[1]), page.url) : undefined;
  }

  #keep(url, line) {
    const [pair, ...attributes] = line.split(';').map((part) => part.trim());
    const [name, ...value] = pair.split('=');
    const attribute = (wanted) =>
      attributes.find((one) => one.toLowerCase().startsWith(`${wanted}=`))?.slice(wanted.length + 1);
    const jar = this.#jars.get(url.hostname) ?? new Map();
    this.#jars.set(url.hostname, jar);
    const path = (attribute('path') ?? '/').replace(/\/?$/, '/');
    const expires = attribute('expires');
    const over = attribute('max-age') === '0' || (expires && Date.parse(expires) <= Date.now());
    const key = `${name} ${path}`;
    if (over) jar.delete(key);
    else jar.set(key, { name, value: value.join('='), path });
  }
}

// The only form of a page: where it goes, and its fields as they are.
export function formOf(page) {
  const form = /<form([^>]*)>([\s\S]*?)<\/form>/i.exec(page.text);
  assert(form, `no form at ${page.url} (${page.status}): ${page.text}`);
  const action = attributeOf(form[1], 'action') ?? page.url.href;
  const fields = {};
  for (const [, attributes] of form[2].matchAll(/<input([^>]*)>/gi)) {
    const type = attributeOf(attributes, 'type');
    if (type === 'radio' && !/\schecked\b/.test(attributes)) continue;
    const name = attributeOf(attributes, 'name');
    if (name) fields[name] = attributeOf(attributes, 'value') ?? '';
  }
  return { action: new URL(action, page.url), fields };
}

function attributeOf(text, name) {
  const found = new RegExp(`\\b${name}="([^"]*)"`, 'i').exec(text);
  return found ? unescaped(found[1]) : undefined;
}

function unescaped(text) {
  const known = { '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'", '&amp;': '&' };
  return text.replaceAll(/&(?:lt|gt|quot|#39|amp);/g, (found) => known[found]);
}
