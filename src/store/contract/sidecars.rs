//! Sidecars: who may enrol, whose keys are published, who is presumed to hold a lease; and what tells one life of
//! the store from another.

use std::time::Duration;

use super::*;
use crate::model::id::SidecarId;
use crate::store::{Enrolled, Invitation, SidecarKey, SidecarStatus};

fn sidecar(name: &str) -> SidecarId {
    name.parse().unwrap()
}

fn enrolment(name: &str, kid: &str) -> Enrolled {
    Enrolled {
        sidecar: sidecar(name),
        public_jwk: format!("{{\"kid\":\"{kid}\"}}"),
        kid: kid.to_owned(),
        enrolled_at: at(1),
        revoked_at: None,
        presumed_until: None,
        status: None,
    }
}

fn status(applied: u64) -> SidecarStatus {
    SidecarStatus {
        version: "0.1.0".to_owned(),
        policies: "p1".to_owned(),
        paths: vec!["control".to_owned()],
        applied: Seq(applied),
        at: at(2),
    }
}

impl World {
    async fn invite(&self, name: &str, byte: u8) {
        let invitation = Invitation { sidecar: sidecar(name), token_hash: [byte; 32], expires_at: at(100) };
        self.store.invite(&invitation, at(0)).await.unwrap();
    }

    /// Enrols by certificate.
    async fn enrol(&self, name: &str, kid: &str) {
        assert!(self.store.enrol(&enrolment(name, kid), None, at(1)).await.unwrap());
    }

    async fn publish(&self, name: &str, kid: &str) -> Result<(), StoreError> {
        let public_jwk = "{}".to_owned();
        let key =
            SidecarKey { kid: kid.to_owned(), sidecar: sidecar(name), public_jwk, published_until: at(500) };
        self.store.publish_sidecar_key(&key, at(1)).await
    }

    async fn published(&self) -> Vec<String> {
        self.store.sidecar_keys(at(2)).await.unwrap().into_iter().map(|key| key.kid).collect()
    }

    async fn presumed(&self) -> Vec<String> {
        self.store.presumed().await.unwrap().into_iter().map(|one| one.instance.to_string()).collect()
    }
}

pub(super) async fn an_invitation_enrols_its_name_once(world: &World) {
    world.invite("web-1", 1).await;
    let before = world.newest().await;
    let taken = at_once(8, &world.store, |store, task| async move {
        store.enrol(&enrolment("web-1", &format!("k{task}")), Some(&[1; 32]), at(50)).await.unwrap()
    })
    .await;
    assert_eq!(taken.into_iter().filter(|taken| *taken).count(), 1);
    assert_eq!(world.log_after(before).await, [Subject::Keys]);
    let found = world.store.enrolled(&sidecar("web-1")).await.unwrap().unwrap();
    assert_eq!(found, enrolment("web-1", &found.kid));
    assert_eq!(world.store.all_enrolled().await.unwrap(), [found]);
}

pub(super) async fn an_invitation_that_is_old_replaced_or_anothers_enrols_nobody(world: &World) {
    let enrols = async |name: &str, byte: u8, second: i64| {
        world.store.enrol(&enrolment(name, "k1"), Some(&[byte; 32]), at(second)).await.unwrap()
    };
    world.invite("web-1", 1).await;
    let before = world.newest().await;
    assert!(!enrols("web-2", 1, 50).await, "it was for another name");
    assert!(!enrols("web-1", 9, 50).await, "nobody gave it");
    assert!(!enrols("web-1", 1, 100).await, "it was too old");
    world.invite("web-1", 2).await;
    assert!(!enrols("web-1", 1, 50).await, "it was replaced");
    assert!(world.store.all_enrolled().await.unwrap().is_empty());
    assert_eq!(world.newest().await, before);
    assert!(enrols("web-1", 2, 99).await);
}

pub(super) async fn a_revoked_sidecar_loses_its_keys_and_comes_back_by_invitation_only(world: &World) {
    for (name, kid) in [("web-1", "k1"), ("web-2", "k2")] {
        world.enrol(name, kid).await;
        world.publish(name, kid).await.unwrap();
    }
    world.invite("web-1", 1).await;
    let before = world.newest().await;
    world.store.revoke_sidecar(&sidecar("web-1"), at(2)).await.unwrap();
    assert_eq!(world.log_after(before).await, [Subject::Keys]);
    assert_eq!(world.published().await, ["k2"]);
    let found = world.store.enrolled(&sidecar("web-1")).await.unwrap().unwrap();
    assert_eq!(found.revoked_at, Some(at(2)));
    assert!(is_missing(world.store.revoke_sidecar(&sidecar("web-1"), at(3)).await));
    assert!(is_missing(world.store.revoke_sidecar(&sidecar("web-3"), at(3)).await));
    for kid in ["k1", "k3"] {
        assert!(matches!(world.publish("web-1", kid).await, Err(StoreError::Conflict(_))));
        assert!(!world.store.enrol(&enrolment("web-1", kid), None, at(4)).await.unwrap());
        assert!(!world.store.enrol(&enrolment("web-1", kid), Some(&[1; 32]), at(4)).await.unwrap());
    }
    world.invite("web-1", 2).await;
    let withdrawn = world.store.enrol(&enrolment("web-1", "k1"), Some(&[2; 32]), at(5)).await;
    assert!(matches!(withdrawn, Err(StoreError::Conflict(_))), "a withdrawn key came back");
    assert!(world.store.enrol(&enrolment("web-1", "k3"), Some(&[2; 32]), at(5)).await.unwrap());
    world.publish("web-1", "k3").await.unwrap();
    assert_eq!(world.published().await, ["k2", "k3"]);
}

