// An organization's own provider: the certified oidc-provider, on a free port. The test says who its people are and,
// later, what it is to do; it can be told to answer otherwise than it should.
import { createServer } from 'node:http';
import { CompactSign, exportJWK, generateKeyPair, UnsecuredJWT } from 'jose';
import Provider from 'oidc-provider';
import { done, hear, tell } from './lines.mjs';

// It narrates on stdout, which is for the test.
console.info = console.error;

const facts = await hear();
const people = facts.people;
let provider;
let key;
let number = 0;
/** What the next answer to a path is to be instead. */
const instead = new Map();
/** What the next ID token is to say instead. */
let spoiled;

const server = createServer((request, response) => {
  const path = request.url.split('?')[0];
  const other = instead.get(path);
  if (other) {
    if (!other.always) instead.delete(path);
    if (other.silent) return;
    response.writeHead(other.status, { 'content-type': 'application/json', ...other.headers });
    response.end(other.size ? `"${'x'.repeat(other.size)}"` : (other.body ?? ''));
    return;
  }
  if (path.startsWith('/interaction/')) {
    interact(request, response).catch((error) => response.writeHead(500).end(String(error)));
    return;
  }
  if (path === '/token' && spoiled) spoil(response);
  provider.callback()(request, response);
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

/** A new key pair; what was signed by the one before is good no longer. */
async function rotate() {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  number += 1;
  key = { private: privateKey, kid: `key-${number}` };
  const jwk = { ...(await exportJWK(privateKey)), kid: key.kid, alg: 'RS256', use: 'sig' };
  provider = new Provider(issuer, {
    clients: facts.clients,
    jwks: { keys: [jwk] },
    scopes: ['openid', 'staff'],
    claims: {
      openid: ['sub', 'sid'],
      profile: ['name', 'preferred_username'],
      staff: ['groups', 'org'],
    },
    conformIdTokenClaims: facts.userinfo,
    cookies: { keys: ['a key of the test'] },
    pkce: { required: () => true },
    // Its own way out asks no address of this machine, where all of this is.
    fetch: (url, { dispatcher: _, ...options }) => globalThis.fetch(url, options),
    features: {
      devInteractions: { enabled: false },
      rpInitiatedLogout: { enabled: true },
      backchannelLogout: { enabled: true },
    },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, id) => people[id] && { accountId: id, claims: () => ({ sub: id, ...people[id] }) },
    // People of an organization are not asked whether its own application may know them.
    async loadExistingGrant(context) {
      const { client, session, params } = context.oidc;
      const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
      grant.addOIDCScope(params.scope);
      await grant.save();
      return grant;
    },
  });
  provider.on('server_error', (_, error) => process.stderr.write(`${error.stack}\n`));
}

/** The provider's own log-in page, as plain as can be. */
async function interact(request, response) {
  if (request.method === 'GET') {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end(`<!doctype html><html lang="en"><title>The organization</title><h1>The organization</h1>
<form method="post" action="${request.url}"><label>Who <input name="who"></label>
<button name="decision" value="go">Go on</button><button name="decision" value="stop">Stop</button></form>`);
    return;
  }
  let body = '';
  for await (const chunk of request) body += chunk;
  const form = new URLSearchParams(body);
  const result = form.get('decision') === 'stop'
    ? { error: 'access_denied', error_description: 'the person said no' }
    : { login: { accountId: form.get('who') } };
  await provider.interactionFinished(request, response, result);
}

/** Puts another ID token in the place of the one that is answered. */
function spoil(response) {
  const { claims, alg, kid } = spoiled;
  spoiled = undefined;
  const end = response.end.bind(response);
  response.end = async (chunk) => {
    const answer = JSON.parse(chunk);
    const said = JSON.parse(Buffer.from(answer.id_token.split('.')[1], 'base64url'));
    for (const [name, value] of Object.entries(claims ?? {})) {
      if (value === null) delete said[name];
      else said[name] = value;
    }
    answer.id_token = alg === 'none'
      ? new UnsecuredJWT(said).encode()
      : await new CompactSign(new TextEncoder().encode(JSON.stringify(said)))
          .setProtectedHeader({ alg: 'RS256', kid: kid ?? key.kid })
          .sign(key.private);
    const text = JSON.stringify(answer);
    response.setHeader('content-length', Buffer.byteLength(text));
    end(text);
  };
}

tell({ issuer });
for (;;) {
  const line = await hear().catch(() => undefined);
  if (!line || line.do === 'end') break;
  if (line.do === 'serve') {
    facts.clients = line.clients;
    await rotate();
  } else if (line.do === 'rotate') await rotate();
  else if (line.do === 'person') people[line.who] = line.claims;
  else if (line.do === 'spoil') spoiled = line;
  else if (line.do === 'answer') instead.set(line.path, line);
  else if (line.do === 'behave') instead.clear();
  tell({ done: line.do });
}
server.close();
server.closeAllConnections();
done();
