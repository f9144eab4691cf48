"""Signs random requests with botocore's signers, and says what would go over the wire. One line comes, with a seed and a
number; one line goes for each request."""

import hashlib
import json
import random
import sys
from urllib.parse import quote

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ODD = " ~*+/=&%'()!,:@$?#[]\"<>^`{|}äß漢字🙂"
PLAIN = "abcXYZ019-_."


def text(rng, alphabet, longest=12):
    return "k" + "".join(rng.choice(alphabet) for _ in range(rng.randint(0, longest)))


def query(rng):
    pairs = [(text(rng, PLAIN + ODD), text(rng, PLAIN + ODD) if rng.random() < 0.8 else "") for _ in range(rng.randint(0, 5))]
    # The same name again: with another value, with the same, or with none and without the sign before it.
    pairs += [(name, rng.choice([value, text(rng, PLAIN), ""])) for name, value in pairs if rng.random() < 0.2]
    pieces = [quote(name, safe="-_.~") + "=" + quote(value, safe="-_.~") for name, value in pairs]
    return "&".join(piece.removesuffix("=") if rng.random() < 0.5 else piece for piece in pieces)


def signed(rng):
    service = rng.choice(["s3", "s3", "dynamodb", "sqs", "lambda", "sts"])
    path = "/" + "/".join(quote(text(rng, PLAIN + ODD), safe="-_.~") for _ in range(rng.randint(0, 4)))
    target = path + ("?" + found if (found := query(rng)) else "")
    body = text(rng, PLAIN + ODD).encode() if rng.random() < 0.7 else b""
    headers = {"Host": "127.0.0.1:8080", "X-Amz-Meta-Note": "  two  blanks " + text(rng, PLAIN)}
    headers["Content-Type"] = rng.choice(["application/x-amz-json-1.0", "text/plain; charset=utf-8"])
    request = AWSRequest(rng.choice(["GET", "PUT", "POST", "DELETE"]), "http://127.0.0.1:8080" + target, headers, body)
    secret = text(rng, PLAIN, 40)
    credentials = Credentials("STS." + text(rng, "abcXYZ019", 24), secret, text(rng, PLAIN, 60))
    signer = S3SigV4Auth if service == "s3" else SigV4Auth
    signer(credentials, service, rng.choice(["eu-central-1", "us-east-1"])).add_auth(request)
    payload = request.headers.get("X-Amz-Content-SHA256") or hashlib.sha256(body).hexdigest()
    lines = {name.lower(): value for name, value in request.headers.items()}
    return {"method": request.method, "target": target, "headers": lines, "payload": payload, "secret": secret}


asked = json.loads(sys.stdin.readline())
rng = random.Random(asked["seed"])
for _ in range(asked["count"]):
    print(json.dumps(signed(rng)), flush=True)
