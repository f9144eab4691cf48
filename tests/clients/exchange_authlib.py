"""Authlib as the client of a token exchange (RFC 8693): a token of the application's own becomes a narrower one, which
works for less; a wider one is not to be had; after the end of the authorization, none at all. The test has the
application authorized, and says when it was deleted; each line is JSON."""

import json
import sys

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


def hear():
    return json.loads(sys.stdin.readline())


def tell(value):
    print(json.dumps(value), flush=True)


def main():
    facts = hear()
    metadata = requests.get(facts["issuer"] + "/.well-known/oauth-authorization-server", timeout=10).json()
    client = OAuth2Session(facts["client_id"], facts["client_secret"])

    def exchange(**more):
        asked = {"subject_token": facts["token"], "subject_token_type": ACCESS_TOKEN, **more}
        try:
            return dict(client.fetch_token(metadata["token_endpoint"], grant_type=GRANT_TYPE, **asked))
        except OAuthError as error:
            return {"error": error.error}

    def status(method, url, token):
        headers = {"authorization": "Bearer " + token}
        return requests.request(method, url, headers=headers, timeout=10).status_code

    narrow = exchange(scope=facts["scope"], resource=facts["resource"])
    tell(
        {
            "supported": metadata["grant_types_supported"],
            "narrow": narrow,
            "allowed": status("GET", facts["allowed"], narrow["access_token"]),
            "refused": status("POST", facts["refused"], narrow["access_token"]),
            "refused_before": status("POST", facts["refused"], facts["token"]),
            "wider": exchange(scope=facts["wider"]).get("error"),
            "elsewhere": exchange(resource="https://elsewhere.example/").get("error"),
            "no_token": exchange(subject_token="nonsense").get("error"),
        }
    )
    hear()
    tell(
        {
            "exchange": exchange(scope=facts["scope"]).get("error"),
            "call": status("GET", facts["allowed"], narrow["access_token"]),
        }
    )


main()
