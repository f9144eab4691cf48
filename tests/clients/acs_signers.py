"""Signs random requests with the signers of the cloud's Python SDKs, and says what would go over the wire. One line
comes, with a seed and a number; one line goes for each request."""

import json
import random
import sys

from aliyunsdkcore.auth.composer import roa_signature_composer as roa
from aliyunsdkcore.auth.composer import rpc_signature_composer as rpc
from alibabacloud_tea_openapi.utils import Utils
from darabonba.core import DaraCore
from darabonba.request import DaraRequest

ODD = " ~*+/=&%'()!,;:@$?#[]\"<>\\^`{|}äß漢字🙂"
PLAIN = "abcXYZ019-_."


def text(rng, alphabet, longest=12):
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(1, longest)))


def name(rng):
    return text(rng, PLAIN, 8) + rng.choice(["", ".1", ".2.Key"])


def values(rng, most=6, alphabet=PLAIN + ODD):
    return {name(rng): text(rng, alphabet) if rng.random() < 0.8 else "" for _ in range(rng.randint(0, most))}


def key(rng):
    return "STS." + text(rng, "abcXYZ019", 24), text(rng, PLAIN, 40)


def acs3(rng):
    access_key_id, secret = key(rng)
    request = DaraRequest()
    request.protocol, request.port = "http", 80
    request.method = rng.choice(["GET", "POST", "PUT", "DELETE"])
    request.pathname = "/" + "/".join(Utils.get_encode_param(text(rng, PLAIN + ODD)) for _ in range(rng.randint(0, 3)))
    request.query = values(rng)
    request.headers = {
        "host": "127.0.0.1:8080",
        "x-acs-action": "Describe" + text(rng, "abc"),
        "x-acs-version": "2014-05-26",
        "x-acs-signature-nonce": text(rng, PLAIN, 32),
        "accept": "application/json",
        "user-agent": "  an agent/1 ",
    }
    payload = Utils.hash(text(rng, PLAIN + ODD).encode(), "ACS3-HMAC-SHA256").hex()
    request.headers["x-acs-content-sha256"] = payload
    authorization = Utils.get_authorization(request, "ACS3-HMAC-SHA256", payload, access_key_id, secret)
    url = DaraCore.compose_url(request)
    return {
        "scheme": "acs3", "method": request.method, "target": url[url.index("/", 8):], "secret": secret, "body": payload,
        "headers": request.headers, "signature": authorization.rsplit("=", 1)[1], "access_key_id": access_key_id,
    }


def acs1_rpc(rng):
    access_key_id, secret = key(rng)
    method, body = rng.choice(["GET", "POST"]), values(rng, 3)
    params = dict(values(rng), Action="DescribeInstances", Version="2014-05-26")
    params = {k: v for k, v in params.items() if k not in body}
    target, _ = rpc.get_signed_url(params, access_key_id, secret, "JSON", method, body)
    return {"scheme": "acs1-rpc", "method": method, "target": target, "secret": secret, "form": rpc.urlencode(body)}


def acs1_roa(rng):
    access_key_id, secret = key(rng)
    method, path = rng.choice(["GET", "POST", "PUT"]), "/" + text(rng, PLAIN) + "/" + text(rng, PLAIN)
    # Its signers write parameters as they are, so that these could be taken for what parts them.
    query = values(rng, 4, PLAIN + " ~*+/%äß漢")
    headers = {"x-acs-version": "2015-12-15", "x-acs-region-id": "cn-hangzhou", "Content-Type": "application/json"}
    signed, _ = roa.get_signature_headers(dict(query), access_key_id, secret, "JSON", headers, path, None, method)
    return {
        "scheme": "acs1-roa", "method": method, "target": roa.get_url(path, query, None), "secret": secret,
        "headers": signed, "signature": signed["Authorization"].rsplit(":", 1)[1],
    }


asked = json.loads(sys.stdin.readline())
rng = random.Random(asked["seed"])
for _ in range(asked["count"]):
    print(json.dumps(rng.choice([acs3, acs1_rpc, acs1_roa])(rng)), flush=True)
