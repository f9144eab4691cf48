"""boto3, unmodified, asks a sidecar for a role's credentials as it would ask AWS, and works with what it gets: nothing is
configured but endpoints. Each line that comes is one thing to do; each line that goes is what became of it."""

import json
import sys

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError


def client(service, url, credentials=None):
    config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
    keys = {}
    if credentials is None:
        config = config.merge(Config(signature_version=UNSIGNED))
    else:
        keys = {
            "aws_access_key_id": credentials["AccessKeyId"],
            "aws_secret_access_key": credentials["SecretAccessKey"],
            "aws_session_token": credentials["SessionToken"],
        }
    return boto3.client(service, endpoint_url=url, region_name="eu-central-1", config=config, **keys)


def do(asked, credentials):
    what, url = asked["do"], asked["url"]
    if what == "web identity":
        return client("sts", url).assume_role_with_web_identity(**asked["with"])
    if what == "assume":
        return client("sts", url, credentials).assume_role(**asked["with"])
    if what == "who":
        return client("sts", url, credentials).get_caller_identity()
    if what == "read":
        return client("s3", url, credentials).get_object(Bucket="reports", Key="q1.csv")
    return client("s3", url, credentials).delete_object(Bucket="reports", Key="q1.csv")


def main():
    credentials = None
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "end":
            return
        if asked["do"] == "nothing":
            continue
        credentials = asked.get("credentials", credentials)
        try:
            answer = do(asked, credentials)
        except ClientError as error:
            told = {"code": error.response["Error"]["Code"], "message": error.response["Error"]["Message"]}
        else:
            if "Credentials" in answer:
                credentials = answer["Credentials"]
            answer.pop("Body", None)
            told = {"answer": answer}
        print(json.dumps(told, default=str), flush=True)


main()
