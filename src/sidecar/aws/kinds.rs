//! What a name in a request to AWS stands for: a table, a queue's address, an ARN of any service, an id whose first
//! letters say what it is.
//!
//! Comes in: the kind that the table `places.txt` has for the place, and the text that stands there. Goes out: the name
//! that policy knows it by. What is of another service than the called one has that service's name before it
//! (`sqs:jobs`, `iam:role/report`). What cannot be read is refused: it would pass by what guardrails say of it.

use super::json::Node;
use super::names::{Named, Names};
use crate::config::route::Service;
use crate::sidecar::adapter::NotUnderstood;

/// What stands in a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A table by its name, or anything of it by an ARN.
    Table,
    /// A queue by its address.
    QueueUrl,
    /// A queue by its name.
    QueueName,
    /// A queue by its ARN.
    QueueArn,
    /// A JSON text that names the queue to which messages go that nobody could handle.
    Redrive,
    /// A function by its name or ARN, perhaps with a version.
    Function,
    /// A layer by its name or ARN, perhaps with a version.
    Layer,
    /// Anything of Lambda by its ARN.
    OwnArn,
    /// A role that is to be assumed.
    Role,
    /// Anything of any service by its ARN; nothing where it is empty.
    Arn,
    /// A key for encryption by its ARN, id or alias; nothing where it is empty.
    Key,
    /// A bucket by its name or ARN, or an object in it.
    Bucket,
    /// The key of an object in the bucket that the path names.
    Object,
    /// The number of the account that owns what else is named.
    Account,
    /// Anything of EC2 by its id.
    Id,
    /// What a source of events is reached by: a secret, a subnet, or what is nobody's.
    Access,
    /// Something that is asked for by another operation, on its own.
    Refused,
    /// Anything by a name that needs this before it.
    Under(String),
}

impl Kind {
    /// Reads the table's word for it.
    pub(super) fn read(word: &str) -> Option<Self> {
        Some(match word {
            "table" => Self::Table,
            "queue-url" => Self::QueueUrl,
            "queue-name" => Self::QueueName,
            "queue-arn" => Self::QueueArn,
            "redrive" => Self::Redrive,
            "function" => Self::Function,
            "layer" => Self::Layer,
            "own-arn" => Self::OwnArn,
            "role" => Self::Role,
            "arn" => Self::Arn,
            "key" => Self::Key,
            "bucket" => Self::Bucket,
            "object" => Self::Object,
            "account" => Self::Account,
            "id" => Self::Id,
            "access" => Self::Access,
            "refused" => Self::Refused,
            other if other.ends_with(['/', ':']) => Self::Under(other.to_owned()),
            _ => return None,
        })
    }

    /// What a text in such a place names, in a request to `called` about `bucket`; nothing where it names nothing.
    pub(super) fn named(
        &self,
        names: &Names,
        (called, bucket): (Service, Option<&str>),
        text: &str,
    ) -> Result<Option<Named>, NotUnderstood> {
        let own = |name: String| Ok(Some(Named { name: Some(name), account: None }));
        match self {
            Self::Table => table(names, text).map(Some),
            Self::QueueUrl => queue_at(names, text).map(Some),
            Self::QueueName if is_plain(text) => own(text.to_owned()),
            Self::QueueName => Err(QUEUE),
            Self::QueueArn => {
                let (account, rest) = names.arn("sqs", text)?;
                if is_plain(rest) {
                    Ok(Some(Named { name: Some(rest.to_owned()), account }))
                } else {
                    Err(QUEUE)
                }
            }
            Self::Redrive => redrive(names, text),
            Self::Function => function(names, text).map(Some),
            Self::Layer => layer(names, text).map(Some),
            Self::OwnArn => of_lambda(names, text).map(Some),
            Self::Role => role(names, text).map(Some),
            Self::Arn if text.is_empty() => Ok(None),
            Self::Arn => any(names, called, text).map(Some),
            Self::Key => key(names, text),
            Self::Bucket => stored(names, called, text).map(Some),
            Self::Object => match bucket {
                // Some readers of XML take blanks away.
                Some(bucket) if text.trim() == text => own(format!("{bucket}/{}", plain_text(text)?)),
                Some(_) | None => Err(NAME),
            },
            Self::Account => Ok(Some(Named { name: None, account: Some(names.account(text)?) })),
            Self::Id => own(by_id(text)?),
            Self::Access => match text.split_once(':') {
                Some(("arn", _)) => any(names, called, text).map(Some),
                Some(("subnet", id)) => own(format!("ec2:subnet/{}", plain_text(id)?)),
                Some(("security_group", id)) => own(format!("ec2:security-group/{}", plain_text(id)?)),
                Some(_) | None => Ok(None),
            },
            Self::Refused => Err(RIGHTS),
            // Lambda takes either; elsewhere an ARN is a name like any other.
            Self::Under(_) if called == Service::Lambda && text.starts_with("arn:") => {
                any(names, called, text).map(Some)
            }
            Self::Under(before) => own(format!("{before}{}", plain_text(text)?)),
        }
    }
}

