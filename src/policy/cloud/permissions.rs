//! Which permissions an operation needs at its cloud, where they are called otherwise than the operation.
//!
//! Most operations need the permission of their own name. Here stand those of the catalogue's services that do not,
//! as far as a plain call goes: an operation on an old version of an object needs more, and the cloud refuses it then.

use super::Cloud;
use crate::model::call::Action;

/// The permissions without which `cloud` refuses `action`. At least one.
pub(super) fn needs(cloud: Cloud, action: &Action) -> Vec<&str> {
    let table = match cloud {
        Cloud::Alibaba => ALIBABA,
        Cloud::Aws => AWS,
    };
    let name = action.as_str();
    let other = table.iter().find(|(operation, _)| operation.eq_ignore_ascii_case(name));
    other.map_or_else(|| vec![name], |(_, permissions)| permissions.to_vec())
}

/// Whether `cloud` asks of `action` only for those of its permissions that the request's content calls for. Then each of
/// them allows some of it by itself.
pub(super) fn goes_by_content(cloud: Cloud, action: &Action) -> bool {
    let name = action.as_str();
    match cloud {
        Cloud::Alibaba => false,
        Cloud::Aws => BY_CONTENT.iter().any(|operation| operation.eq_ignore_ascii_case(name)),
    }
}

