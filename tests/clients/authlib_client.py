"""Authlib as a relying party: PKCE, nonce, the ID token's signature, userinfo, introspection, a call through the
sidecar, refresh, revocation. The test plays the person who authorizes; each line is JSON."""

import json
import secrets
import sys

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet


def hear():
    return json.loads(sys.stdin.readline())


def tell(value):
    print(json.dumps(value), flush=True)


def read(address):
    answer = requests.get(address, timeout=10)
    answer.raise_for_status()
    return answer.json()


def verified(id_token, issuer, client_id, nonce, keys):
    """The claims of an ID token, once its signature and Authlib's own checks of its claims have passed."""
    token = jwt.decode(id_token, keys, algorithms=["RS256"])
    options = {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": client_id}}
    claims = CodeIDToken(token.claims, token.header, options, {"nonce": nonce, "client_id": client_id})
    claims.validate(leeway=30)
    return dict(claims)


def main():
    facts = hear()
    metadata = read(facts["issuer"] + "/.well-known/openid-configuration")
    keys = KeySet.import_key_set(read(metadata["jwks_uri"]))
    client = OAuth2Session(
        facts["client_id"],
        facts["client_secret"],
        scope=facts["scope"],
        redirect_uri=facts["redirect_uri"],
        code_challenge_method="S256",
    )
    verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    address, state = client.create_authorization_url(
        metadata["authorization_endpoint"], code_verifier=verifier, nonce=nonce, access_type="offline"
    )
    tell({"authorize": address})
    redirect = hear()["redirect"]
    token = client.fetch_token(
        metadata["token_endpoint"], authorization_response=redirect, state=state, code_verifier=verifier
    )
    found = {
        "claims": verified(token["id_token"], metadata["issuer"], facts["client_id"], nonce, keys),
        "userinfo": client.get(metadata["userinfo_endpoint"]).json(),
        "introspection": client.introspect_token(
            metadata["introspection_endpoint"], token=token["access_token"]
        ).json(),
        "call": {"status": client.get(facts["allowed"]).status_code},
        "refused": {"status": client.post(facts["refused"]).status_code},
    }
    token = client.refresh_token(metadata["token_endpoint"], token["refresh_token"])
    found["refreshed_call"] = {"status": client.get(facts["allowed"]).status_code}
    client.revoke_token(metadata["revocation_endpoint"], token=token["refresh_token"]).raise_for_status()
    try:
        client.refresh_token(metadata["token_endpoint"], token["refresh_token"])
    except OAuthError as error:
        found["after_revocation"] = error.error
    tell(found)


main()
