// What cases know of the gateway and its upstreams, and how they look at results.
import assert from 'node:assert/strict';

// The texts of a result, one after the other.
export const texts = (result) =>
  result.content
    .filter((block) => block.type === 'text')
    .map((block) => block.text)
    .join('\n');

// Accepts the error of a request that was answered with this code.
export const rpcError = (code) => (error) => {
  assert.equal(error.code, code, error.message);
  return true;
};

// A number of the gateway's own.
export async function metric(base, name, upstream) {
  const text = await (await fetch(`${base}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name}{upstream="${upstream}"}`));
  assert(line, `there is no ${name} of ${upstream}`);
  return Number(line.split(' ').at(-1));
}
