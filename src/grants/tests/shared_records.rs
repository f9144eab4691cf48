//! Records in a real Redis, which hangs and to which attackers write.

use super::shared_world::*;

#[tokio::test]
async fn what_control_has_left_is_found_and_what_it_has_not_is_absent() {
    let world = World::start().await;
    world.leave("1", Seq(3), GrantState::Active).await;
    assert_eq!(world.grant("1").await, Some(installed("1", GrantState::Active)));
    assert_eq!(world.grant("2").await, None);
    let member: Member =
        from_value(json!({ "principal": { "key": { "account": "1", "kind": "user", "id": "11" },
        "login": "alice@acme", "display_name": "Alice", "enabled": true, "full_access": false, "groups": [] },
        "assigned": true, "consented": null, "ended": [] }))
        .unwrap();
    world.publisher.fill(Seq(3), Fact::Member(key("1"), Box::new(member.clone())));
    let principal = &member.principal.key;
    let found = eventually("the member is found", async || {
        world.tier.member(&key("1"), principal, &subjects("1")).await
    })
    .await;
    assert_eq!(found, member);
    assert_eq!(world.tier.member(&key("2"), principal, &subjects("2")).await, None);
}

#[tokio::test]
async fn whatever_somebody_else_puts_there_is_absent_and_counted() {
    let world = World::start().await;
    let name = world.names.grant(&key("1"));
    world.leave("2", Seq(3), GrantState::Active).await;
    let others = world.redis.get(&world.names.grant(&key("2")));
    let body = serde_json::to_value(installed("1", GrantState::Active)).unwrap();
    let forged = record::write(&new_signer(), &name, &world.epoch, Seq(9), &body).unwrap();
    let newer =
        world.signer.sign(&json!({ "v": 2, "key": name, "epoch": world.epoch, "as_of": 9, "body": body }));
    let good = record::stamp(Seq(9), &world.signed(&name, 9, &body));
    let elsewhere = Epoch("another store".to_owned());
    let restored = record::write(&world.signer, &name, &elsewhere, Seq(9), &body).unwrap();
    for (reason, bytes) in [
        ("unsigned", serde_json::to_vec(&body).unwrap()),
        ("unsigned", b"9 ".to_vec()),
        ("unsigned", good.as_bytes().split_at(good.len() - 9).0.to_vec()),
        ("unknown_key", record::stamp(Seq(9), &forged).into_bytes()),
        ("other_place", others),
        ("newer", record::stamp(Seq(9), &newer.unwrap()).into_bytes()),
        ("too_long", vec![b'a'; 10 * record::LONGEST]),
        ("stale", record::stamp(Seq(9), &restored).into_bytes()),
    ] {
        let before = world.tier.counts().reads(reason);
        world.redis.put(&name, &bytes);
        assert_eq!(world.grant("1").await, None, "{reason}");
        assert_eq!(world.tier.counts().reads(reason), before + 1, "{reason}");
    }
    world.redis.ask::<()>(&["DEL", &name]);
    world.redis.ask::<()>(&["LPUSH", &name, "1"]);
    assert_eq!(world.grant("1").await, None);
    world.redis.put(&name, good.as_bytes());
    assert!(world.grant("1").await.is_some(), "after all that, the breaker is still closed");
}

#[tokio::test]
async fn a_record_from_before_a_revocation_is_absent_whoever_brings_it_back() {
    let world = World::start().await;
    let name = world.names.grant(&key("1"));
    world.leave("1", Seq(3), GrantState::Active).await;
    let old = world.redis.get(&name);
    world.tier.changed().raise(&Subject::Grant(key("1")), Seq(4));
    assert_eq!(world.grant("1").await, None, "also before the tombstone is there");
    world.leave("1", Seq(4), GrantState::Revoked).await;
    assert_eq!(state(world.grant("1").await), Some(GrantState::Revoked));
    world.redis.put(&name, &old);
    assert_eq!(world.grant("1").await, None);
    assert_eq!(world.tier.counts().reads("stale"), 2);
    world.redis.ask::<()>(&["DEL", &name]);
    assert_eq!(world.grant("1").await, None);
    world.leave("1", Seq(4), GrantState::Revoked).await;
    world.redis.ask::<()>(&["FLUSHALL"]);
    assert_eq!(world.grant("1").await, None);
}

