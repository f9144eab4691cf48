// The conversation with the test that started a script: one line of JSON each.
import { createInterface } from 'node:readline';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

export const hear = async () => JSON.parse((await lines.next()).value);
export const tell = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
export const done = () => process.stdin.destroy();
