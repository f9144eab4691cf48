"""What the members of AWS's requests name, for aws_tables.py. Each member that could name something is either of a kind
that src/sidecar/aws/kinds.rs reads, or in NOTHING, since somebody has seen that it names nothing that is acted upon."""

import re

STS = ["AssumeRole", "AssumeRoleWithWebIdentity", "DecodeAuthorizationMessage", "GetCallerIdentity"]

# Whatever ends so could name something: it must be in KINDS or NOTHING.
SUSPECT = re.compile(
    r"(arn|uri|url|name|id|bucket|role|table|queue|destination|resource|prefix|group|account|owner|location|layers"
    r"|topic|function|publicip|address|kmskey|keyid)s?$",
    re.IGNORECASE,
)

EC2_IDS = """
AllocationId AssociatedSubnetId AssociationId AttachmentId CapacityReservationId CarrierGatewayId DestinationPrefixListId
EgressOnlyInternetGatewayId ExcludeDataVolumeId GatewayId GroupId HostId ImageId InstanceId InternetGatewayId IpamPoolId
Ipv4IpamPoolId Ipv6IpamPoolId KernelId KeyPairId LaunchTemplateId LocalGatewayId NatGatewayId NetworkAclId
NetworkInterfaceId PrefixListId RamDiskId RamdiskId ReferencedGroupId ResourceId RouteTableId SecondaryAllocationId
SecondarySubnetId SecurityGroupId SecurityGroupRuleId SnapshotId SourceImageId SourceSnapshotId SubnetId TransitGatewayId
VolumeId VpcEndpointId VpcId VpcPeeringConnectionId
""".split()

KINDS = {
    "s3": {
        "Key": {"DeleteObjects": "object"},
        "Bucket": "bucket", "TargetBucket": "bucket", "BucketName": "bucket",
        "Account": "account", "AccountId": "account", "BucketAccountId": "account",
        "Role": "arn", "TableBucketArn": "arn", "Topic": "arn", "Queue": "arn", "CloudFunction": "arn",
        "ReplicaKmsKeyID": "key", "KeyId": "key", "KmsKeyArn": "key", "KMSMasterKeyID": "key", "KMSKeyId": "key",
        "KMSKeyArn": "key",
        # Rights beside what is asked for: of another operation.
        "Grantee": {"RestoreObject": "refused"}, "TargetGrants": {"PutBucketLogging": "refused"},
    },
    "lambda": {
        "FunctionName": "function", "LayerName": "layer", "Layers": "layer",
        "Resource": "own-arn", "ResourceArn": "own-arn", "CodeSigningConfigArn": "own-arn",
        "DurableExecutionArn": "own-arn", "CapacityProviderArn": "own-arn",
        "Arn": {"GetLayerVersionByArn": "own-arn", "": "arn"},
        "UUID": "event-source-mapping/", "CapacityProviderName": "capacity-provider/",
        "Role": "arn", "CapacityProviderOperatorRoleArn": "arn", "TargetArn": "arn", "EventSourceArn": "arn",
        "Destination": "arn", "URI": "access", "SchemaRegistryURI": "access",
        "KMSKeyArn": "key", "KmsKeyArn": "key", "SourceKMSKeyArn": "key",
        "S3Bucket": "bucket", "ImageUri": "ecr:", "LogGroup": "logs:log-group/",
        "SubnetIds": "ec2:subnet/", "SecurityGroupIds": "ec2:security-group/",
    },
    "dynamodb": {
        "TableName": "table", "TableArn": "table", "ResourceArn": "table", "BackupArn": "table", "ExportArn": "table",
        "ImportArn": "table", "GlobalTableName": "table", "GlobalTableSourceArn": "table", "RequestItems{}": "table",
        "StreamArn": "arn", "AutoScalingRoleArn": "arn", "S3Bucket": "bucket", "S3BucketOwner": "account",
        "KMSMasterKeyId": "key", "S3SseKmsKeyId": "key",
    },
    "sqs": {
        "QueueUrl": "queue-url", "QueueName": "queue-name", "SourceArn": "queue-arn",
        "QueueOwnerAWSAccountId": "account",
    },
    "sts": {"RoleArn": "role"},
    "ec2": {
        **{name: "id" for name in EC2_IDS},
        "KeyName": "key-pair/", "LaunchTemplateName": "launch-template/", "SecurityGroup": "security-group/",
        "SourceSecurityGroupName": "security-group/", "GroupName": "security-group/",
        "Address": "elastic-ip/", "PublicIp": "elastic-ip/", "KmsKeyId": "key", "ImageLocation": "s3:",
        "Arn": "arn", "CapacityReservationResourceGroupArn": "arn", "CoreNetworkArn": "arn",
        "DestinationOutpostArn": "arn", "HostResourceGroupArn": "arn", "LicenseConfigurationArn": "arn",
        "OdbNetworkArn": "arn", "OutpostArn": "arn", "Name": {"IamInstanceProfile": "iam:instance-profile/"},
        "Value": {"Kernel": "id", "Ramdisk": "id"},
    },
}

