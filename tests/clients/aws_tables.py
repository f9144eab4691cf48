"""What the aws adapter knows of AWS, from the service models that botocore ships: the scope files
policies/scopes/{s3,ec2,dynamodb,sqs,lambda}.json; the requests of the services that name an operation by method,
path and query, src/sidecar/aws/requests.txt; and where each operation names what it touches, src/sidecar/aws/places.txt.

    aws_tables.py ROOT           writes them below ROOT
    aws_tables.py ROOT --check   says whether they are what would be written; a test asks

What reads and what changes goes by the beginning of the operation's name; what gives rights to others is in the whole
scope alone. What a member of a request names is in aws_places.py; a member that nobody has looked at ends this program,
so that nothing new is passed over."""

import gzip
import json
import os
import re
import sys

import botocore
from aws_places import STS, places_line

READS = re.compile(r"^(Get|List|Head|Describe|BatchGet|Query|Scan|Select|Receive|TransactGet|Search)")
RIGHTS = re.compile(
    r"(Policy|Acl|Permission|PublicAccessBlock|OwnershipControls|Replication|FunctionUrlConfig|AccountSettings)$"
    r"|^PutBucket(Logging|NotificationConfiguration|InventoryConfiguration)$"
    r"|^(Modify(Image|Snapshot)Attribute|SetQueueAttributes)$"
)
# They hand out credentials, name what they touch in a language of their own, in two places or by a handle that tells
# nobody what it stands for, are for buckets that are reached otherwise, or are gone.
LEFT_OUT = {
    "s3": {"CreateSession", "WriteGetObjectResponse", "ListDirectoryBuckets", "RenameObject"},
    "dynamodb": {"ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction", "RestoreTableFromBackup",
                 "RestoreTableToPointInTime", "StartBulkPutItems", "CancelBulkOperation", "DescribeBulkOperation",
                 "ListBulkOperations", "SearchVectors"},
    "sqs": {"StartMessageMoveTask", "CancelMessageMoveTask"},
    "lambda": {"InvokeAsync", "SendDurableExecutionCallbackFailure", "SendDurableExecutionCallbackHeartbeat",
               "SendDurableExecutionCallbackSuccess"},
}
EC2 = """
RunInstances StartInstances StopInstances RebootInstances TerminateInstances MonitorInstances UnmonitorInstances
DescribeInstances DescribeInstanceStatus DescribeInstanceAttribute DescribeInstanceTypes
DescribeInstanceTypeOfferings DescribeInstanceCreditSpecifications ModifyInstanceAttribute
ModifyInstanceMetadataOptions ModifyInstancePlacement GetConsoleOutput GetConsoleScreenshot GetPasswordData
GetLaunchTemplateData CreateLaunchTemplate CreateLaunchTemplateVersion DeleteLaunchTemplate
DescribeLaunchTemplates DescribeLaunchTemplateVersions ModifyLaunchTemplate
CreateVolume DeleteVolume AttachVolume DetachVolume ModifyVolume DescribeVolumes DescribeVolumeStatus
DescribeVolumesModifications DescribeVolumeAttribute EnableVolumeIO
CreateSnapshot CreateSnapshots DeleteSnapshot CopySnapshot DescribeSnapshots DescribeSnapshotAttribute
ModifySnapshotAttribute
CreateImage CopyImage RegisterImage DeregisterImage DescribeImages DescribeImageAttribute ModifyImageAttribute
CreateKeyPair ImportKeyPair DeleteKeyPair DescribeKeyPairs
CreateSecurityGroup DeleteSecurityGroup DescribeSecurityGroups DescribeSecurityGroupRules
AuthorizeSecurityGroupIngress AuthorizeSecurityGroupEgress RevokeSecurityGroupIngress RevokeSecurityGroupEgress
ModifySecurityGroupRules
CreateVpc DeleteVpc DescribeVpcs DescribeVpcAttribute ModifyVpcAttribute CreateSubnet DeleteSubnet DescribeSubnets
ModifySubnetAttribute CreateRouteTable DeleteRouteTable DescribeRouteTables AssociateRouteTable
DisassociateRouteTable CreateRoute ReplaceRoute DeleteRoute CreateInternetGateway DeleteInternetGateway
AttachInternetGateway DetachInternetGateway DescribeInternetGateways CreateNatGateway DeleteNatGateway
DescribeNatGateways DescribeNetworkAcls
AllocateAddress AssociateAddress DisassociateAddress ReleaseAddress DescribeAddresses
CreateNetworkInterface DeleteNetworkInterface AttachNetworkInterface DetachNetworkInterface
DescribeNetworkInterfaces ModifyNetworkInterfaceAttribute
DescribeRegions DescribeAvailabilityZones DescribeAccountAttributes
CreateTags DeleteTags DescribeTags
""".split()

