"""Sends random requests with the cloud's Python SDKs, as they ship, to a server of this script, and says what came over
the wire. One line comes, with a seed, a number and a key; one line goes for each request."""

import base64
import json
import random
import sys
import warnings

from aliyunsdkcore.auth.credentials import StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest, RoaRequest
from alibabacloud_tea_openapi import utils_models
from alibabacloud_tea_openapi.client import Client
from alibabacloud_tea_openapi.models import Config
from alibabacloud_tea_openapi.utils import Utils
from darabonba.runtime import RuntimeOptions

from sdk_wire import ODD, PLAIN, Wire, maybe_empty, text

warnings.simplefilter("ignore")
QUICK = RuntimeOptions(autoretry=False, read_timeout=30000, connect_timeout=30000)


def parameters(rng, most, alphabet=PLAIN + ODD):
    """None of them means anything to the product."""
    return {f"X{number}.{text(rng, PLAIN, 6)}": maybe_empty(rng, alphabet) for number in range(rng.randint(0, most))}


def body(rng):
    """Its kind, and what it says."""
    kind = rng.choice(["none", "json", "formData", "byte"])
    if kind == "json":
        return kind, {"note": text(rng, PLAIN + ODD, 200), "list": [1, None, text(rng, ODD)]}
    if kind == "formData":
        return kind, parameters(rng, 3) or {"X": "y"}
    if kind == "byte":
        return kind, text(rng, PLAIN + ODD, 200).encode()
    return "json", None


def generated(rng, wire, key, first):
    """The client that all generated ones are made of, with the third signature or the first."""
    config = Config(endpoint=wire.address, protocol="HTTP", region_id="cn-hangzhou")
    config.access_key_id, config.access_key_secret = key["accessKeyId"], key["accessKeySecret"]
    config.security_token = key["securityToken"]
    if first:
        config.signature_algorithm = "v2"
    style = rng.choice(["RPC", "ROA"])
    kind, said = body(rng)
    if first:
        # Of parameters it covers forms alone; of headers it would cover a body by an MD5, which this client does not send.
        kind, said = ("formData", parameters(rng, 3) or {"X": "y"}) if style == "RPC" and said else ("json", None)
    # The signature of headers writes parameters as they are, so that these could be taken for what parts them.
    plain_query = first and style == "ROA"
    if style == "RPC":
        method = rng.choice(["GET", "POST"]) if said is None else "POST"
        action, version, pathname = "DescribeInstances", "2014-05-26", "/"
    else:
        method = rng.choice(["GET", "DELETE"]) if said is None else rng.choice(["POST", "PUT"])
        action, version = {"GET": "GetThing", "DELETE": "DeleteThing", "POST": "AskThing", "PUT": "PutThing"}[method], "2020-01-01"
        pathname = "/things/" + "/".join(Utils.get_encode_param("k" + text(rng, PLAIN + ODD)) for _ in range(rng.randint(1, 2)))
    headers = {"x-acs-note": text(rng, PLAIN) + "  two  blanks" + rng.choice(["", " ", "\t"])}
    if first:
        headers = {}
    params = utils_models.Params(
        action=action, version=version, protocol="HTTP", pathname=pathname, method=method, auth_type="AK",
        body_type="json", req_body_type=kind, style=style,
    )
    query = parameters(rng, 5, PLAIN + " ~*+/äß漢" if plain_query else PLAIN + ODD)
    request = utils_models.OpenApiRequest(query=query, headers=headers, body=said)
    Client(config).call_api(params, request, QUICK)


def core(rng, wire, key):
    """The older core, with its first signature."""
    credential = StsTokenCredential(key["accessKeyId"], key["accessKeySecret"], key["securityToken"])
    client = AcsClient(region_id="cn-hangzhou", credential=credential, auto_retry=False, timeout=30)
    if rng.random() < 0.5:
        request = CommonRequest(domain=wire.address, version="2014-05-26", action_name="DescribeInstances")
        request.set_method(rng.choice(["GET", "POST"]))
        for name, value in parameters(rng, 4).items():
            request.add_query_param(name, value)
        if request.get_method() == "POST":
            for name, value in parameters(rng, 3).items():
                request.add_body_params("B" + name, value)
    else:
        method = rng.choice(["GET", "POST", "PUT"])
        action = {"GET": "GetThing", "POST": "AskThing", "PUT": "PutThing"}[method]
        request = RoaRequest("Things", "2020-01-01", action, method=method, uri_pattern="/things/[Id]")
        request.add_path_param("Id", "k" + text(rng, PLAIN))
        for name, value in parameters(rng, 3, PLAIN + " ~*+/äß漢").items():
            request.add_query_param(name, value)
        if method != "GET":
            request.set_content(text(rng, PLAIN + ODD, 100).encode())
            request.set_content_type(rng.choice(["application/json", "text/plain; charset=utf-8"]))
    request.set_endpoint(wire.address)
    request.set_protocol_type("http")
    client.do_action_with_exception(request)


CLIENTS = {
    "third": lambda rng, wire, key: generated(rng, wire, key, False),
    "first": lambda rng, wire, key: generated(rng, wire, key, True),
    "core": core,
}
asked = json.loads(sys.stdin.readline())
rng, wire = random.Random(asked["seed"]), Wire()
for _ in range(asked["count"]):
    name = rng.choice(list(CLIENTS))
    head, said = wire.sent_by(lambda: CLIENTS[name](rng, wire, asked["key"]))
    print(json.dumps({"client": name, "head": head, "body": base64.b64encode(said).decode()}), flush=True)