# Names of parts, versions, regions, tags and attributes; where a list begins; whom rights are given to, which is in the
# whole scope alone; what a result is filtered by.
NOTHING = {
    "s3": {"Id", "ID", "Prefix", "TargetPrefix", "AccessPointArn", "DisplayName", "EmailAddress", "URI",
           "HostName", "TableName", "Name", "VersionId"},
    "lambda": {"Name", "StatementId", "RevisionId", "DurableExecutionName", "TenantId", "CallbackId", "Id",
               "RuntimeArn", "RuntimeVersionArn", "SigningProfileVersionArns", "SourceArn", "SourceAccount",
               "PrincipalOrgID", "ConsumerGroupId", "DatabaseName", "CollectionName", "Topics", "Queues",
               "OrganizationId", "ParentId", "PollerGroupName", "XAmznTraceId"},
    "dynamodb": {"AttributeName", "AttributeNames", "IndexName", "BackupName", "RegionName", "ReplicaRegion",
                 "ReplicaRegions", "PolicyName", "ExclusiveStartBackupArn", "ExclusiveStartTableName",
                 "ExclusiveStartGlobalTableName", "ExpectedRevisionId", "S3Prefix", "S3KeyPrefix", "RevisionId"},
    "sqs": {"AWSAccountIds", "AttributeNames", "Id", "MessageAttributeNames", "MessageSystemAttributeNames",
            "MessageDeduplicationId", "MessageGroupId", "QueueNamePrefix", "ReceiveRequestAttemptId"},
    "sts": {"arn", "ExternalId", "ProviderArn", "ProviderId", "RoleSessionName"},
    "ec2": {"AvailabilityZoneId", "CustomerOwnedIpv4Pool", "DestinationAvailabilityZoneId", "DeviceName", "Ipv4Prefix",
            "Ipv6Prefix", "Ipv6CidrBlockNetworkBorderGroup", "NetworkBorderGroup", "GroupDescription", "HostName",
            "Ipv6Address", "MetricCategoryId", "Name", "OrganizationArn", "OrganizationalUnitArn", "Owner", "OwnerId",
            "PresignedUrl", "PrivateIpAddress", "RegionName", "RootDeviceName", "SecondaryPrivateIpAddress",
            "SourceSecurityGroupOwnerId", "UserGroup", "UserId", "VirtualName", "ZoneId", "ZoneName"},
}
# In pairs: the second is a name inside the first.
INSIDE = {"S3Bucket": ("S3Key", "S3Prefix", "S3KeyPrefix")}
# What the form of the query protocol calls what the model of SQS has under its JSON name.
IN_FORMS = {"Attributes": "Attribute", "tags": "Tag", "AttributeNames": "AttributeName", "TagKeys": "TagKey",
            "MessageAttributes": "MessageAttribute", "MessageSystemAttributes": "MessageSystemAttribute",
            "MessageAttributeNames": "MessageAttributeName", "AWSAccountIds": "AWSAccountId",
            "MessageSystemAttributeNames": "MessageSystemAttributeName", "Actions": "ActionName"}
# The attributes of a queue are a map whose keys no model has as members.
QUEUE_ATTRIBUTES = {
    # Whom a queue is open to is asked for on its own, by an operation that only the whole scope has.
    "CreateQueue": ["Attributes.KmsMasterKeyId=key", "Attributes.Policy=refused", "Attributes.RedrivePolicy=redrive"],
    "SetQueueAttributes": ["Attributes.KmsMasterKeyId=key", "Attributes.RedrivePolicy=redrive"],
}


def leaves(service, described, shape, path=(), seen=frozenset()):
    """Each text that a shape holds, by its path: names and how the model has them."""
    if shape in seen:
        return
    one, seen = described["shapes"][shape], seen | {shape}
    if one["type"] == "structure":
        for member, place in one.get("members", {}).items():
            name = called(service, member, place)
            yield from leaves(service, described, place["shape"], (*path, (name, place)), seen)
    elif one["type"] == "list":
        yield from leaves(service, described, one["member"]["shape"], (*path, ("[]", {})), seen)
    elif one["type"] == "map":
        yield (*path, ("{}", {}))
        yield from leaves(service, described, one["value"]["shape"], (*path, ("{value}", {})), seen)
    elif one["type"] == "string" and not one.get("enum"):
        yield path