/// An operation, and what it needs.
type Row = (&'static str, &'static [&'static str]);

const ALIBABA: &[Row] = &[
    ("oss:AppendObject", &["oss:PutObject"]),
    ("oss:CompleteMultipartUpload", &["oss:PutObject"]),
    ("oss:CopyObject", &["oss:GetObject", "oss:PutObject"]),
    ("oss:DeleteMultipleObjects", &["oss:DeleteObject"]),
    ("oss:GetObjectMeta", &["oss:GetObject"]),
    ("oss:GetSymlink", &["oss:GetObject"]),
    ("oss:HeadObject", &["oss:GetObject"]),
    ("oss:InitiateMultipartUpload", &["oss:PutObject"]),
    ("oss:PostObject", &["oss:PutObject"]),
    ("oss:PutSymlink", &["oss:PutObject"]),
    ("oss:UploadPart", &["oss:PutObject"]),
    ("oss:UploadPartCopy", &["oss:GetObject", "oss:PutObject"]),
];

const AWS: &[Row] = &[
    ("dynamodb:BatchExecuteStatement", PARTIQL),
    ("dynamodb:ExecuteStatement", PARTIQL),
    ("dynamodb:ExecuteTransaction", PARTIQL),
    ("dynamodb:TransactGetItems", &["dynamodb:GetItem"]),
    (
        "dynamodb:TransactWriteItems",
        &["dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem"],
    ),
    ("lambda:Invoke", &["lambda:InvokeFunction"]),
    ("lambda:InvokeAsync", &["lambda:InvokeFunction"]),
    ("lambda:InvokeWithResponseStream", &["lambda:InvokeFunction"]),
    ("s3:CompleteMultipartUpload", &["s3:PutObject"]),
    ("s3:CopyObject", &["s3:GetObject", "s3:PutObject"]),
    ("s3:CreateMultipartUpload", &["s3:PutObject"]),
    ("s3:DeleteBucketAnalyticsConfiguration", &["s3:PutAnalyticsConfiguration"]),
    ("s3:DeleteBucketCors", &["s3:PutBucketCORS"]),
    ("s3:DeleteBucketEncryption", &["s3:PutEncryptionConfiguration"]),
    ("s3:DeleteBucketIntelligentTieringConfiguration", &["s3:PutIntelligentTieringConfiguration"]),
    ("s3:DeleteBucketInventoryConfiguration", &["s3:PutInventoryConfiguration"]),
    ("s3:DeleteBucketLifecycle", &["s3:PutLifecycleConfiguration"]),
    ("s3:DeleteBucketMetricsConfiguration", &["s3:PutMetricsConfiguration"]),
    ("s3:DeleteBucketOwnershipControls", &["s3:PutBucketOwnershipControls"]),
    ("s3:DeleteBucketReplication", &["s3:PutReplicationConfiguration"]),
    ("s3:DeleteBucketTagging", &["s3:PutBucketTagging"]),
    ("s3:DeleteObjects", &["s3:DeleteObject"]),
    ("s3:DeletePublicAccessBlock", &["s3:PutBucketPublicAccessBlock"]),
    ("s3:GetBucketAccelerateConfiguration", &["s3:GetAccelerateConfiguration"]),
    ("s3:GetBucketAnalyticsConfiguration", &["s3:GetAnalyticsConfiguration"]),
    ("s3:GetBucketEncryption", &["s3:GetEncryptionConfiguration"]),
    ("s3:GetBucketIntelligentTieringConfiguration", &["s3:GetIntelligentTieringConfiguration"]),
    ("s3:GetBucketInventoryConfiguration", &["s3:GetInventoryConfiguration"]),
    ("s3:GetBucketLifecycleConfiguration", &["s3:GetLifecycleConfiguration"]),
    ("s3:GetBucketMetricsConfiguration", &["s3:GetMetricsConfiguration"]),
    ("s3:GetBucketNotificationConfiguration", &["s3:GetBucketNotification"]),
    ("s3:GetBucketReplication", &["s3:GetReplicationConfiguration"]),
    ("s3:GetObjectAttributes", &["s3:GetObject", "s3:GetObjectAttributes"]),
    ("s3:GetObjectLockConfiguration", &["s3:GetBucketObjectLockConfiguration"]),
    ("s3:GetPublicAccessBlock", &["s3:GetBucketPublicAccessBlock"]),
    ("s3:HeadBucket", &["s3:ListBucket"]),
    ("s3:HeadObject", &["s3:GetObject"]),
    ("s3:ListBucketAnalyticsConfigurations", &["s3:GetAnalyticsConfiguration"]),
    ("s3:ListBucketIntelligentTieringConfigurations", &["s3:GetIntelligentTieringConfiguration"]),
    ("s3:ListBucketInventoryConfigurations", &["s3:GetInventoryConfiguration"]),
    ("s3:ListBucketMetricsConfigurations", &["s3:GetMetricsConfiguration"]),
    ("s3:ListBuckets", &["s3:ListAllMyBuckets"]),
    ("s3:ListMultipartUploads", &["s3:ListBucketMultipartUploads"]),
    ("s3:ListObjectVersions", &["s3:ListBucketVersions"]),
    ("s3:ListObjects", &["s3:ListBucket"]),
    ("s3:ListObjectsV2", &["s3:ListBucket"]),
    ("s3:ListParts", &["s3:ListMultipartUploadParts"]),
    ("s3:PutBucketAccelerateConfiguration", &["s3:PutAccelerateConfiguration"]),
    ("s3:PutBucketAnalyticsConfiguration", &["s3:PutAnalyticsConfiguration"]),
    ("s3:PutBucketEncryption", &["s3:PutEncryptionConfiguration"]),
    ("s3:PutBucketIntelligentTieringConfiguration", &["s3:PutIntelligentTieringConfiguration"]),
    ("s3:PutBucketInventoryConfiguration", &["s3:PutInventoryConfiguration"]),
    ("s3:PutBucketLifecycleConfiguration", &["s3:PutLifecycleConfiguration"]),
    ("s3:PutBucketMetricsConfiguration", &["s3:PutMetricsConfiguration"]),
    ("s3:PutBucketNotificationConfiguration", &["s3:PutBucketNotification"]),
    ("s3:PutBucketReplication", &["s3:PutReplicationConfiguration"]),
    ("s3:PutObjectLockConfiguration", &["s3:PutBucketObjectLockConfiguration"]),
    ("s3:PutPublicAccessBlock", &["s3:PutBucketPublicAccessBlock"]),
    ("s3:SelectObjectContent", &["s3:GetObject"]),
    ("s3:UploadPart", &["s3:PutObject"]),
    ("s3:UploadPartCopy", &["s3:GetObject", "s3:PutObject"]),
    ("sqs:ChangeMessageVisibilityBatch", &["sqs:ChangeMessageVisibility"]),
    ("sqs:DeleteMessageBatch", &["sqs:DeleteMessage"]),
    ("sqs:SendMessageBatch", &["sqs:SendMessage"]),
];

/// Which of them depends on the statement's text.
const PARTIQL: &[&str] =
    &["dynamodb:PartiQLDelete", "dynamodb:PartiQLInsert", "dynamodb:PartiQLSelect", "dynamodb:PartiQLUpdate"];

/// Operations that are made of statements or of other operations, whose permissions are asked for one by one.
const BY_CONTENT: &[&str] = &[
    "dynamodb:BatchExecuteStatement",
    "dynamodb:ExecuteStatement",
    "dynamodb:ExecuteTransaction",
    "dynamodb:TransactWriteItems",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_needs_the_permission_of_its_name_or_what_the_table_says() {
        assert_eq!(needs(Cloud::Aws, &Action::new("ec2:RunInstances")), ["ec2:RunInstances"]);
        assert_eq!(needs(Cloud::Aws, &Action::new("s3:ListObjectsV2")), ["s3:ListBucket"]);
        assert_eq!(needs(Cloud::Alibaba, &Action::new("oss:copyobject")), ["oss:GetObject", "oss:PutObject"]);
    }

    #[test]
    fn what_goes_by_content_needs_several_and_what_is_made_of_two_needs_both() {
        for operation in BY_CONTENT {
            let action = Action::new(*operation);
            assert!(goes_by_content(Cloud::Aws, &action) && needs(Cloud::Aws, &action).len() > 1);
        }
        for (cloud, copy) in [(Cloud::Aws, "s3:CopyObject"), (Cloud::Alibaba, "oss:UploadPartCopy")] {
            assert!(!goes_by_content(cloud, &Action::new(copy)), "{copy}");
        }
    }

    #[test]
    fn the_tables_name_each_operation_once_and_end_at_permissions() {
        for table in [ALIBABA, AWS] {
            assert!(table.is_sorted_by(|(one, _), (next, _)| one < next));
            for (operation, permissions) in table {
                assert!(!permissions.is_empty(), "{operation}");
                let service = operation.split(':').next();
                for permission in *permissions {
                    assert_eq!(permission.split(':').next(), service);
                    let again = table.iter().find(|(other, _)| other == permission);
                    // An operation may need its own name and another one.
                    assert!(again.is_none_or(|(other, _)| other == operation), "{permission}");
                }
            }
        }
    }
}
