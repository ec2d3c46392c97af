// The client of the Rust SDK: a program that walks through a server once, and prints what it saw.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

// How a walk of each kind begins.
export const LIFECYCLES = { rmcp: 'modern', 'rmcp-legacy': 'legacy' };

// A walk that lists what there is, and then does what the arguments say. It is told of a failure by an error
// with the client's own words.
export async function walk(program, lifecycle, args) {
  const all = ['client', '--lifecycle', lifecycle, '--timeout-ms', '25000', ...args];
  const { stdout } = await execute(program, all, { maxBuffer: 64 << 20 });
  return JSON.parse(stdout);
}

// The arguments that make a call.
export const call = (tool, args = {}) => ['--tool', tool, '--args', JSON.stringify(args)];
