//! The log and the watermark in a real Redis: what renews a lease, and what does not.

use super::shared_world::*;

#[tokio::test]
async fn a_change_is_heard_of_in_order_and_renews_the_lease() {
    let world = World::start().await;
    let first = world.change("one").await;
    let mut sidecar = world.sidecar(Seq(0));
    let told = sidecar.hears(first).await;
    assert_eq!(told.path, "redis");
    let second = world.change("two").await;
    sidecar.hears(second).await;
    sidecar.is("it is in step", |link| *link == Link::Synced).await;
    // One that comes late is told all of it, in order.
    let mut late = world.sidecar(Seq(0));
    let told = eventually::in_time("news", late.told.recv()).await.unwrap();
    let entry = |seq: Seq| Change { seq, subject: Subject::Policies };
    assert_eq!(told.news.changes, [entry(first), entry(second)]);
}

#[tokio::test]
async fn a_log_with_a_gap_or_an_entry_that_is_not_controls_tells_up_to_there_and_renews_nothing() {
    let mut world = World::start().await;
    for version in ["one", "two", "three"] {
        world.change(version).await;
    }
    world.sidecar(Seq(0)).hears(Seq(3)).await;
    world.silence().await;
    let log = world.names.log().to_owned();
    let policies = json!("policies");
    let (first, third) = (world.signed(&log, 1, &policies), world.signed(&log, 3, &policies));
    let (forged, elsewhere) = (
        record::write(&new_signer(), &log, &world.epoch, Seq(2), &policies).unwrap(),
        world.signed(world.names.watermark(), 2, &policies),
    );
    let other_life = record::write(&world.signer, &log, &Epoch("x".to_owned()), Seq(2), &policies).unwrap();
    for (reason, second) in [
        ("gap", None),
        ("unsigned", Some("no record".to_owned())),
        ("unknown_key", Some(forged)),
        ("other_place", Some(elsewhere)),
        // The first entry again, as if it were the second.
        ("other_place", Some(first.clone())),
        ("other_epoch", Some(other_life)),
    ] {
        world.redis.ask::<()>(&["DEL", &log]);
        world.redis.ask::<()>(&["XADD", &log, "1-0", "r", &first]);
        if let Some(second) = &second {
            world.redis.ask::<()>(&["XADD", &log, "2-0", "r", second]);
        }
        world.redis.ask::<()>(&["XADD", &log, "3-0", "r", &third]);
        world.put_watermark(&world.signer, world.names.watermark(), 3, |_| ());
        let doubts = world.tier.counts().doubts(reason);
        let mut sidecar = world.sidecar(Seq(0));
        eventually(reason, || ready((world.tier.counts().doubts(reason) > doubts).then_some(()))).await;
        let told = eventually::in_time("the first entry", sidecar.told.recv()).await.unwrap();
        assert_eq!((told.news.newest, told.as_of), (Seq(1), 0), "{reason}: {told:?}");
        sidecar.renewed_nothing();
    }
    // The same, whole: it is the entries that made the difference.
    world.redis.ask::<()>(&["DEL", &log]);
    for (id, seq) in [("1-0", 1), ("2-0", 2), ("3-0", 3)] {
        world.redis.ask::<()>(&["XADD", &log, id, "r", &world.signed(&log, seq, &policies)]);
    }
    world.put_watermark(&world.signer, world.names.watermark(), 3, |_| ());
    // What somebody has added to it is a doubt too, though the watermark is reached.
    world.redis.ask::<()>(&["XADD", &log, "4-0", "r", "no record"]);
    let mut sidecar = world.sidecar(Seq(0));
    let told = eventually::in_time("the entries before", sidecar.told.recv()).await.unwrap();
    assert_eq!((told.news.newest, told.as_of), (Seq(3), 0), "{told:?}");
    world.redis.ask::<()>(&["XDEL", &log, "4-0"]);
    // It has looked before: from then a watermark counts, as soon as it is later by a tick of the server's clock.
    let renewed = eventually("the lease is renewed", || {
        world.put_watermark(&world.signer, world.names.watermark(), 3, |_| ());
        ready(sidecar.told.try_recv().ok().filter(|told| told.as_of > 0))
    });
    assert_eq!(renewed.await.news.newest, Seq(3));
}

