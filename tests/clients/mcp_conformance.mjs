// The server scenarios of the MCP conformance suite against an address, with a token put into each request, and
// without one against the server itself: what became of each check.
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { createServer, request as ask } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { done, hear, tell } from './lines.mjs';

const facts = await hear();
const suite = join(dirname(fileURLToPath(import.meta.url)), 'node_modules/@modelcontextprotocol/conformance/dist/index.js');

// Passes everything on as it is, with the token.
const passing = (to, token) =>
  new Promise((resolve) => {
    const server = createServer((request, response) => {
      const headers = { ...request.headers, ...(token ? { authorization: `Bearer ${token}` } : {}) };
      const onward = ask(`${to}${request.url}`, { method: request.method, headers }, (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      onward.on('error', () => response.destroy());
      response.on('close', () => onward.destroy());
      request.pipe(onward);
    });
    server.listen(0, 'localhost', () => resolve(`http://localhost:${server.address().port}`));
  });

const results = async (to, token) => {
  const folder = mkdtempSync(join(tmpdir(), 'conformance-'));
  const url = `${await passing(to, token)}/mcp`;
  const said = await new Promise((resolve) => {
    execFile(process.execPath, [suite, 'server', '--url', url, '-o', folder], { timeout: 50_000 }, (_, out, err) => resolve(out + err));
  });
  const found = {};
  for (const scenario of readdirSync(folder)) {
    const name = scenario.replace(/^server-/, '').replace(/-\d{4}-\d\d-\d\d.*$/, '');
    const checks = JSON.parse(readFileSync(join(folder, scenario, 'checks.json'), 'utf8'));
    found[name] = checks.filter((check) => check.status !== 'INFO').map((check) => `${check.id} ${check.status}`);
  }
  return { found, said: Object.keys(found).length ? '' : said };
};

const [direct, through] = await Promise.all([results(facts.direct), results(facts.through, facts.token)]);
tell({ direct, through });
done();
process.exit(0);
