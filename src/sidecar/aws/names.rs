//! How AWS names things: accounts by twelve digits, resources by ARNs, hosts with or without a bucket before them.

use std::sync::Arc;

use crate::model::call::Action;
use crate::model::id::AccountId;
use crate::sidecar::adapter::{Asked, NotUnderstood};
use crate::sidecar::sts::CloudAccounts;

/// What must be known to understand such names.
#[derive(Debug, Clone, Default)]
pub(in crate::sidecar) struct Names {
    accounts: CloudAccounts,
    host: Arc<str>,
}

/// What one text names: something, its account, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: Option<String>,
    pub(super) account: Option<AccountId>,
}

/// All that a request names, each once, of one account. What is named without one is the caller's own.
#[derive(Debug, Default)]
pub(super) struct Found {
    names: Vec<String>,
    account: Option<AccountId>,
    /// What is copied from, with the action that reads it.
    pub(super) copied: Option<(Action, String)>,
}

impl Found {
    /// Nothing yet, of this account where one is named.
    pub(super) fn of(account: Option<AccountId>) -> Self {
        Self { names: Vec::new(), account, copied: None }
    }

    /// Takes in a name.
    pub(super) fn name(&mut self, name: String) -> Result<(), NotUnderstood> {
        self.add(Named { name: Some(name), account: None })
    }

    /// Takes in what is named.
    pub(super) fn add(&mut self, Named { name, account }: Named) -> Result<(), NotUnderstood> {
        if let Some(account) = account
            && self.account.get_or_insert_with(|| account.clone()) != &account
        {
            return Err(NotUnderstood::Ambiguous("the account"));
        }
        let Some(name) = name.filter(|name| !self.names.contains(name)) else { return Ok(()) };
        if self.names.len() >= MOST {
            return Err(NotUnderstood::Malformed {
                what: "the request",
                expected: "about at most 1000 things",
            });
        }
        self.names.push(name);
        Ok(())
    }

    /// What is asked for: on each of them; on all of the service where nothing is named.
    pub(super) fn asked(self, action: Action) -> Asked {
        let mut names = self.names.into_iter();
        let resource = names.next().unwrap_or_else(|| "*".to_owned());
        let (account, copied) = (self.account, self.copied);
        Asked { action, resource, also: names.collect(), under: None, copied, region: None, account }
    }
}

impl Names {
    /// The accounts' numbers at AWS, and the host that clients know this sidecar by.
    pub(in crate::sidecar) fn new(accounts: CloudAccounts, host: String) -> Self {
        Self { accounts, host: Arc::from(host) }
    }

    /// The number at AWS of an account.
    pub(in crate::sidecar) fn number<'n>(&'n self, account: &'n AccountId) -> &'n AccountId {
        self.accounts.get(account).unwrap_or(account)
    }

    /// The account with this number at AWS.
    pub(in crate::sidecar) fn account(&self, number: &str) -> Result<AccountId, NotUnderstood> {
        let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number: AccountId = number.parse().ok().filter(|_| plain).ok_or(ACCOUNT)?;
        if self.accounts.is_empty() {
            return Ok(number);
        }
        // A number that no account has here is nobody's: it must not be taken for an account's own number.
        let mut known = self.accounts.iter();
        known.find(|(_, cloud)| **cloud == number).map(|(own, _)| own.clone()).ok_or(ACCOUNT)
    }

    /// Whether the host names a bucket before the service's own name.
    pub(super) fn has_bucket(&self, host: &str) -> bool {
        if host.parse::<std::net::IpAddr>().is_ok() || host.starts_with('[') {
            return false;
        }
        let under_own = host.strip_suffix(&*self.host).is_some_and(|before| before.ends_with('.'));
        let cloud = host.strip_suffix(".cn").unwrap_or(host).strip_suffix(".amazonaws.com");
        under_own
            || cloud
                .is_some_and(|before| !before.starts_with("s3.") && before != "s3" && !is_regional(before))
    }

    /// The parts of an ARN of `service`: its account and what is behind it.
    pub(super) fn arn<'a>(
        &self,
        service: &str,
        arn: &'a str,
    ) -> Result<(Option<AccountId>, &'a str), NotUnderstood> {
        let mut parts = arn.splitn(6, ':');
        let mut next = || parts.next().ok_or(ARN);
        let (begin, partition, of, _region, account, rest) =
            (next()?, next()?, next()?, next()?, next()?, next()?);
        if begin != "arn" || !partition.starts_with("aws") || of != service || rest.is_empty() {
            return Err(ARN);
        }
        let account = if account.is_empty() { None } else { Some(self.account(account)?) };
        Ok((account, rest))
    }
}

/// `s3-eu-west-1` of old, without a dot: a bucket would stand before one.
fn is_regional(before: &str) -> bool {
    before.starts_with("s3-") && !before.contains('.')
}

/// Names in one request: as many as S3 deletes at once.
const MOST: usize = 1000;
const ACCOUNT: NotUnderstood =
    NotUnderstood::Malformed { what: "the account", expected: "the number of an account that is known here" };
const ARN: NotUnderstood =
    NotUnderstood::Malformed { what: "the ARN", expected: "one of the called service" };

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn names() -> Names {
        let accounts =
            BTreeMap::from([("1000000000000001".parse().unwrap(), "123456789012".parse().unwrap())]);
        Names::new(Arc::new(accounts), "apps.example".to_owned())
    }

    #[test]
    fn accounts_are_known_by_their_numbers_at_aws() {
        assert_eq!(names().account("123456789012").unwrap().as_str(), "1000000000000001");
        assert_eq!(Names::default().account("123456789012").unwrap().as_str(), "123456789012");
        for number in ["1000000000000001", "999999999999", "", "12a"] {
            assert!(names().account(number).is_err(), "{number}");
        }
    }

    #[test]
    fn a_bucket_before_the_host_is_seen() {
        for host in [
            "b.s3.amazonaws.com",
            "b.s3.eu-west-1.amazonaws.com",
            "b.apps.example",
            "b.s3.cn-north-1.amazonaws.com.cn",
        ] {
            assert!(names().has_bucket(host), "{host}");
        }
        for host in [
            "127.0.0.1",
            "apps.example",
            "s3.amazonaws.com",
            "s3.eu-west-1.amazonaws.com",
            "s3-eu-west-1.amazonaws.com",
            "other.test",
        ] {
            assert!(!names().has_bucket(host), "{host}");
        }
    }

    #[test]
    fn an_arn_of_another_service_or_form_is_refused() {
        let (account, rest) = names().arn("sqs", "arn:aws:sqs:eu-west-1:123456789012:q").unwrap();
        assert_eq!((account.unwrap().as_str(), rest), ("1000000000000001", "q"));
        for arn in [
            "arn:aws:sns:eu-west-1:123456789012:q",
            "arn:aws:sqs:eu-west-1:999999999999:q",
            "q",
            "arn:aws:sqs:::",
            "x:aws:sqs:r:123456789012:q",
        ] {
            assert!(names().arn("sqs", arn).is_err(), "{arn}");
        }
    }
}