#[tokio::test]
async fn an_older_fact_never_takes_the_place_of_a_later_one_and_a_lie_of_being_later_takes_nobodys() {
    let world = World::start().await;
    let name = world.names.grant(&key("1"));
    world.leave("1", Seq(7), GrantState::Revoked).await;
    // Another control node that was slow; the second grant only tells when the first has been looked at.
    world.publisher.fill(Seq(6), Fact::Grant(Box::new(installed("1", GrantState::Active))));
    world.leave("2", Seq(6), GrantState::Active).await;
    assert_eq!(state(world.grant("1").await), Some(GrantState::Revoked));
    for lie in ["99999999999 nonsense".to_owned(), {
        let theirs = json!({ "whose": "attacker" });
        record::stamp(Seq(99), &record::write(&new_signer(), &name, &world.epoch, Seq(99), &theirs).unwrap())
    }] {
        world.redis.put(&name, lie.as_bytes());
        world.leave("1", Seq(8), GrantState::Active).await;
        assert_eq!(state(world.grant("1").await), Some(GrantState::Active));
    }
    world.redis.ask::<()>(&["DEL", &name]);
    world.redis.ask::<()>(&["LPUSH", &name, "1"]);
    world.publisher.fill(Seq(9), Fact::Grant(Box::new(installed("1", GrantState::Active))));
    eventually("a key of another type is taken back", async || world.ask("1").await).await;
}

#[tokio::test]
async fn a_record_counts_no_more_once_its_key_is_withdrawn() {
    let world = World::start().await;
    world.leave("1", Seq(3), GrantState::Active).await;
    let added = new_signer().public().to_json();
    world.keys.0.lock().push(added);
    assert!(!world.tier.refresh_keys(&*world.keys).await.unwrap(), "a new key takes nothing away");
    assert!(world.grant("1").await.is_some());
    world.keys.0.lock().remove(0);
    assert!(world.tier.refresh_keys(&*world.keys).await.unwrap(), "what rests on the old one has to go");
    assert_eq!(world.grant("1").await, None);
    assert_eq!(world.tier.counts().reads("unknown_key"), 1);
}

#[tokio::test]
async fn a_redis_that_hangs_delays_a_few_reads_by_their_deadline_and_no_others() {
    let world = World::start().await;
    world.leave("1", Seq(3), GrantState::Active).await;
    world.redis.freeze();
    let (late, not_asked) = (world.tier.counts().reads("late"), world.tier.counts().reads("not_asked"));
    while world.tier.counts().reads("not_asked") == not_asked {
        assert_eq!(world.ask("1").await, None);
    }
    assert_eq!(world.tier.counts().reads("late") - late, 3, "so many, and then nobody asks");
    let (late, not_asked) = (world.tier.counts().reads("late"), world.tier.counts().reads("not_asked"));
    for _ in 0..1000 {
        assert_eq!(world.ask("1").await, None);
    }
    assert_eq!(world.tier.counts().reads("late"), late, "nobody waits for a deadline any more");
    assert_eq!(world.tier.counts().reads("not_asked"), not_asked + 1000);
    world.redis.thaw();
    eventually("it is asked again", async || world.ask("1").await).await;
}

#[tokio::test]
async fn a_redis_that_was_killed_and_comes_back_empty_is_used_again() {
    let mut world = World::start().await;
    world.leave("1", Seq(3), GrantState::Active).await;
    let mut sidecar = world.sidecar(Seq(0));
    sidecar.hears(Seq(0)).await;
    world.redis.kill9();
    assert_eq!(world.ask("1").await, None);
    sidecar.is("the connection is known to be lost", |link| matches!(link, Link::Lost(_))).await;
    world.redis.start_again();
    world.reads_again().await;
    let seq = world.change("after the restart").await;
    while sidecar.told.try_recv().is_ok() {}
    sidecar.hears(seq).await;
    sidecar.is("it is in step again", |link| *link == Link::Synced).await;
    world.leave("1", Seq(3), GrantState::Active).await;
    assert!(world.grant("1").await.is_some());
}