def called(service, member, place):
    """The name of a member on the wire."""
    if service == "ec2":
        given = place.get("locationName")
        return place.get("queryName") or (given[:1].upper() + given[1:] if given else member)
    return place.get("locationName", member)


def kind(service, operation, path):
    names = [name for name, _ in path if name not in ("[]", "{value}")]
    leaf = names[-2] + "{}" if names[-1] == "{}" and len(names) > 1 else names[-1]
    if path[-1][0] == "{value}" or (len(path) > 1 and path[-2][0] == "{value}" and path[-1][0] == "[]"):
        return None
    location = path[0][1].get("location")
    if location == "header" or (location and service == "s3"):
        # Read where they are: src/sidecar/aws/rest.rs.
        return None
    found = KINDS[service].get(leaf)
    if isinstance(found, dict):
        around = names[-2] if len(names) > 1 else None
        found = found.get(operation, found.get(around, found.get("")))
    is_placement = "Placement" in names or operation == "ModifyInstancePlacement"
    if service == "ec2" and leaf in ("GroupName", "GroupId") and is_placement:
        return "placement-group/"
    if found is None and not leaf.endswith("{}"):
        inside = any(leaf in second for second in INSIDE.values())
        known = inside or leaf in NOTHING[service] or not SUSPECT.search(leaf)
        assert known, f"{service}:{operation} has {'.'.join(names)}: what does it name?"
    return found


def spelled(service, path):
    """A place as the table has it."""
    (first, place), names = path[0], [name for name, _ in path]
    location = place.get("location")
    if location == "uri":
        return "{" + first + "}"
    if location == "querystring":
        return "?" + first
    if service == "s3":
        return "<" + [name for name in names if name != "[]"][-1] + ">"
    if service in ("ec2", "sts"):
        return ".".join(name for name in names if name != "[]")
    text = ".".join(names)
    # Whatever is done in a transaction is done to a table.
    return re.sub(r"^TransactItems\.\[\]\.\w+\.", "TransactItems.[].*.", text)


def places_line(service, name, described):
    """One operation: the parameters that its body or form may have, and its places."""
    one = described["operations"][name]
    shape = one.get("input", {}).get("shape")
    members = described["shapes"].get(shape, {}).get("members", {})
    payload = described["shapes"].get(shape, {}).get("payload")
    keys = {called(service, member, place) for member, place in members.items() if not place.get("location")}
    if payload or service == "s3":
        keys = set()
    if service == "sqs":
        keys |= {IN_FORMS.get(key, f"{name}RequestEntry" if key == "Entries" else key) for key in keys}
    places = {}
    for path in leaves(service, described, shape) if shape else ():
        of = kind(service, name, path)
        if of:
            place = spelled(service, path)
            siblings = INSIDE.get(path[-1][0], ())
            place += "".join(f"+{other}" for other in siblings if beside(described, shape, path, other))
            must = service not in ("sts", "s3") and (place.startswith("TransactItems") or needed(described, shape, path))
            places[place] = of + ("!" if must else "")
    found = [f"{place}={of}" for place, of in places.items()]
    if service == "s3":
        found += [f"<{element}>={of[name]}" for element, of in KINDS[service].items()
                  if isinstance(of, dict) and of.get(name) == "refused"]
    found += QUEUE_ATTRIBUTES.get(name, []) if service == "sqs" else []
    found.sort(key=lambda text: (not is_own(text.partition("=")[2]), not text.endswith("!"), text))
    return f"{service}:{name} {','.join(sorted(keys)) or '-'} {','.join(found) or '-'}"


def needed(described, shape, path):
    """Whether no request can do without it."""
    for name, place in path:
        one = described["shapes"][shape]
        if name == "{}":
            return True
        if one["type"] == "structure" and not any(one["members"][member] is place for member in one.get("required", [])):
            return False
        shape = place.get("shape") or (one["member"] if name == "[]" else one["value"])["shape"]
    return True


def beside(described, shape, path, other):
    """Whether a member of this name stands beside the last of a path."""
    for name, place in path[:-1]:
        one = described["shapes"][shape]
        shape = place.get("shape") or (one["member"] if name == "[]" else one["value"])["shape"]
    return other in described["shapes"][shape].get("members", {})


def is_own(of):
    """Whether it names something of the called service: that comes first."""
    return of.rstrip("!") not in ("arn", "key", "bucket", "account", "access", "redrive", "refused") and ":" not in of
