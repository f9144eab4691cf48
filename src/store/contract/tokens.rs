//! Codes, refresh tokens and families: one winner, and reuse ends all.

use super::*;
use crate::model::grant::GrantState;
use crate::store::{CodeOutcome, LONGEST_ACCESS_TOKEN, RefreshOutcome};

pub(super) async fn a_code_is_redeemed_once_by_one_of_many(world: &World) {
    let grant = world.install("report-hub", None).await;
    let kept = world.code(&grant, 1).await;
    let outcomes =
        at_once(
            8,
            &world.store,
            |store, _| async move { store.redeem_code(&[1; 32], at(20)).await.unwrap() },
        )
        .await;
    let mut reused = 0;
    let mut redeemed = Vec::new();
    for outcome in outcomes {
        match outcome {
            CodeOutcome::Redeemed(code) => redeemed.push(code),
            CodeOutcome::Reused(_) => reused += 1,
            CodeOutcome::Unknown => {}
        }
    }
    assert_eq!((redeemed.len(), reused), (1, 7));
    assert_eq!(redeemed[0].authorization, kept.authorization);
    assert_eq!((&redeemed[0].redirect_uri, &redeemed[0].challenge), (&kept.redirect_uri, &kept.challenge));
}

pub(super) async fn a_code_used_again_ends_its_family_and_sidecars_are_told(world: &World) {
    let grant = world.install("report-hub", None).await;
    let refresh = world.refresh(&grant, 1).await;
    let other = world.refresh(&grant, 2).await;
    let before = world.newest().await;
    let outcome = world.store.redeem_code(&[1; 32], at(30)).await.unwrap();
    assert!(matches!(outcome, CodeOutcome::Reused(family) if family == refresh.authorization.family));
    assert_eq!(world.log_after(before).await, [Subject::Member(grant.key.clone(), user("u-alice"))]);
    let member = world.store.member(&grant.key, &user("u-alice"), at(31)).await.unwrap().unwrap();
    assert_eq!(member.ended, std::slice::from_ref(&refresh.authorization.family));
    assert!(world.store.refresh(&refresh.hash, at(31)).await.unwrap().is_none());
    assert!(world.store.refresh(&other.hash, at(31)).await.unwrap().is_some());
    assert!(world.store.family_is_live(&other.authorization.family).await.unwrap());
    assert!(!world.store.family_is_live(&refresh.authorization.family).await.unwrap());
    world.store.redeem_code(&[1; 32], at(32)).await.unwrap();
    assert_eq!(world.log_after(before).await.len(), 1);
}

pub(super) async fn a_code_dies_with_its_time_grant_principal_and_application(world: &World) {
    let grant = world.install("report-hub", None).await;
    for byte in 1..=5 {
        world.code(&grant, byte).await;
    }
    let redeem = async |byte: u8, second| {
        matches!(world.store.redeem_code(&[byte; 32], at(second)).await.unwrap(), CodeOutcome::Redeemed(_))
    };
    assert!(!redeem(1, 70).await, "it was too old");
    world.store.enable_principal(&user("u-alice"), false, at(20)).await.unwrap();
    assert!(!redeem(2, 21).await, "its principal was disabled");
    world.store.enable_principal(&user("u-alice"), true, at(22)).await.unwrap();
    let mut disabled = application("report-hub", GLOBEX, false);
    disabled.enabled = false;
    world.store.change_application(&disabled, &admin(), at(23)).await.unwrap();
    assert!(!redeem(3, 24).await, "its application was disabled");
    disabled.enabled = true;
    world.store.change_application(&disabled, &admin(), at(25)).await.unwrap();
    world.store.set_state(&grant.key, GrantState::Suspended, &admin(), at(26)).await.unwrap();
    assert!(!redeem(4, 27).await, "its grant was suspended");
    world.store.set_state(&grant.key, GrantState::Active, &admin(), at(28)).await.unwrap();
    assert!(redeem(5, 29).await, "nothing is wrong with this one");
    assert!(!redeem(9, 29).await, "nobody knows this one");
}

pub(super) async fn a_refresh_token_is_rotated_by_one_of_many(world: &World) {
    let grant = world.install("report-hub", None).await;
    let refresh = world.refresh(&grant, 1).await;
    let outcomes = at_once(8, &world.store, |store, task| async move {
        let application = key("report-hub").application;
        store.rotate_refresh(&[1; 32], &application, &[100 + task; 32], at(90_000), at(30)).await.unwrap()
    })
    .await;
    let rotated = outcomes.iter().filter(
        |outcome| matches!(outcome, RefreshOutcome::Rotated(given) if *given == refresh.authorization),
    );
    assert_eq!(rotated.count(), 1);
    let reused = outcomes.iter().filter(|outcome| matches!(outcome, RefreshOutcome::Reused(_)));
    assert_eq!(reused.count(), 7);
}

async fn rotate(world: &World, hash: u8, successor: u8, second: i64) -> RefreshOutcome {
    let application = key("report-hub").application;
    let (old, new) = ([hash; 32], [successor; 32]);
    world.store.rotate_refresh(&old, &application, &new, at(90_000), at(second)).await.unwrap()
}

pub(super) async fn a_spent_refresh_token_ends_its_family(world: &World) {
    let grant = world.install("report-hub", None).await;
    world.refresh(&grant, 1).await;
    assert!(matches!(rotate(world, 1, 11, 30).await, RefreshOutcome::Rotated(_)));
    assert!(matches!(rotate(world, 11, 12, 31).await, RefreshOutcome::Rotated(_)));
    assert!(world.store.refresh(&[1; 32], at(32)).await.unwrap().is_none());
    assert_eq!(world.store.refresh(&[12; 32], at(32)).await.unwrap().unwrap().expires_at, at(90_000));
    let before = world.newest().await;
    assert!(matches!(rotate(world, 1, 13, 32).await, RefreshOutcome::Reused(_)));
    assert_eq!(world.log_after(before).await, [Subject::Member(grant.key.clone(), user("u-alice"))]);
    assert!(matches!(rotate(world, 12, 14, 33).await, RefreshOutcome::Unknown));
    let audit = world.store.audit(&account(ACME), 1).await.unwrap();
    assert_eq!(audit[0].event, "refresh.reused");
}

