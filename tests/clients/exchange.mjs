// openid-client and oauth4webapi as the client of a token exchange (RFC 8693): a token of the application's own becomes
// a narrower one, which works for less; a wider one is not to be had; after the end of the authorization, none at all.
// The test has the application authorized, and says when it was deleted.
import * as client from 'openid-client';
import * as oauth from 'oauth4webapi';
import { done, hear, tell } from './lines.mjs';

const GRANT_TYPE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const facts = await hear();

const withOpenidClient = async () => {
  const config = await client.discovery(
    new URL(facts.issuer),
    facts.client_id,
    undefined,
    client.ClientSecretBasic(facts.client_secret),
    { execute: [client.allowInsecureRequests] },
  );
  const supported = config.serverMetadata().grant_types_supported;
  return { supported, ask: (parameters) => client.genericGrantRequest(config, GRANT_TYPE, parameters) };
};

const withOauth4webapi = async () => {
  const issuer = new URL(facts.issuer);
  const insecure = { [oauth.allowInsecureRequests]: true };
  const found = await oauth.discoveryRequest(issuer, { ...insecure, algorithm: 'oauth2' });
  const server = await oauth.processDiscoveryResponse(issuer, found);
  const self = { client_id: facts.client_id };
  const proof = oauth.ClientSecretBasic(facts.client_secret);
  const ask = async (parameters) => {
    const response = await oauth.genericTokenEndpointRequest(server, self, proof, GRANT_TYPE, parameters, insecure);
    return oauth.processGenericTokenEndpointResponse(server, self, response);
  };
  return { supported: server.grant_types_supported, ask };
};

const { supported, ask } = await (facts.library === 'oauth4webapi' ? withOauth4webapi() : withOpenidClient());

const exchange = async (more) => {
  try {
    return await ask({
      subject_token: facts.token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      ...more,
    });
  } catch (error) {
    return { error: error.error ?? `${error.code}: ${error.message}` };
  }
};
const status = async (method, url, token) => {
  const answer = await fetch(url, { method, headers: { authorization: `Bearer ${token}` } });
  return answer.status;
};

const narrow = await exchange({ scope: facts.scope, resource: facts.resource });
tell({
  supported,
  narrow,
  allowed: await status('GET', facts.allowed, narrow.access_token),
  refused: await status('POST', facts.refused, narrow.access_token),
  refused_before: await status('POST', facts.refused, facts.token),
  wider: (await exchange({ scope: facts.wider })).error,
  elsewhere: (await exchange({ resource: 'https://elsewhere.example/' })).error,
  no_token: (await exchange({ subject_token: 'nonsense' })).error,
});
await hear();
tell({
  exchange: (await exchange({ scope: facts.scope })).error,
  call: await status('GET', facts.allowed, narrow.access_token),
});
done();