/// The table that something of DynamoDB is of: `table/orders`.
fn table(names: &Names, text: &str) -> Result<Named, NotUnderstood> {
    let (account, table) = if text.starts_with("arn:") {
        let (account, rest) = names.arn("dynamodb", text)?;
        let rest = rest.strip_prefix("table/").or_else(|| rest.strip_prefix("global-table/")).ok_or(TABLE)?;
        (account, rest.split('/').next().unwrap_or_default())
    } else {
        (None, text)
    };
    if is_plain(table) { Ok(Named { name: Some(format!("table/{table}")), account }) } else { Err(TABLE) }
}

/// The queue of an address such as `https://sqs.eu-west-1.amazonaws.com/123456789012/orders`; its host says nothing.
fn queue_at(names: &Names, url: &str) -> Result<Named, NotUnderstood> {
    let (scheme, rest) = url.split_once("://").ok_or(QUEUE)?;
    let (_, path) = rest.split_once('/').filter(|_| matches!(scheme, "http" | "https")).ok_or(QUEUE)?;
    queue_in_path(names, path)
}

/// The queue of `123456789012/orders`.
pub(super) fn queue_in_path(names: &Names, path: &str) -> Result<Named, NotUnderstood> {
    let (account, name) = path.split_once('/').filter(|(_, name)| is_plain(name)).ok_or(QUEUE)?;
    Ok(Named { name: Some(name.to_owned()), account: Some(names.account(account)?) })
}

fn redrive(names: &Names, text: &str) -> Result<Option<Named>, NotUnderstood> {
    if text.is_empty() {
        return Ok(None);
    }
    let policy: Node = serde_json::from_str(text).map_err(|_| QUEUE)?;
    let arn = policy.text("deadLetterTargetArn")?.ok_or(QUEUE)?;
    Kind::QueueArn.named(names, (Service::Sqs, None), arn)
}

/// `name`, `123456789012:function:name` or the ARN, each perhaps with a version or alias behind it.
fn function(names: &Names, text: &str) -> Result<Named, NotUnderstood> {
    let (account, rest) = if text.starts_with("arn:") {
        let (account, rest) = names.arn("lambda", text)?;
        (account, rest.strip_prefix("function:").ok_or(FUNCTION)?)
    } else if let Some((number, rest)) = text.split_once(":function:") {
        (Some(names.account(number)?), rest)
    } else {
        (None, text.strip_prefix("function:").unwrap_or(text))
    };
    let name = with_version(rest)?;
    Ok(Named { name: Some(format!("function/{name}")), account })
}

fn layer(names: &Names, text: &str) -> Result<Named, NotUnderstood> {
    let (account, rest) = if text.starts_with("arn:") {
        let (account, rest) = names.arn("lambda", text)?;
        (account, rest.strip_prefix("layer:").ok_or(FUNCTION)?)
    } else {
        (None, text)
    };
    let name = with_version(rest)?;
    Ok(Named { name: Some(format!("layer/{name}")), account })
}

fn with_version(text: &str) -> Result<&str, NotUnderstood> {
    let mut parts = text.split(':');
    let name = parts.next().unwrap_or_default();
    if is_plain(name) && parts.nth(1).is_none() { Ok(name) } else { Err(FUNCTION) }
}

fn of_lambda(names: &Names, arn: &str) -> Result<Named, NotUnderstood> {
    let (account, rest) = names.arn("lambda", arn)?;
    match rest.split_once(':') {
        Some(("function", _)) => function(names, arn),
        Some(("layer", _)) => layer(names, arn),
        Some((kind, name)) if is_plain(kind) && is_plain(name) => {
            Ok(Named { name: Some(format!("{kind}/{name}")), account })
        }
        Some(_) | None => Err(FUNCTION),
    }
}

/// `role/report`, which always is of an account.
fn role(names: &Names, arn: &str) -> Result<Named, NotUnderstood> {
    let (account, rest) = names.arn("iam", arn)?;
    if !rest.starts_with("role/") || account.is_none() {
        return Err(NotUnderstood::Malformed { what: "RoleArn", expected: "the ARN of a role" });
    }
    Ok(Named { name: Some(rest.to_owned()), account })
}

/// What an ARN names, as requests to its own service do.
fn any(names: &Names, called: Service, arn: &str) -> Result<Named, NotUnderstood> {
    let service = arn.split(':').nth(2).filter(|service| is_plain(service)).ok_or(NAME)?;
    let named = match service {
        "lambda" => of_lambda(names, arn)?,
        "dynamodb" => table(names, arn)?,
        "sqs" => Kind::QueueArn.named(names, (Service::Sqs, None), arn)?.ok_or(NAME)?,
        _ => {
            let (account, rest) = names.arn(service, arn)?;
            Named { name: Some(plain_text(rest)?.to_owned()), account }
        }
    };
    if service == called.as_str() {
        return Ok(named);
    }
    Ok(Named { name: named.name.map(|name| format!("{service}:{name}")), account: named.account })
}