#[tokio::test]
async fn a_watermark_renews_from_when_control_asked_and_nothing_when_forged_old_of_another_run_or_not_reached()
 {
    let mut world = World::start().await;
    world.silence().await;
    let watermark = world.names.watermark().to_owned();
    let log = world.names.log().to_owned();
    let (ours, theirs) = (Arc::clone(&world.signer), new_signer());
    let shift = |body: &mut Value, by: i64| body["asked_at"] = json!(body["asked_at"].as_i64().unwrap() + by);
    type Put<'a> = (&'static str, &'a Signer, &'a str, u64, &'a dyn Fn(&mut Value));
    let puts: [Put<'_>; 6] = [
        ("unknown_key", &theirs, &watermark, 0, &|_| ()),
        ("other_place", &ours, &log, 0, &|_| ()),
        ("old_watermark", &ours, &watermark, 0, &|body| shift(body, -6000)),
        ("clock", &ours, &watermark, 0, &|body| shift(body, 6000)),
        ("other_run", &ours, &watermark, 0, &|body| body["run_id"] = json!("another")),
        ("gap", &ours, &watermark, 1, &|_| ()),
    ];
    let none = ("no_watermark", None);
    for (reason, put) in
        puts.into_iter().map(|(reason, a, b, c, d)| (reason, Some((a, b, c, d)))).chain([none])
    {
        match put {
            Some((signer, key, seq, change)) => world.put_watermark(signer, key, seq, change),
            None => world.redis.ask(&["DEL", &watermark]),
        }
        let doubts = world.tier.counts().doubts(reason);
        let mut sidecar = world.sidecar(Seq(0));
        eventually(reason, || ready((world.tier.counts().doubts(reason) > doubts).then_some(()))).await;
        sidecar.renewed_nothing();
    }
    // One that is good counts from a look before it was asked for, as long as there was one.
    let doubts = world.tier.counts().doubts("no_watermark");
    let mut sidecar = world.sidecar(Seq(0));
    eventually("a look", || ready((world.tier.counts().doubts("no_watermark") > doubts).then_some(()))).await;
    let begun = boot_milliseconds();
    let told = eventually("the lease is renewed", || {
        world.put_watermark(&world.signer, &watermark, 0, |_| ());
        ready(sidecar.told.try_recv().ok().filter(|told| told.as_of > 0))
    });
    let (told, now) = (told.await, boot_milliseconds());
    assert!(told.as_of + 60_000 > begun && told.as_of < now, "{} of {now}", told.as_of);
}

#[tokio::test]
async fn a_redis_that_hangs_renews_nothing_and_is_noticed_by_the_silence() {
    let world = World::start().await;
    let mut sidecar = world.sidecar(Seq(0));
    sidecar.hears(Seq(0)).await;
    world.redis.freeze();
    sidecar.is("the silence is noticed", |link| matches!(link, Link::Lost(_))).await;
    let frozen = boot_milliseconds();
    while let Ok(told) = sidecar.told.try_recv() {
        assert!(told.as_of < frozen);
    }
    world.redis.thaw();
    sidecar.is("it is in step again", |link| *link == Link::Synced).await;
}

#[tokio::test]
async fn whatever_is_done_to_the_log_the_publisher_mends_it() {
    let world = World::start().await;
    let mut sidecar = world.sidecar(Seq(0));
    let mut seq = world.change("first").await;
    sidecar.hears(seq).await;
    let (log, top) = (world.names.log(), "18446744073709551615-0");
    let attacks: [&[&[&str]]; 7] = [
        &[&["FLUSHALL"]],
        &[&["DEL", log]],
        &[&["XADD", log, top, "r", "nonsense"]],
        &[&["XADD", log, top, "r", "nonsense"], &["XDEL", log, top]],
        &[&["DEL", log], &["SET", log, "nonsense"]],
        &[&["DEL", log], &["XADD", log, "1-0", "r", "nonsense"]],
        &[&["DEL", world.names.watermark()], &["LPUSH", world.names.watermark(), "nonsense"]],
    ];
    for (number, attack) in attacks.iter().enumerate() {
        for command in *attack {
            world.redis.ask::<redis::Value>(command);
        }
        seq = world.change(&format!("after {number}")).await;
        sidecar.hears(seq).await;
    }
    let whole: Vec<(String, Vec<String>)> = world.redis.ask(&["XRANGE", log, "-", "+"]);
    let ids: Vec<_> = whole.into_iter().map(|(id, _)| id).collect();
    let wanted: Vec<_> = (1..=seq.0).map(|seq| format!("{seq}-0")).collect();
    assert_eq!(ids, wanted);
}

#[tokio::test]
async fn two_control_nodes_publish_one_log() {
    let world = World::start().await;
    let (reach, store) = (Arc::clone(&world.reach), Arc::clone(&world.store));
    let other = Publisher::new(reach, store, signing(&world.signer), LEASE).await.unwrap();
    let other = tokio::spawn(other.run());
    let mut sidecar = world.sidecar(Seq(0));
    let mut seq = Seq(0);
    for number in 0..30 {
        seq = world.change(&number.to_string()).await;
    }
    sidecar.hears(seq).await;
    let length: u64 = world.redis.ask(&["XLEN", world.names.log()]);
    assert_eq!(length, seq.0);
    other.abort();
}

#[tokio::test]
async fn a_redis_that_is_full_renews_nothing_and_holds_nobody_up() {
    let mut world = World::start().await;
    let mut sidecar = world.sidecar(Seq(0));
    sidecar.hears(Seq(0)).await;
    world.redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    world.change("unpublished").await;
    world.publisher.fill(Seq(1), Fact::Grant(Box::new(installed("1", GrantState::Active))));
    sidecar
        .is("the watermark ages", |link| matches!(link, Link::Syncing(why) if why == "old_watermark"))
        .await;
    assert_eq!(world.grant("1").await, None);
    world.redis.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    while sidecar.told.try_recv().is_ok() {}
    sidecar.hears(Seq(1)).await;
    world.silence().await;
}
