"""boto3, unmodified, before a sidecar; behind it moto's server, which checks every signature that reaches it. This
script plays the upstream's administrator and the application; each line is JSON.

Told {}: starts moto and tells what the sidecar needs. Told {"sidecar", "credentials", "run"}: does that run with them.
Told {"run": "asked"}: tells what moto was asked for roles. Told {"run": "count"}: tells how many requests have come to it,
whatever it made of them."""

import hashlib
import hmac
import io
import json
import os
import sys
import urllib.parse
import zipfile
from datetime import datetime, timezone

import boto3
import requests
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.core.config import default_user_config
from moto.iam.access_control import IAMRequest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from moto.server import ThreadedMotoServer
from moto.sts.responses import TokenResponse

ANYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
KEYS = ["plain.txt", "a b/ü.txt", "x+y=z&.txt", "pa(r)en's!*~.txt", "a:b@c,d$e", "ends in a slash/", "100% sure.txt"]


def hear():
    return json.loads(sys.stdin.readline())


def tell(value):
    print(json.dumps(value), flush=True)


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def client(service, url, credentials, **more):
    """One that is given an endpoint; or, where `url` is a pair, AWS's own endpoints through a proxy."""
    verify = None
    if isinstance(url, list):
        proxy, verify = url
        # The sidecar takes buckets by their path.
        more |= {"proxies": {"https": proxy}, "s3": {"addressing_style": "path"}}
        url = None
    config = Config(retries={"max_attempts": 2, "mode": "standard"}, **more)
    return boto3.client(
        service,
        endpoint_url=url,
        verify=verify,
        region_name="eu-central-1",
        aws_access_key_id=credentials["accessKeyId"],
        aws_secret_access_key=credentials["accessKeySecret"],
        aws_session_token=credentials.get("securityToken"),
        config=config,
    )


def refusal(call):
    """What boto3 says of a call that must fail."""
    try:
        call()
    except ClientError as error:
        answer = error.response
        message = answer["Error"].get("Message", "")
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        return {"code": answer["Error"]["Code"], "message": message, "status": status}
    return {"code": "none: it was allowed", "message": "", "status": 200}


