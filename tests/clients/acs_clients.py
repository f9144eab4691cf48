"""The cloud's Python SDKs, each as it ships: the generated clients for ECS and STS, and the older core. Each line that
comes is one call; each line that goes is what the client made of the answer. The test is the rest of the world."""

import json
import sys

from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.auth.credentials import StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest, RoaRequest, RpcRequest
from alibabacloud_ecs20140526 import models as ecs
from alibabacloud_ecs20140526.client import Client as Ecs
from alibabacloud_sts20150401 import models as sts
from alibabacloud_sts20150401.client import Client as Sts
from alibabacloud_tea_openapi.models import Config
from darabonba.exceptions import DaraException, UnretryableException
from darabonba.runtime import RuntimeOptions


def config(asked):
    """An endpoint instead of the real one, or the real one through a proxy; with an authority, over TLS."""
    made = Config(endpoint=asked["endpoint"], protocol="HTTPS" if "ca" in asked else "HTTP", region_id="cn-hangzhou")
    if "ca" in asked:
        made.https_proxy, made.ca = asked["proxy"], asked["ca"]
    elif "proxy" in asked:
        made.http_proxy = asked["proxy"]
    if "bearer" in asked:
        made.bearer_token = asked["bearer"]
    else:
        key = asked["key"]
        made.access_key_id, made.access_key_secret = key["accessKeyId"], key["accessKeySecret"]
        made.security_token = key["securityToken"]
    return made


def generated(asked):
    options = RuntimeOptions(autoretry=False, read_timeout=30000, connect_timeout=30000)
    if asked["client"] == "sts":
        return Sts(config(asked)).get_caller_identity_with_options(options).status_code
    client, instance = Ecs(config(asked)), asked.get("instance")
    if asked["action"] == "DescribeInstances":
        request = ecs.DescribeInstancesRequest(region_id="cn-hangzhou", instance_ids=json.dumps([instance] if instance else []))
        if not instance:
            request.instance_ids = None
        return client.describe_instances_with_options(request, options).status_code
    request = ecs.StopInstanceRequest(instance_id=instance)
    return client.stop_instance_with_options(request, options).status_code


def core(asked):
    key = asked["key"]
    credential = StsTokenCredential(key["accessKeyId"], key["accessKeySecret"], key["securityToken"])
    client = AcsClient(region_id="cn-hangzhou", credential=credential, auto_retry=False, timeout=30, verify=asked.get("ca"))
    if "proxy" in asked:
        client.proxy = {"https" if "ca" in asked else "http": asked["proxy"]}
    if asked["client"] == "core-roa":
        request = RoaRequest("CS", "2015-12-15", asked["action"], method=asked.get("method", "GET"), uri_pattern=asked["path"])
        if "body" in asked:
            request.set_content(asked["body"])
            request.set_content_type("application/json")
    elif asked["client"] == "core-common":
        request = CommonRequest(domain=asked["endpoint"], version="2014-05-26", action_name=asked["action"])
        request.set_method("POST")
        request.add_body_params("InstanceId", asked["instance"])
    else:
        request = RpcRequest("Ecs", "2014-05-26", asked["action"])
        if "instance" in asked:
            request.add_query_param("InstanceId", asked["instance"])
    request.set_endpoint(asked["endpoint"])
    request.set_protocol_type("https" if "ca" in asked else "http")
    client.do_action_with_exception(request)
    return 200


def answer(asked):
    try:
        return {"status": core(asked) if asked["client"].startswith("core") else generated(asked)}
    except ServerException as error:
        return {"error": {"code": error.get_error_code(), "message": error.get_error_msg(), "status": error.get_http_status()}}
    except ClientException as error:
        return {"error": {"code": error.get_error_code(), "message": error.get_error_msg()}}
    except DaraException as error:
        return {"error": {"code": error.code, "message": error.message, "data": error.data}}
    except UnretryableException as error:
        return {"error": {"code": "", "message": str(error)}}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line)), default=str), flush=True)
