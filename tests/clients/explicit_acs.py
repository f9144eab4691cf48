"""Alibaba Cloud's Python SDKs, unmodified, ask a sidecar for a role's credentials as they would ask the cloud, and work
with what they get: nothing is configured but endpoints. Each line that comes is one thing to do; each line that goes is
what became of it."""

import json
import sys

from alibabacloud_ecs20140526 import models as ecs
from alibabacloud_ecs20140526.client import Client as Ecs
from alibabacloud_sts20150401 import models as sts
from alibabacloud_sts20150401.client import Client as Sts
from alibabacloud_tea_openapi.models import Config
from darabonba.exceptions import DaraException
from darabonba.runtime import RuntimeOptions

OPTIONS = RuntimeOptions(autoretry=False, read_timeout=30000, connect_timeout=30000)


def config(asked, credentials):
    made = Config(endpoint=asked["endpoint"], protocol="HTTP", region_id="cn-hangzhou")
    if "bearer" in asked:
        made.bearer_token = asked["bearer"]
    elif credentials is not None:
        made.access_key_id = credentials.access_key_id
        made.access_key_secret = credentials.access_key_secret
        made.security_token = credentials.security_token
    return made


def do(asked, credentials):
    what = asked["do"]
    if what == "oidc":
        request = sts.AssumeRoleWithOIDCRequest(**asked["with"])
        return Sts(config(asked, None)).assume_role_with_oidcwith_options(request, OPTIONS).body
    if what == "assume":
        request = sts.AssumeRoleRequest(**asked["with"])
        return Sts(config(asked, credentials)).assume_role_with_options(request, OPTIONS).body
    if what == "who":
        return Sts(config(asked, credentials)).get_caller_identity_with_options(OPTIONS).body
    client = Ecs(config(asked, credentials))
    if what == "read":
        client.describe_instances_with_options(ecs.DescribeInstancesRequest(region_id="cn-hangzhou"), OPTIONS)
    else:
        client.stop_instance_with_options(ecs.StopInstanceRequest(instance_id="i-1"), OPTIONS)
    return None


def main():
    credentials = None
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "end":
            return
        if asked["do"] == "nothing":
            continue
        try:
            answer = do(asked, credentials)
        except DaraException as error:
            told = {"code": error.code, "message": error.message, "data": error.data}
        else:
            if getattr(answer, "credentials", None) is not None:
                credentials = answer.credentials
            told = {"answer": answer.to_map() if answer is not None else {}}
        print(json.dumps(told, default=str), flush=True)


main()