fn key(names: &Names, text: &str) -> Result<Option<Named>, NotUnderstood> {
    let (account, rest) = match text {
        "" => return Ok(None),
        arn if arn.starts_with("arn:") => names.arn("kms", arn)?,
        alias if alias.starts_with("alias/") => (None, alias),
        id if is_plain(id) => return Ok(Some(Named { name: Some(format!("kms:key/{id}")), account: None })),
        _ => return Err(NAME),
    };
    Ok(Some(Named { name: Some(format!("kms:{}", plain_text(rest)?)), account }))
}

fn stored(names: &Names, called: Service, text: &str) -> Result<Named, NotUnderstood> {
    let (account, place) = if text.starts_with("arn:") { names.arn("s3", text)? } else { (None, text) };
    let bucket = place.split_once('/').map_or(place, |(bucket, _)| bucket);
    if !is_bucket(bucket) {
        return Err(NAME);
    }
    let before = if called == Service::S3 { "" } else { "s3:" };
    Ok(Named { name: Some(format!("{before}{}", plain_text(place)?)), account })
}

/// `instance/i-1` of `i-1`. What is not known here is called by the first part of its id.
fn by_id(id: &str) -> Result<String, NotUnderstood> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let (first, behind) = id.split_once('-').unwrap_or_default();
    if first.is_empty() || behind.is_empty() || id.len() > 100 || !id.bytes().all(plain) {
        return Err(NotUnderstood::Malformed { what: "an id", expected: "one of EC2" });
    }
    let known = |(begin, _): &&(&str, &str)| id.strip_prefix(begin).is_some_and(|rest| rest.starts_with('-'));
    let kind = IDS.iter().find(known).map_or(first, |(_, kind)| kind);
    Ok(format!("{kind}/{id}"))
}

/// Names of tables, queues and functions.
pub(super) fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= 255 && name.bytes().all(plain)
}

/// Names of buckets.
pub(super) fn is_bucket(name: &str) -> bool {
    is_plain(name) && name.len() >= 3
}

/// A name that everybody reads alike.
fn plain_text(text: &str) -> Result<&str, NotUnderstood> {
    let odd = text.is_empty() || text.len() > 2048 || text.chars().any(char::is_control);
    if odd { Err(NAME) } else { Ok(text) }
}

/// What ids begin with, the longer before the shorter, and what they are ids of.
const IDS: [(&str, &str); 30] = [
    ("acl", "network-acl"),
    ("aki", "image"),
    ("ami", "image"),
    ("ari", "image"),
    ("cagw", "carrier-gateway"),
    ("cr", "capacity-reservation"),
    ("eigw", "egress-only-internet-gateway"),
    ("eipalloc", "elastic-ip"),
    ("eipassoc", "elastic-ip-association"),
    ("eni-attach", "network-interface-attachment"),
    ("eni", "network-interface"),
    ("h", "dedicated-host"),
    ("i", "instance"),
    ("igw", "internet-gateway"),
    ("ipam-pool", "ipam-pool"),
    ("key", "key-pair"),
    ("lgw", "local-gateway"),
    ("lt", "launch-template"),
    ("nat", "natgateway"),
    ("pcx", "vpc-peering-connection"),
    ("pg", "placement-group"),
    ("pl", "prefix-list"),
    ("rtb", "route-table"),
    ("rtbassoc", "route-table-association"),
    ("sg", "security-group"),
    ("sgr", "security-group-rule"),
    ("snap", "snapshot"),
    ("tgw", "transit-gateway"),
    ("vol", "volume"),
    ("vpce", "vpc-endpoint"),
];

const TABLE: NotUnderstood =
    NotUnderstood::Malformed { what: "the table", expected: "named by its name or ARN" };
const QUEUE: NotUnderstood =
    NotUnderstood::Malformed { what: "the queue", expected: "named by its address, or by its name" };
const FUNCTION: NotUnderstood =
    NotUnderstood::Malformed { what: "the function", expected: "named by its name or ARN" };
const NAME: NotUnderstood =
    NotUnderstood::Malformed { what: "a name in the request", expected: "a plain name or an ARN" };
const RIGHTS: NotUnderstood = NotUnderstood::Malformed {
    what: "who may use it, given with something else",
    expected: "left out: give rights by the operation that is for them, which is decided on its own",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_say_what_they_are_of_and_others_are_refused() {
        for (id, name) in [
            ("i-0abc", "instance/i-0abc"),
            ("eni-attach-1", "network-interface-attachment/eni-attach-1"),
            ("eni-1", "network-interface/eni-1"),
            ("rtbassoc-1", "route-table-association/rtbassoc-1"),
            ("vpc-1", "vpc/vpc-1"),
            ("subnet-1", "subnet/subnet-1"),
        ] {
            assert_eq!(by_id(id).unwrap(), name);
        }
        for id in ["", "i", "i-", "-1", "I-1", "i-1,i-2", "i-1 ", "resolve:ssm:x", "*", "i-1/x"] {
            assert!(by_id(id).is_err(), "{id}");
        }
    }
}