class Stream(io.RawIOBase):
    """So many bytes that nobody holds at once."""

    def __init__(self, size):
        self.size, self.at = size, 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def tell(self):
        return self.at

    def seek(self, offset, whence=io.SEEK_SET):
        self.at = offset if whence == io.SEEK_SET else self.size + offset if whence == io.SEEK_END else self.at + offset
        return self.at

    def read(self, wanted=-1):
        left = self.size - self.at
        count = left if wanted is None or wanted < 0 else min(wanted, left)
        begin = self.at % len(PATTERN)
        self.at += count
        return (PATTERN * (count // len(PATTERN) + 2))[begin : begin + count]


def objects(s3):
    s3.create_bucket(Bucket="reports", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    back = {}
    for key in KEYS:
        s3.put_object(Bucket="reports", Key=key, Body=key.encode(), Metadata={"note": "two  blanks"})
        back[key] = s3.get_object(Bucket="reports", Key=key)["Body"].read().decode()
    listed = s3.list_objects_v2(Bucket="reports", Prefix="a b/", Delimiter="/")
    parts = s3.create_multipart_upload(Bucket="reports", Key="in parts/ü")
    done = []
    for number in (1, 2):
        body = bytes([number]) * (5 << 20)
        sent = s3.upload_part(
            Bucket="reports", Key="in parts/ü", UploadId=parts["UploadId"], PartNumber=number, Body=body
        )
        done.append({"ETag": sent["ETag"], "PartNumber": number})
    s3.complete_multipart_upload(
        Bucket="reports", Key="in parts/ü", UploadId=parts["UploadId"], MultipartUpload={"Parts": done}
    )
    s3.copy_object(Bucket="reports", Key="copy", CopySource={"Bucket": "reports", "Key": "a b/ü.txt"})
    s3.delete_objects(Bucket="reports", Delete={"Objects": [{"Key": "plain.txt"}]})
    return {
        "back": all(back[key] == key for key in KEYS),
        "listed": [entry["Key"] for entry in listed["Contents"]],
        "parts": s3.head_object(Bucket="reports", Key="in parts/ü")["ContentLength"],
        "copied": s3.get_object(Bucket="reports", Key="copy")["Body"].read().decode(),
        "buckets": [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]],
        "deleted": refusal(lambda: s3.get_object(Bucket="reports", Key="plain.txt"))["code"],
    }


def allowed(url, credentials):
    of = lambda service: client(service, url, credentials)
    who = of("sts").get_caller_identity()
    dynamodb, sqs = of("dynamodb"), of("sqs")
    dynamodb.create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.put_item(TableName="orders", Item={"id": {"S": "ü"}, "n": {"N": "1"}})
    batch = {"orders": [{"PutRequest": {"Item": {"id": {"S": str(n)}}}} for n in range(3)]}
    dynamodb.batch_write_item(RequestItems=batch)
    queue = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="do it & be done")
    return {
        "who": who["Arn"],
        "objects": objects(of("s3")),
        "items": dynamodb.scan(TableName="orders", Select="COUNT")["Count"],
        "message": sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"],
        "instances": len(of("ec2").describe_instances()["Reservations"]),
    }


def machines(url, credentials):
    """A function is made, looked at and run; a server is started and stopped."""
    functions, servers = client("lambda", url, credentials), client("ec2", url, credentials)
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("resize.py", "def run(event, _):\n    return event\n")
    functions.create_function(
        FunctionName="resize",
        Runtime="python3.12",
        Role="arn:aws:iam::123456789012:role/reader",
        Handler="resize.run",
        Code={"ZipFile": code.getvalue()},
    )
    ran = functions.invoke(FunctionName="resize", Payload=json.dumps({"width": "ü"}).encode())
    server = servers.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    stopped = servers.stop_instances(InstanceIds=[server])["StoppingInstances"][0]
    reservations = servers.describe_instances(InstanceIds=[server])["Reservations"]
    return {
        "listed": [function["FunctionName"] for function in functions.list_functions()["Functions"]],
        "handler": functions.get_function(FunctionName="resize")["Configuration"]["Handler"],
        "ran": ran["Payload"].read().decode(),
        "server": server,
        "stopped": stopped["InstanceId"],
        "state": reservations[0]["Instances"][0]["State"]["Name"],
    }


def each(url, credentials):
    """One call of each service that was granted, if it is refused."""
    of = lambda service: client(service, url, credentials)
    return {
        "s3": refusal(lambda: of("s3").list_buckets()),
        "sts": refusal(lambda: of("sts").get_caller_identity()),
        "dynamodb": refusal(lambda: of("dynamodb").scan(TableName="orders")),
        "sqs": refusal(lambda: of("sqs").list_queues()),
        "ec2": refusal(lambda: of("ec2").describe_instances()),
    }


def refused(url, credentials):
    of = lambda service: client(service, url, credentials)
    wrong = dict(credentials, accessKeySecret="x" * 43)
    foreign = dict(credentials, accessKeyId="STS.somebodyelse0000000000000")
    s3, dynamodb, sqs, sts = of("s3"), of("dynamodb"), of("sqs"), of("sts")
    return {
        "s3": refusal(lambda: s3.put_bucket_policy(Bucket="reports", Policy="{}")),
        "ec2": refusal(lambda: of("ec2").run_instances(ImageId="ami-1", MinCount=1, MaxCount=1)),
        "dynamodb": refusal(lambda: dynamodb.put_resource_policy(ResourceArn=table("123456789012"), Policy="{}")),
        "lambda": refusal(lambda: of("lambda").list_functions()),
        "service": refusal(lambda: of("kms").list_keys()),
        "unknown": refusal(lambda: of("ec2").describe_spot_price_history()),
        "statement": refusal(lambda: dynamodb.execute_statement(Statement="SELECT * FROM orders")),
        "other_account": refusal(lambda: dynamodb.get_item(TableName=table("999999999999"), Key={"id": {"S": "1"}})),
        "other_queue": refusal(lambda: sqs.purge_queue(QueueUrl=f"{url}/999999999999/jobs")),
        "open_queue": refusal(lambda: sqs.create_queue(QueueName="open", Attributes={"Policy": policy(ANYTHING)})),
        "foreign_key": refusal(lambda: s3.put_object(Bucket="reports", Key="k", Body=b"", **FOREIGN_KEY)),
        "foreign_source": refusal(lambda: of("lambda").create_event_source_mapping(FunctionName="f", EventSourceArn=JOBS)),
        "rights": refusal(lambda: s3.put_object(Bucket="reports", Key="open", Body=b"", ACL="public-read")),
        "dots": refusal(lambda: s3.get_object(Bucket="reports", Key="../other/secret")),
        "wrong": refusal(lambda: client("dynamodb", url, wrong).list_tables()),
        "foreign": refusal(lambda: client("s3", url, foreign).list_buckets()),
        "unsigned": refusal(lambda: client("sts", url, {"accessKeyId": "AKIA0", "accessKeySecret": "x"}).get_caller_identity()),
        "presigned": presigned(s3),
    }


JOBS = "arn:aws:sqs:eu-central-1:999999999999:jobs"
FOREIGN_KEY = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:aws:kms:eu-central-1:999999999999:key/1"}


def declined(url, credentials):
    """What was not granted, and a host that is not for this sidecar; the same words whichever way they come."""
    of = lambda service: client(service, url, credentials)
    return {
        "s3": refusal(lambda: of("s3").put_bucket_policy(Bucket="reports", Policy="{}")),
        "ec2": refusal(lambda: of("ec2").run_instances(ImageId="ami-1", MinCount=1, MaxCount=1)),
        "lambda": refusal(lambda: of("lambda").list_functions()),
    }


def table(account):
    return f"arn:aws:dynamodb:eu-central-1:{account}:table/orders"


def presigned(s3):
    address = s3.generate_presigned_url("get_object", Params={"Bucket": "reports", "Key": "copy"})
    answer = requests.get(address, timeout=10)
    return {"status": answer.status_code, "message": answer.text, "code": ""}


class Signer:
    """Signature Version 4 by the description, for what boto3 does not send."""

    def __init__(self, url, credentials, at=None):
        self.url, self.credentials = urllib.parse.urlsplit(url), credentials
        self.at = at or datetime.now(timezone.utc)

    def key(self):
        key = ("AWS4" + self.credentials["accessKeySecret"]).encode()
        for part in (f"{self.at:%Y%m%d}", "eu-central-1", "s3", "aws4_request"):
            key = hmac.new(key, part.encode(), "sha256").digest()
        return key

    @property
    def scope(self):
        return f"{self.at:%Y%m%d}/eu-central-1/s3/aws4_request"

    @property
    def date(self):
        return f"{self.at:%Y%m%dT%H%M%SZ}"

    def sign(self, text):
        return hmac.new(self.key(), text.encode(), "sha256").hexdigest()

    def headers(self, method, path, payload, more=None):
        headers = {"host": self.url.netloc, "x-amz-date": self.date, "x-amz-content-sha256": payload}
        headers["x-amz-security-token"] = self.credentials["securityToken"]
        headers.update(more or {})
        names = sorted(headers)
        lines = "".join(f"{name}:{headers[name]}\n" for name in names)
        canonical = f"{method}\n{path}\n\n{lines}\n{';'.join(names)}\n{payload}"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        signature = self.sign(f"AWS4-HMAC-SHA256\n{self.date}\n{self.scope}\n{hashed}")
        credential = f"{self.credentials['accessKeyId']}/{self.scope}"
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={';'.join(names)}, Signature={signature}"
        )
        return headers, signature

    def chunks(self, body, size, seed):
        """The body in signed chunks."""
        nothing = hashlib.sha256(b"").hexdigest()
        previous = seed
        for at in [*range(0, len(body), size), len(body)]:
            piece = body[at : at + size]
            hashed = hashlib.sha256(piece).hexdigest()
            text = f"AWS4-HMAC-SHA256-PAYLOAD\n{self.date}\n{self.scope}\n{previous}\n{nothing}\n{hashed}"
            previous = self.sign(text)
            yield f"{len(piece):x};chunk-signature={previous}\r\n".encode() + piece + b"\r\n"

    def put(self, path, payload, body, more=None):
        headers, _ = self.headers("PUT", path, payload, more)
        return requests.put(urllib.parse.urlunsplit(self.url) + path, data=body, headers=headers, timeout=30)


