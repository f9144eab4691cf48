//! What is kept is used by those it was got for, while it and what it rests on last; and is got once for all.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::token::random::Secret;

fn credentials(expires_at: i64) -> Arc<Credentials> {
    let secret = Secret::new("very-secret".to_owned());
    let token = Some(Secret::new("very-secret-too".to_owned()));
    Arc::new(Credentials { key_id: "ASIA1".to_owned(), secret, token, expires_at })
}

fn purpose(service: &str) -> Purpose {
    Purpose {
        grant: serde_json::from_str(r#"{"account":"1","application":"4611686018427387904"}"#).unwrap(),
        revision: serde_json::from_str("1").unwrap(),
        principal: serde_json::from_str(r#"{"account":"1","kind":"user","id":"2"}"#).unwrap(),
        scopes: Arc::new("/aws/s3:read".parse().unwrap()),
        service: service.into(),
    }
}

#[test]
fn credentials_show_nothing_of_their_secrets() {
    let shown = format!("{:?}", credentials(1));
    assert!(shown.contains("ASIA1") && !shown.contains("very-secret"), "{shown}");
}

#[tokio::test]
async fn what_many_need_at_once_is_got_once_and_a_failure_is_shared() {
    let (kept, asked) = (Kept::default(), AtomicUsize::new(0));
    let s3 = purpose("s3");
    let get = |fails: bool| {
        let asked = &asked;
        async move {
            asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            if fails { Err(NoCredentials::Refused("403".to_owned())) } else { Ok(credentials(1)) }
        }
    };
    let (a, b, c) =
        tokio::join!(kept.once(&s3, get(false)), kept.once(&s3, get(false)), kept.once(&s3, get(false)));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(asked.swap(0, Ordering::SeqCst), 1);
    let (a, b) = tokio::join!(kept.once(&s3, get(true)), kept.once(&s3, get(true)));
    assert!(a.is_err() && b.is_err());
    assert_eq!(asked.swap(0, Ordering::SeqCst), 1, "who waits does not wait for another failure");
    // Who comes later, or for something else, asks anew.
    let ec2 = purpose("ec2");
    let (a, b) = tokio::join!(kept.once(&s3, get(false)), kept.once(&ec2, get(false)));
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[test]
fn after_a_failure_there_is_a_pause_of_a_moment_for_who_needs_the_same() {
    let (kept, s3, ec2) = (Kept::default(), purpose("s3"), purpose("ec2"));
    let just = |purpose, now| kept.just_failed(purpose, now).map(|why| why.to_string());
    assert_eq!(just(&s3, 100), None);
    kept.failed(&s3, &NoCredentials::Refused("403".to_owned()), 100);
    assert!(just(&s3, 100).is_some_and(|why| why.contains("403")) && just(&s3, 101).is_some());
    assert_eq!(just(&ec2, 100), None, "nobody else waits");
    assert_eq!(just(&s3, 102), None);
    // Nor for ever, should the clock be set back.
    kept.failed(&s3, &NoCredentials::Refused("403".to_owned()), 100);
    assert_eq!(just(&s3, 99), None);
}

#[test]
fn a_role_serves_the_callers_of_its_own_account_alone() {
    let sts = |role: &str, accounts: &[(&str, &str)]| {
        let settings = format!(
            "cloud = \"aws\"\nendpoint = \"http://127.0.0.1:1\"\nregion = \"r\"\nrole = \"{role}\"\n"
        );
        let accounts = accounts.iter().map(|(own, cloud)| (own.parse().unwrap(), cloud.parse().unwrap()));
        Sts::new(&toml::from_str(&settings).unwrap(), Arc::new(accounts.collect()), Clock::system()).unwrap()
    };
    let role = |sts: &Sts, account: &str| sts.role_of(&sts.settings.role, &account.parse().unwrap()).ok();
    let each = sts("arn:aws:iam::{account}:role/c", &[("1", "111111111111"), ("2", "222222222222")]);
    assert_eq!(role(&each, "1").as_deref(), Some("arn:aws:iam::111111111111:role/c"));
    assert_eq!(role(&each, "2").as_deref(), Some("arn:aws:iam::222222222222:role/c"));
    assert_eq!(role(&each, "3"), None, "an account without a number there has no role");
    let one = sts("arn:aws:iam::111111111111:role/c", &[("1", "111111111111"), ("2", "222222222222")]);
    assert!(role(&one, "1").is_some() && role(&one, "2").is_none());
    let plain = sts("arn:aws:iam::{account}:role/c", &[]);
    assert_eq!(role(&plain, "111111111111").as_deref(), Some("arn:aws:iam::111111111111:role/c"));
}