# Title; then for the whole scope, read and write: title, consent text, risk, why.
WORDS = {
    "s3": (
        "Amazon S3",
        ("AWS files: everything", "Do with your S3 buckets and objects whatever you may do yourself: copy them, "
         "delete them, and change who may see them.", "high", "It can delete files and open them to others."),
        ("AWS files: read", "List your S3 buckets and read what is in them. It cannot change anything.",
         "medium", "It sees what is in your files."),
        ("AWS files: change", "Store, overwrite and delete objects in S3, and create and delete buckets.",
         "high", "It can delete and overwrite files."),
    ),
    "ec2": (
        "Amazon EC2",
        ("AWS servers: everything", "Do with your EC2 servers, disks, images and networks whatever you may do "
         "yourself, sharing and deleting them included.", "high",
         "It can stop and delete servers, and show their disks to others."),
        ("AWS servers: look", "See your EC2 servers, disks, images and networks. It cannot change them.",
         "medium", "It shows how your servers are built and reached, and what they print."),
        ("AWS servers: change", "Create, start, stop, change and delete your EC2 servers, disks and networks.",
         "high", "It can stop and delete servers, and what was on them is lost."),
    ),
    "dynamodb": (
        "Amazon DynamoDB",
        ("AWS tables: everything", "Do with your DynamoDB tables whatever you may do yourself, deleting them and "
         "changing who may use them included.", "high", "It can delete tables and open them to others."),
        ("AWS tables: read", "See your DynamoDB tables and read what is in them. It cannot change them.",
         "medium", "It sees what is in your tables."),
        ("AWS tables: change", "Store, change and delete items of DynamoDB, and create and delete tables.",
         "high", "It can delete tables and what is in them."),
    ),
    "sqs": (
        "Amazon SQS",
        ("AWS queues: everything", "Do with your SQS queues whatever you may do yourself, deleting them and "
         "changing who may use them included.", "high", "It can delete queues and open them to others."),
        ("AWS queues: receive", "See your SQS queues and receive their messages, which hides them from others "
         "for a while.", "medium", "It sees what is in your messages."),
        ("AWS queues: change", "Send and delete messages of SQS, and create and delete queues.",
         "high", "It can delete messages that nobody has read."),
    ),
    "lambda": (
        "AWS Lambda",
        ("AWS functions: everything", "Do with your Lambda functions whatever you may do yourself, deleting them "
         "and changing who may call them included.", "high", "It can run code, and let others run it."),
        ("AWS functions: look", "See your Lambda functions with their settings and code. It cannot run them.",
         "medium", "It sees the code and its settings, which may hold secrets."),
        ("AWS functions: run and change", "Run, create, change and delete your Lambda functions.",
         "high", "It can run code of its own with the rights of your functions."),
    ),
}


def model(service):
    folder = os.path.join(os.path.dirname(botocore.__file__), "data", service)
    newest = sorted(os.listdir(folder))[-1]
    with gzip.open(os.path.join(folder, newest, "service-2.json.gz")) as file:
        return json.load(file)