def by_hand(url, credentials, moto):
    """Bodies that are signed in other ways, and signatures that are no good."""
    signer, body = Signer(url, credentials), bytes(range(256)) * 1000
    kept = client("s3", moto["url"], moto["administrator"])
    read = lambda key: kept.get_object(Bucket="reports", Key=key)["Body"].read()
    more = {"x-amz-decoded-content-length": str(len(body)), "content-encoding": "aws-chunked"}
    headers, seed = signer.headers("PUT", "/reports/chunked", CHUNKED, more)
    framed = b"".join(signer.chunks(body, 65536, seed))
    put = lambda path, headers, body: requests.put(url + path, data=body, headers=headers, timeout=30)
    chunked = put("/reports/chunked", headers, framed)
    headers, seed = signer.headers("PUT", "/reports/forged", CHUNKED, more)
    forged = b"".join(signer.chunks(body, 65536, seed)).replace(body[:32], b"x" * 32, 1)
    forged = broken(lambda: put("/reports/forged", headers, forged))
    hashed = hashlib.sha256(body).hexdigest()
    headers, _ = signer.headers("PUT", "/reports/other", hashed)
    other = broken(lambda: put("/reports/other", headers, body[:-1] + b"x"))
    long = body * 12
    headers, _ = signer.headers("PUT", "/reports/other-long", hashlib.sha256(long).hexdigest())
    long = broken(lambda: put("/reports/other-long", headers, long[:-1] + b"x"))
    headers, _ = signer.headers("PUT", "/reports/once", hashed)
    once = [put("/reports/once", headers, body) for _ in range(2)]
    late = Signer(url, credentials, datetime.fromtimestamp(signer.at.timestamp() - 1000, timezone.utc))
    left_out, _ = signer.headers("PUT", "/reports/open", hashed)
    left_out["x-amz-website-redirect-location"] = "/evil"
    missing = lambda key: refusal(lambda: read(key))["code"] == "NoSuchKey"
    return {
        "chunked": [chunked.status_code, read("chunked") == body],
        "encoding": kept.head_object(Bucket="reports", Key="chunked").get("ContentEncoding", ""),
        "unsigned": [signer.put("/reports/unsigned", "UNSIGNED-PAYLOAD", body).status_code, read("unsigned") == body],
        "forged": [forged, missing("forged")],
        "other": [other, missing("other")],
        "other_long": [long, missing("other-long")],
        "replayed": [answer.status_code for answer in once] + [code(once[1])],
        "late": code(late.put("/reports/late", hashed, body)),
        "left_out": code(put("/reports/open", left_out, body)),
    }


