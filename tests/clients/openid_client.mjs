// openid-client as a relying party: discovery, PKCE, nonce, the ID token's signature, userinfo, introspection,
// a call through the sidecar, refresh, revocation. The test plays the person who authorizes.
import * as client from 'openid-client';
import { done, hear, tell } from './lines.mjs';

const facts = await hear();
const authentication = facts.client_secret ? client.ClientSecretBasic(facts.client_secret) : client.None();
const config = await client.discovery(new URL(facts.issuer), facts.client_id, undefined, authentication, {
  execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
});

const verifier = client.randomPKCECodeVerifier();
const state = client.randomState();
const nonce = client.randomNonce();
const authorize = client.buildAuthorizationUrl(config, {
  redirect_uri: facts.redirect_uri,
  scope: facts.scope,
  code_challenge: await client.calculatePKCECodeChallenge(verifier),
  code_challenge_method: 'S256',
  access_type: 'offline',
  state,
  nonce,
});
tell({ authorize: authorize.href });
const { redirect } = await hear();

const call = async (url, token) => {
  const answer = await fetch(url, {
    method: url === facts.refused ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${token}` },
  });
  return { status: answer.status };
};

try {
  const tokens = await client.authorizationCodeGrant(config, new URL(redirect), {
    pkceCodeVerifier: verifier,
    expectedState: state,
    expectedNonce: nonce,
    idTokenExpected: true,
  });
  const claims = tokens.claims();
  const userinfo = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
  const introspection = await client.tokenIntrospection(config, tokens.access_token);
  const found = {
    claims,
    userinfo,
    introspection,
    call: await call(facts.allowed, tokens.access_token),
    refused: await call(facts.refused, tokens.access_token),
  };
  const fresh = await client.refreshTokenGrant(config, tokens.refresh_token);
  found.refreshed_call = await call(facts.allowed, fresh.access_token);
  await client.tokenRevocation(config, fresh.refresh_token);
  try {
    await client.refreshTokenGrant(config, fresh.refresh_token);
  } catch (error) {
    found.after_revocation = error.error;
  }
  tell(found);
} catch (error) {
  // The library's own words for what came back.
  tell({ error: error.error ?? `${error.code}: ${error.message} (${error.cause?.message ?? ''})` });
}
done();