pub(super) async fn a_new_key_takes_the_place_of_the_one_before(world: &World) {
    world.enrol("web-1", "k1").await;
    world.publish("web-1", "k1").await.unwrap();
    world.enrol("web-1", "k1").await;
    assert_eq!(world.published().await, ["k1"]);
    world.enrol("web-1", "k2").await;
    assert!(world.published().await.is_empty());
    assert_eq!(world.store.enrolled(&sidecar("web-1")).await.unwrap().unwrap().kid, "k2");
    for kid in ["k2", "k1"] {
        let anothers = world.store.enrol(&enrolment("web-2", kid), None, at(3)).await;
        assert!(matches!(anothers, Err(StoreError::Conflict(_))), "{kid} is the first one's");
    }
}

pub(super) async fn who_is_presumed_again_is_told_apart_and_is_presumed_until_it_leaves(world: &World) {
    for (name, kid) in [("web-1", "k1"), ("web-2", "k2")] {
        world.enrol(name, kid).await;
    }
    assert!(world.presumed().await.is_empty());
    let presume = async |name: &str, seconds, applied| {
        let lease = Duration::from_secs(seconds);
        world.store.presume(&sidecar(name), lease, &status(applied)).await.unwrap();
    };
    presume("web-1", 5, 7).await;
    let first = world.store.presumed().await.unwrap();
    presume("web-1", 2, 8).await;
    presume("web-2", 2, 7).await;
    let found = world.again().await.presumed().await.unwrap();
    assert_eq!(found.len(), 2);
    assert!(found[0].instance == first[0].instance && found[0].renewed > first[0].renewed);
    assert_eq!(found[0].lease_ms, 5000, "it may still hold the longer one");
    let kept = world.store.enrolled(&sidecar("web-1")).await.unwrap().unwrap();
    assert_eq!(kept.status, Some(status(8)));
    assert!(kept.presumed_until.is_some());

    world.store.forget_presumed(&first[0]).await.unwrap();
    assert_eq!(world.presumed().await, ["web-1", "web-2"], "the first has been presumed again since");
    world.store.forget_presumed(&found[1]).await.unwrap();
    world.store.left(&sidecar("web-1")).await.unwrap();
    assert!(world.presumed().await.is_empty());
}

pub(super) async fn two_processes_of_a_sidecar_hold_leases_of_their_own(world: &World) {
    world.enrol("web-1", "k1").await;
    let (one, two) = (sidecar("web-1.0000000a"), sidecar("web-1.0000000b"));
    for (process, applied) in [(&one, 3), (&two, 4)] {
        world.store.presume(process, Duration::from_secs(5), &status(applied)).await.unwrap();
    }
    let found = world.store.instances().await.unwrap();
    assert!(found.iter().all(|found| found.sidecar == sidecar("web-1")));
    let applied: Vec<_> = found.iter().map(|found| found.status.applied).collect();
    assert_eq!(applied, [Seq(3), Seq(4)]);
    world.store.left(&one).await.unwrap();
    assert_eq!(world.presumed().await, [two.as_str()]);
    assert!(world.store.enrolled(&sidecar("web-1")).await.unwrap().unwrap().presumed_until.is_some());
}

pub(super) async fn a_revoked_sidecar_is_presumed_to_its_end_and_gets_no_new_lease(world: &World) {
    world.enrol("web-1", "k1").await;
    let lasts = Duration::from_secs(5);
    world.store.presume(&sidecar("web-1"), lasts, &status(1)).await.unwrap();
    world.store.revoke_sidecar(&sidecar("web-1"), at(2)).await.unwrap();
    assert_eq!(world.presumed().await, ["web-1"]);
    for name in ["web-1", "web-9"] {
        assert!(is_missing(world.store.presume(&sidecar(name), lasts, &status(1)).await));
    }
}

pub(super) async fn the_epoch_is_the_stores_own_and_stays(world: &World) {
    let epoch = world.store.epoch().await.unwrap();
    assert!(epoch.0.len() >= 32);
    assert_eq!(world.again().await.epoch().await.unwrap(), epoch);
    let folder = tempfile::tempdir().unwrap();
    let another = open(folder.path().join("another.db").to_str().unwrap()).await.unwrap();
    assert_ne!(another.epoch().await.unwrap(), epoch);
}

pub(super) async fn other_policies_are_in_the_log_and_the_same_are_not(world: &World) {
    let before = world.newest().await;
    let first = world.store.note_policies("p1", at(1)).await.unwrap();
    assert_eq!(first, Some(world.newest().await));
    assert_eq!(world.again().await.note_policies("p1", at(2)).await.unwrap(), None);
    assert!(world.store.note_policies("p2", at(3)).await.unwrap() > first);
    assert_eq!(world.log_after(before).await, [Subject::Policies, Subject::Policies]);
}
