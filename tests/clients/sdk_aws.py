"""Sends random requests, signed and sent by botocore, to a server of this script, and says what came over the wire. One
line comes, with a seed, a number and a key; one line goes for each request."""

import base64
import json
import random
import sys
from urllib.parse import quote

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session

from sdk_wire import ODD, PLAIN, Wire, maybe_empty, text

SHOWN = ["response-content-type", "response-content-disposition", "response-expires", "versionId"]


def pairs(rng, names):
    """Of a query: some names without a value, some with an empty one."""
    chosen = rng.sample(names, rng.randint(0, len(names)))
    values = {name: maybe_empty(rng, PLAIN + ODD) for name in chosen}
    return "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in values.items())


def s3(rng):
    key = "/".join(quote("k" + text(rng, PLAIN + ODD), safe="-_.~") for _ in range(rng.randint(1, 3)))
    method = rng.choice(["GET", "PUT", "DELETE", "HEAD"])
    body = text(rng, PLAIN + ODD, 300).encode() if method == "PUT" else b""
    headers = {"X-Amz-Meta-Note": rng.choice(["", " ", "\t"]) + " two  blanks\t" + text(rng, PLAIN)}
    if method == "PUT":
        headers["Content-Type"] = "text/plain; charset=utf-8"
    query = pairs(rng, SHOWN) if method == "GET" else ""
    if method == "GET" and rng.random() < 0.2:
        query = rng.choice(["tagging", "tagging="])
    return "s3", method, f"/reports/{key}", query, headers, body


def listing(rng):
    query = "&".join(filter(None, ["list-type=2", pairs(rng, ["prefix", "delimiter", "start-after"])]))
    return "s3", "GET", "/reports", query, {}, b""


def dynamodb(rng):
    headers = {"X-Amz-Target": "DynamoDB_20120810.PutItem", "Content-Type": "application/x-amz-json-1.0"}
    item = {"id": {"S": text(rng, PLAIN + ODD, 300)}}
    return "dynamodb", "POST", "/", "", headers, json.dumps({"TableName": "orders", "Item": item}, ensure_ascii=rng.random() < 0.5).encode()


def ec2(rng):
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    fields = {"Action": "DescribeInstances", "Version": "2016-11-15", "Filter.1.Value.1": maybe_empty(rng, PLAIN + ODD)}
    form = "&".join(f"{name}={quote(value, safe='-_.~')}" for name, value in fields.items())
    return "ec2", "POST", "/", "", headers, form.encode()


asked = json.loads(sys.stdin.readline())
rng, wire, session = random.Random(asked["seed"]), Wire(), URLLib3Session(timeout=30)
key = asked["key"]
credentials = Credentials(key["accessKeyId"], key["accessKeySecret"], key["securityToken"])
for _ in range(asked["count"]):
    service, method, path, query, headers, body = rng.choice([s3, s3, listing, dynamodb, ec2])(rng)
    request = AWSRequest(method, f"http://{wire.address}{path}" + (f"?{query}" if query else ""), headers, body)
    (S3SigV4Auth if service == "s3" else SigV4Auth)(credentials, service, "eu-central-1").add_auth(request)
    head, said = wire.sent_by(lambda: session.send(request.prepare()))
    print(json.dumps({"client": service, "head": head, "body": base64.b64encode(said).decode()}), flush=True)