pub(super) async fn a_refresh_token_of_another_application_is_unknown_and_stays(world: &World) {
    let grant = world.install("report-hub", None).await;
    world.refresh(&grant, 1).await;
    let other = key("in-house").application;
    let outcome = world.store.rotate_refresh(&[1; 32], &other, &[11; 32], at(90_000), at(30)).await.unwrap();
    assert!(matches!(outcome, RefreshOutcome::Unknown));
    assert!(matches!(rotate(world, 1, 11, 31).await, RefreshOutcome::Rotated(_)));
}

pub(super) async fn a_refresh_token_survives_a_suspension_and_not_a_revocation(world: &World) {
    let grant = world.install("report-hub", None).await;
    world.refresh(&grant, 1).await;
    let set = async |state| world.store.set_state(&grant.key, state, &admin(), at(30)).await.unwrap();
    set(GrantState::Suspended).await;
    assert!(matches!(rotate(world, 1, 11, 31).await, RefreshOutcome::Unknown));
    set(GrantState::Active).await;
    assert!(matches!(rotate(world, 1, 11, 32).await, RefreshOutcome::Rotated(_)));
    set(GrantState::Revoked).await;
    world.install("report-hub", None).await;
    assert!(matches!(rotate(world, 11, 12, 33).await, RefreshOutcome::Unknown));
    assert!(matches!(rotate(world, 99, 12, 33).await, RefreshOutcome::Unknown));
}

pub(super) async fn an_ended_family_is_told_as_long_as_its_tokens_could_live(world: &World) {
    let grant = world.install("report-hub", None).await;
    let family = world.refresh(&grant, 1).await.authorization.family;
    world.store.end_family(&family, at(3630), at(30)).await.unwrap();
    world.store.end_family(&family, at(9999), at(31)).await.unwrap();
    let ended = async |second| {
        world.store.member(&grant.key, &user("u-alice"), at(second)).await.unwrap().unwrap().ended
    };
    assert_eq!(ended(3629).await, [family]);
    assert_eq!(ended(3630).await, []);
    assert!(matches!(rotate(world, 1, 11, 32).await, RefreshOutcome::Unknown));
    assert!(is_missing(world.store.end_family(&"unheard-of".parse().unwrap(), at(40), at(30)).await));
}

pub(super) async fn withdrawing_a_consent_ends_that_persons_families_only(world: &World) {
    let grant = world.install("mcp-server", None).await;
    let alices = world.refresh(&grant, 1).await;
    let mut bobs = code(&grant, 2);
    bobs.authorization.principal = user("u-bob");
    world.store.keep_code(&bobs).await.unwrap();
    world.store.consent_in_person(&grant.key, &user("u-alice"), &scopes("openid"), at(21)).await.unwrap();
    world.store.withdraw_consent(&grant.key, &user("u-alice"), &admin(), at(22)).await.unwrap();
    world.store.consent_in_person(&grant.key, &user("u-alice"), &scopes("openid"), at(23)).await.unwrap();
    assert!(world.store.refresh(&alices.hash, at(24)).await.unwrap().is_none());
    let member = world.store.member(&grant.key, &user("u-alice"), at(24)).await.unwrap().unwrap();
    assert_eq!(member.ended, [alices.authorization.family]);
    assert!(world.store.family_is_live(&bobs.authorization.family).await.unwrap());
}

pub(super) async fn a_family_without_a_code_or_ended_takes_no_refresh_token(world: &World) {
    let grant = world.install("report-hub", None).await;
    let Code { hash, authorization, .. } = code(&grant, 1);
    let refresh = Refresh { hash, authorization, expires_at: at(500) };
    assert!(is_missing(world.store.keep_refresh(&refresh).await));
    world.code(&grant, 1).await;
    world.store.end_family(&refresh.authorization.family, at(500), at(20)).await.unwrap();
    assert!(is_missing(world.store.keep_refresh(&refresh).await));
    assert!(world.store.refresh(&hash, at(21)).await.unwrap().is_none());
}

pub(super) async fn old_tokens_are_forgotten_and_living_ones_are_not(world: &World) {
    let grant = world.install("report-hub", None).await;
    let code = world.code(&grant, 1).await;
    let refresh = world.refresh(&grant, 2).await;
    let (short, long) = (code.authorization.family, refresh.authorization.family);
    assert_eq!(world.store.forget_old_tokens(at(69 + LONGEST_ACCESS_TOKEN)).await.unwrap(), 0);
    assert!(world.store.family_is_live(&short).await.unwrap());
    assert!(world.store.forget_old_tokens(at(70 + LONGEST_ACCESS_TOKEN)).await.unwrap() > 0);
    assert!(!world.store.family_is_live(&short).await.unwrap());
    assert!(world.store.refresh(&refresh.hash, at(86_399)).await.unwrap().is_some());
    world.store.forget_old_tokens(at(86_400)).await.unwrap();
    assert!(world.store.family_is_live(&long).await.unwrap(), "its last access token may be alive");
    world.store.forget_old_tokens(at(86_400 + LONGEST_ACCESS_TOKEN)).await.unwrap();
    assert!(!world.store.family_is_live(&long).await.unwrap());
}
