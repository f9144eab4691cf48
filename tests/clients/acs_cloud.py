"""Alibaba Cloud as an upstream: a security token service and an API that verifies ACS3-HMAC-SHA256 by the cloud's own
description, with code of its own. Each line is JSON.

Told {}: tells {"url", "key"}. Told {"seen"}: tells what has arrived. Told {"longer"}: from then on its roles last twice as
long as they are asked for. Told {"end"}: ends."""

import hashlib
import hmac
import json
import secrets
import sys
import threading
import urllib.parse
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = {"accessKeyId": "LTAI0000", "accessKeySecret": "the-sidecars-own"}
GIVEN = {}
SEEN = []
LONGER = [1]


def quoted(text):
    return urllib.parse.quote(text, safe="~")


def verified(method, target, headers, body):
    """Whose key signed the request, or why it did not."""
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    parts = dict(part.split("=", 1) for part in rest.split(",") if "=" in part)
    key_id, names = parts.get("Credential", ""), parts.get("SignedHeaders", "").split(";")
    secret = {KEY["accessKeyId"]: KEY["accessKeySecret"], **{id: one["secret"] for id, one in GIVEN.items()}}.get(key_id)
    if scheme != "ACS3-HMAC-SHA256" or secret is None:
        return None, "unknown key"
    if key_id in GIVEN and headers.get("x-acs-security-token") != GIVEN[key_id]["token"]:
        return None, "another token"
    decides = [name for name in headers if name == "host" or name.startswith("x-acs-")]
    if any(name not in names for name in decides) or names != sorted(names):
        return None, "a header is not signed"
    hashed = hashlib.sha256(body).hexdigest()
    if headers.get("x-acs-content-sha256") != hashed:
        return None, "another body"
    path, _, query = target.partition("?")
    pairs = sorted(urllib.parse.parse_qsl(query, keep_blank_values=True))
    query = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in pairs)
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{';'.join(names)}\n{hashed}"
    text = f"{scheme}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), text.encode(), "sha256").hexdigest()
    return (key_id, None) if signature == parts.get("Signature") else (None, "another signature")


class Cloud(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        key_id, why = verified(self.command, self.path, headers, body)
        form = dict(urllib.parse.parse_qsl(body.decode()))
        SEEN.append({"key": key_id, "why": why, "target": self.path, "headers": headers, "form": form})
        if key_id is None:
            return self.say(403, {"Code": "SignatureDoesNotMatch", "Message": why, "RequestId": "1"})
        if headers.get("x-acs-action") == "AssumeRole" and headers.get("x-acs-version") == "2015-04-01":
            return self.say(200, self.role(form))
        return self.say(200, {"RequestId": "1", "by": key_id})

    do_GET = do_POST

    def role(self, form):
        key_id = "STS." + secrets.token_hex(8)
        GIVEN[key_id] = {"secret": secrets.token_hex(16), "token": secrets.token_urlsafe(64)}
        credentials = {"AccessKeyId": key_id, "AccessKeySecret": GIVEN[key_id]["secret"]}
        end = datetime.now(timezone.utc) + timedelta(seconds=int(form["DurationSeconds"]) * LONGER[0])
        credentials |= {"SecurityToken": GIVEN[key_id]["token"], "Expiration": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
        session = form["RoleSessionName"]
        user = {"Arn": f"{form['RoleArn']}/{session}", "AssumedRoleId": f"300000000000001:{session}"}
        return {"RequestId": "1", "Credentials": credentials, "AssumedRoleUser": user}

    def say(self, status, answer):
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    sys.stdin.readline()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"url": f"http://127.0.0.1:{server.server_port}", "key": KEY}), flush=True)
    for line in sys.stdin:
        if "end" in json.loads(line):
            return
        if "longer" in line:
            LONGER[0] = 2
        print(json.dumps(SEEN), flush=True)


main()