def operations(service, described):
    if service == "ec2":
        missing = [name for name in EC2 if name not in described["operations"]]
        assert not missing, f"EC2 has no {missing}"
        return sorted(EC2)
    left = LEFT_OUT[service]
    named = described["operations"].items()
    return sorted(name for name, one in named if not one.get("deprecated") and name not in left)


def scope_file(service, names):
    title, *words = WORDS[service]
    parts = {"": [], ":read": [], ":write": []}
    for name in names:
        reads = READS.match(name) and not name.startswith("GetSession")
        part = ":read" if reads else "" if RIGHTS.search(name) else ":write"
        parts[part].append(f"{service}:{name}")
    scopes = []
    for (part, actions), (short, consent, level, why) in zip(parts.items(), words):
        scope = {"scope": f"/aws/{service}{part}", "title": short, "consent": consent}
        scope["risk"] = {"level": level, "why": why}
        if actions:
            scope["actions"] = actions
        scopes.append(scope)
    file = {"$schema": "../../schemas/scope.json", "service": service, "title": title, "scopes": scopes}
    text = json.dumps(file, indent=2)
    # A risk is short: it stands on one line.
    text = re.sub(r'"risk": \{\s+("level": "\w+"),\s+("why": "[^"]*")\s+\}', r'"risk": { \1, \2 }', text)
    return text + "\n"


def request_line(service, name, described):
    """One request: operation, method, path, what its query must hold, what it may hold, and the header that tells
    one from another."""
    one = described["operations"][name]
    path, _, query = one["http"]["requestUri"].partition("?")
    must = [part for part in query.split("&") if part and not part.startswith("x-id=")]
    may, header = [], "-"
    shape = described["shapes"].get(one.get("input", {}).get("shape"), {})
    for member, place in shape.get("members", {}).items():
        needed = member in shape.get("required", [])
        if place.get("location") == "querystring":
            (must if needed else may).append(place["locationName"])
        if place.get("locationName", "").lower() == "x-amz-copy-source":
            header = "x-amz-copy-source"
    columns = [f"{service}:{name}", one["http"]["method"], path]
    return " ".join([*columns, ",".join(sorted(must)) or "-", ",".join(sorted(may)) or "-", header])


def files():
    requests, places, written = [REQUESTS], [PLACES], {}
    for service in WORDS:
        described = model(service)
        names = operations(service, described)
        written[f"policies/scopes/{service}.json"] = scope_file(service, names)
        if service in ("s3", "lambda"):
            requests += [request_line(service, name, described) for name in names]
        places += [places_line(service, name, described) for name in names]
    places += [places_line("sts", name, model("sts")) for name in STS]
    written["src/sidecar/aws/requests.txt"] = "\n".join(requests) + "\n"
    written["src/sidecar/aws/places.txt"] = "\n".join(places) + "\n"
    return written


REQUESTS = """\
# The requests of the AWS services that name an operation by method, path and query. Written by
# tests/clients/aws_tables.py from the service models; not by hand.
# operation method path query-that-must-be query-that-may-be header-that-must-be"""
PLACES = """\
# Where the operations of AWS name what they touch. Written by tests/clients/aws_tables.py from the service models; not
# by hand. {Part} is in the path, ?Name in the query, <Element> anywhere in a body of XML, all else in the body or form:
# [] each of a list, {} each key of a map, * any key, A+B one behind the other; ! where one of them must be.
# operation parameters places"""


def main():
    root = sys.argv[1]
    differing = []
    for path, text in files().items():
        place = os.path.join(root, path)
        if "--check" not in sys.argv:
            with open(place, "w", encoding="utf-8") as file:
                file.write(text)
        else:
            with open(place, encoding="utf-8") as file:
                if file.read() != text:
                    differing.append(path)
    print(json.dumps({"differing": differing}))
    sys.exit(1 if differing else 0)


main()
