//! What the bodies of tables' and queues' operations touch, and whose that is.
//!
//! An operation that names several tables is decided on each. One that names its table in a way that is not known is
//! refused: it would pass by what guardrails say of that table.

use super::json::Node;
use super::names::{Named, Names};
use crate::sidecar::adapter::NotUnderstood;

/// The tables of an operation of DynamoDB: `table/orders`; `*` for what is about no table.
pub(super) fn tables(names: &Names, operation: &str, body: &Node) -> Result<Vec<Named>, NotUnderstood> {
    let mut found: Vec<Named> = Vec::new();
    let mut add = |text: &str| -> Result<(), NotUnderstood> {
        let named = table_named(names, text)?;
        if !found.contains(&named) {
            found.push(named);
        }
        Ok(())
    };
    for key in
        ["TableName", "TableArn", "ResourceArn", "BackupArn", "ExportArn", "ImportArn", "GlobalTableName"]
    {
        body.text(key)?.map_or(Ok(()), &mut add)?;
    }
    if let Some(Node::Object(requests)) = body.get("RequestItems") {
        requests.iter().try_for_each(|(table, _)| add(table))?;
    }
    if let Some(Node::List(items)) = body.get("TransactItems") {
        for item in items {
            let Node::Object(kinds) = item else { return Err(TABLE) };
            for (_, kind) in kinds {
                add(kind.text("TableName")?.ok_or(TABLE)?)?;
            }
        }
    }
    if let Some(creation) = body.get("TableCreationParameters") {
        add(creation.text("TableName")?.ok_or(TABLE)?)?;
    }
    if found.is_empty() && names_no_table(operation) {
        return Ok(vec![Named { name: "*".to_owned(), account: None }]);
    }
    // One account is asked about; tables by name are the caller's.
    match found.split_first() {
        Some((first, others)) if others.iter().all(|other| other.account == first.account) => Ok(found),
        Some(_) => Err(NotUnderstood::Ambiguous("the account")),
        None => Err(TABLE),
    }
}

fn names_no_table(operation: &str) -> bool {
    operation.starts_with("List") || matches!(operation, "DescribeLimits" | "DescribeEndpoints")
}

fn table_named(names: &Names, text: &str) -> Result<Named, NotUnderstood> {
    let (account, table) = if text.starts_with("arn:") {
        let (account, rest) = names.arn("dynamodb", text)?;
        let rest = rest.strip_prefix("table/").or_else(|| rest.strip_prefix("global-table/")).ok_or(TABLE)?;
        (account, rest.split('/').next().unwrap_or_default())
    } else {
        (None, text)
    };
    if is_plain(table) { Ok(Named { name: format!("table/{table}"), account }) } else { Err(TABLE) }
}

/// The queue of an operation of SQS, by its name; `*` for what is about none.
pub(super) fn queue(names: &Names, operation: &str, body: &Node) -> Result<Named, NotUnderstood> {
    let keys = Keys {
        url: body.text("QueueUrl")?,
        name: body.text("QueueName")?,
        owner: body.text("QueueOwnerAWSAccountId")?,
    };
    keys.queue(names, operation)
}

/// What can name a queue.
#[derive(Clone, Copy, Default)]
pub(super) struct Keys<'a> {
    pub(super) url: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) owner: Option<&'a str>,
}

impl Keys<'_> {
    pub(super) fn queue(self, names: &Names, operation: &str) -> Result<Named, NotUnderstood> {
        let account = self.owner.map(|owner| names.account(owner)).transpose()?;
        match (self.url, self.name) {
            (Some(_), Some(_)) => Err(NotUnderstood::Ambiguous("the queue")),
            (Some(url), None) => {
                let named = queue_at(names, url)?;
                if account.is_some() && account != named.account {
                    return Err(NotUnderstood::Ambiguous("the account"));
                }
                Ok(named)
            }
            (None, Some(name)) if is_plain(name) => Ok(Named { name: name.to_owned(), account }),
            (None, None) if operation == "ListQueues" => Ok(Named { name: "*".to_owned(), account }),
            (None, Some(_) | None) => Err(QUEUE),
        }
    }
}

/// The queue of an address such as `https://sqs.eu-west-1.amazonaws.com/123456789012/orders`; its host says nothing.
pub(super) fn queue_at(names: &Names, url: &str) -> Result<Named, NotUnderstood> {
    let (scheme, rest) = url.split_once("://").ok_or(QUEUE)?;
    let (_, path) = rest.split_once('/').filter(|_| matches!(scheme, "http" | "https")).ok_or(QUEUE)?;
    queue_in_path(names, path)
}

/// The queue of `123456789012/orders`.
pub(super) fn queue_in_path(names: &Names, path: &str) -> Result<Named, NotUnderstood> {
    let (account, name) = path.split_once('/').filter(|(_, name)| is_plain(name)).ok_or(QUEUE)?;
    Ok(Named { name: name.to_owned(), account: Some(names.account(account)?) })
}

/// Names of tables and queues.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.len() <= 255 && name.bytes().all(plain)
}

const TABLE: NotUnderstood =
    NotUnderstood::Malformed { what: "the table", expected: "named by its name or ARN" };
const QUEUE: NotUnderstood =
    NotUnderstood::Malformed { what: "the queue", expected: "named by its address, or by its name" };
