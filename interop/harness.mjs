// Runs named cases one after the other and says of each how it went, one line each:
//
//   ok CLIENT: NAME (MILLISECONDS)
//   FAILED CLIENT: NAME: why
//   skipped CLIENT: NAME: why
import { setTimeout as sleep } from 'node:timers/promises';

// Nothing takes that long unless it hangs; what does, says so by `limitMs`.
const LIMIT_MS = 30_000;

// Thrown by a case that cannot run here.
export class Skip extends Error {}

// What `work` comes to, or an error that says what took too long.
export async function within(ms, what, work) {
  const late = new AbortController();
  const limit = sleep(ms, undefined, { signal: late.signal }).then(() => {
    throw new Error(`${what} took more than ${ms} ms`);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    late.abort();
    // Its own end, which nobody waits for.
    limit.catch(() => {});
  }
}

// Waits until `look` finds something, which it may do at any time.
export async function until(what, look, ms = 10_000) {
  const begun = Date.now();
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() - begun > ms) throw new Error(`${what} did not come within ${ms} ms`);
    await sleep(25);
  }
}

// Runs the cases whose line contains `only`, and gives the number of those that failed.
export async function run(label, cases, world, only = '') {
  let failed = 0;
  for (const [name, work] of Object.entries(cases)) {
    if (!`${label}: ${name}`.includes(only)) continue;
    const begun = Date.now();
    try {
      await within(work.limitMs ?? LIMIT_MS, 'the case', work(world));
      console.log(`ok ${label}: ${name} (${Date.now() - begun})`);
    } catch (error) {
      const skipped = error instanceof Skip;
      if (!skipped) failed += 1;
      const why = String(error?.message ?? error).replaceAll(/\s*\n\s*/g, ' | ');
      console.log(`${skipped ? 'skipped' : 'FAILED'} ${label}: ${name}: ${why}`);
      if (!skipped) console.error(`${label}: ${name}\n`, error);
    }
  }
  return failed;
}
