// Sends random requests with the cloud's Node SDKs, as they ship, to a server of this script, and says what came over the
// wire. One line comes, with a seed, a number and a key; one line goes for each request.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

import { done, hear, tell } from './lines.mjs';

const require = createRequire(import.meta.url);
const { default: Client, $OpenApiUtil } = require('@alicloud/openapi-core');
const { RPCClient, ROAClient } = require('@alicloud/pop-core');
const { RuntimeOptions } = require('@alicloud/tea-util');

const ODD = [..." ~*+=&'()!,;:@$?#[]\"<>^`{|}äß漢字🙂"];
const PLAIN = [...'abcXYZ019-_.'];

/** Numbers that a seed gives again (mulberry32). */
const generator = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};

const { seed, count, key } = await hear();
const random = generator(seed);
const upTo = (most) => Math.floor(random() * (most + 1));
const choose = (list) => list[upTo(list.length - 1)];
const text = (alphabet, longest = 12) => Array.from({ length: 1 + upTo(longest - 1) }, () => choose(alphabet)).join('');
const maybeEmpty = (alphabet) => (random() < 0.2 ? '' : text(alphabet));
const odd = [...PLAIN, ...ODD];
const parameters = (most, alphabet = odd) =>
  Object.fromEntries(Array.from({ length: upTo(most) }, (_, at) => [`X${at}.${text(PLAIN, 6)}`, maybeEmpty(alphabet)]));

const wire = [];
const server = createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    const lines = [`${request.method} ${request.url} HTTP/1.1\r\n`];
    for (let at = 0; at < request.rawHeaders.length; at += 2) {
      lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}\r\n`);
    }
    wire.push({ head: lines.join(''), chunked: 'transfer-encoding' in request.headers, body: Buffer.concat(pieces) });
    response.setHeader('content-type', 'application/json');
    response.end('{}');
  });
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const address = `127.0.0.1:${server.address().port}`;

const operations = { GET: 'GetThing', DELETE: 'DeleteThing', POST: 'AskThing', PUT: 'PutThing' };
// Node's own parser of addresses writes an apostrophe otherwise than these clients have signed it.
const segment = () => encodeURIComponent(`k${text(odd)}`).replaceAll("'", '%27');

const clients = {
  /** The client that all generated ones are made of, with the third signature. */
  async third() {
    const client = new Client(new $OpenApiUtil.Config({ endpoint: address, protocol: 'HTTP', regionId: 'cn-hangzhou', ...key }));
    const style = choose(['RPC', 'ROA']);
    const kind = choose(['none', 'json', 'formData', 'byte']);
    const bodies = {
      json: () => ({ note: text(odd, 200), list: [1, null, text(ODD)] }),
      formData: () => ({ X: text(odd), ...parameters(3) }),
      byte: () => Buffer.from(text(odd, 200)),
      none: () => undefined,
    };
    const body = bodies[kind]();
    const method = body === undefined ? choose(style === 'RPC' ? ['GET', 'POST'] : ['GET', 'DELETE']) : choose(style === 'RPC' ? ['POST'] : ['POST', 'PUT']);
    const params = new $OpenApiUtil.Params({
      action: style === 'RPC' ? 'DescribeInstances' : operations[method], version: style === 'RPC' ? '2014-05-26' : '2020-01-01',
      pathname: style === 'RPC' ? '/' : `/things/${segment()}${choose(['', `/${segment()}`])}`,
      protocol: 'HTTP', method, authType: 'AK', bodyType: 'json', reqBodyType: kind === 'none' ? 'json' : kind, style,
    });
    const headers = { 'x-acs-note': `${choose(['', ' ', '\t'])}${text(PLAIN)}  two  blanks${choose(['', ' ', '\t'])}` };
    const request = new $OpenApiUtil.OpenApiRequest({ query: parameters(5), headers, body });
    await client.callApi(params, request, new RuntimeOptions({ autoretry: false, readTimeout: 5000, connectTimeout: 5000 }));
  },
  /** The older core's first signature of parameters. */
  async rpc() {
    const client = new RPCClient({ endpoint: `http://${address}`, apiVersion: '2014-05-26', ...key });
    await client.request('DescribeInstances', parameters(5), { method: choose(['GET', 'POST']), timeout: 30_000 });
  },
  /** And that of headers, which writes parameters as they are. */
  async roa() {
    const client = new ROAClient({ endpoint: `http://${address}`, apiVersion: '2020-01-01', ...key });
    const method = choose(['GET', 'DELETE', 'POST', 'PUT']);
    const body = ['POST', 'PUT'].includes(method) ? text(odd, 200) : '';
    const query = parameters(3, [...PLAIN, ...' ~*+/äß漢']);
    await client.request(method, `/things/${segment()}`, query, body, { 'Content-Type': 'application/json' }, { timeout: 30_000 });
  },
};

for (let at = 0; at < count; at += 1) {
  const client = choose(Object.keys(clients));
  let why;
  // What it makes of the answer does not matter.
  await clients[client]().catch((error) => { why = error; });
  const sent = wire.shift();
  if (sent === undefined) throw why;
  tell({ client, head: sent.head, chunked: sent.chunked, body: sent.body.toString('base64') });
}
server.close();
server.closeAllConnections();
done();