def broken(send):
    """Whether the sidecar refused or broke off."""
    try:
        return send().status_code >= 400
    except requests.exceptions.RequestException:
        return True


def code(answer):
    return answer.text.partition("<Code>")[2].partition("</Code>")[0]


PATTERN = bytes(range(251)) * 4096
CHUNKED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"


def large(url, credentials):
    """100 MB in one piece, up and down."""
    s3, size = client("s3", url, credentials), 100 << 20
    s3.put_object(Bucket="reports", Key="large", Body=Stream(size))
    body, got, same = s3.get_object(Bucket="reports", Key="large")["Body"], 0, Stream(size)
    for piece in body.iter_chunks(1 << 20):
        got += len(piece) if piece == same.read(len(piece)) else 0
    return {"size": size, "got": got}


ASKED = []
COME = []


def written_down(answer):
    """What moto's STS is asked for a role, and answers as ever."""

    def assume_role(self):
        ASKED.append({name: values[0] for name, values in self.querystring.items()})
        return answer(self)

    return assume_role


def without_a_body(verified):
    """moto takes what it has read of a path for the body where there is none, and verifies no GET of Lambda by that."""

    def _create_aws_request(self):
        self._data = {} if self._service == "lambda" else self._data
        return verified(self)

    return _create_aws_request


def counted(answer):
    """What comes to moto, which answers as ever."""

    def called(self, environ, start_response):
        COME.append(environ["PATH_INFO"])
        return answer(self, environ, start_response)

    return called


def moto():
    """The upstream, with a role that a sidecar may assume; from then on it checks every signature."""
    DomainDispatcherApplication.__call__ = counted(DomainDispatcherApplication.__call__)
    IAMRequest._create_aws_request = without_a_body(IAMRequest._create_aws_request)
    # Functions answer with what they are given, and need no container for that.
    default_user_config["lambda"]["use_docker"] = False
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    iam = client("iam", url, {"accessKeyId": "any", "accessKeySecret": "any"})
    users = {}
    for name, statement in (("sidecar", dict(ANYTHING, Action="sts:AssumeRole")), ("administrator", ANYTHING)):
        arn = iam.create_user(UserName=name)["User"]["Arn"]
        iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=policy(statement))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        users[name] = {"accessKeyId": key["AccessKeyId"], "accessKeySecret": key["SecretAccessKey"], "arn": arn}
    trust = {"Effect": "Allow", "Principal": {"AWS": users["sidecar"]["arn"]}, "Action": "sts:AssumeRole"}
    for name in ("consentry", "reader"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))
        iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=policy(ANYTHING))
    TokenResponse.assume_role = written_down(TokenResponse.assume_role)
    requests.post(url + "/moto-api/reset-auth", data="0", timeout=10).raise_for_status()
    return {"url": url, **users}


def main():
    # What moto writes of itself goes nowhere near the lines.
    out, sys.stdout = sys.stdout, open(os.devnull, "w", encoding="utf-8")
    hear()
    upstream = moto()
    sys.stdout = out
    tell(upstream)
    runs = {"allowed": allowed, "refused": refused, "declined": declined, "large": large, "machines": machines, "each": each}
    while True:
        line = sys.stdin.readline()
        if not line:
            os._exit(0)
        asked = json.loads(line)
        if asked["run"] == "by_hand":
            tell(by_hand(asked["sidecar"], asked["credentials"], upstream))
        elif asked["run"] == "one":
            tell(refusal(lambda: client("s3", asked["sidecar"], asked["credentials"]).list_buckets()))
        elif asked["run"] == "asked":
            tell(ASKED)
        elif asked["run"] == "count":
            tell(len(COME))
        elif asked["run"] == "end":
            os._exit(0)
        else:
            tell(runs[asked["run"]](asked["sidecar"], asked["credentials"]))


main()
