//! The chain of the audit over both databases: what was tampered with is found and named, and what goes for its age is
//! not missed.

use std::io::Cursor;

use super::audit_scene::{Home, Scene};
use super::{ACME, account};
use crate::control::audit::{AuditKeys, Exported, Mark, Scope, verify_export};
use crate::store::{self, AuditFilter};
use crate::token::keys::Purpose;
use crate::token::seal::Sealer;

macro_rules! over_both {
    ($($sentence:ident),* $(,)?) => { $(
        mod $sentence {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn over_sqlite() {
                super::sentences::$sentence(super::Home::sqlite()).await;
            }
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn over_postgres() {
                super::sentences::$sentence(super::Home::postgres()).await;
            }
        }
    )* };
}

over_both! {
    what_was_tampered_with_is_found_and_named,
    what_was_signed_cannot_be_forged,
    a_whole_chain_that_is_written_anew_is_not_what_was_signed,
    a_chain_that_was_written_anew_is_signed_no_further_and_an_honest_one_is,
    what_another_node_wrote_last_stays_in_every_checkpoint,
    no_cut_is_signed_for_what_must_not_go_and_none_takes_in_a_forged_one,
    what_goes_for_its_age_is_not_missed_and_nothing_else_may_go,
    an_export_is_verified_by_its_lines_and_the_public_key_alone,
    what_was_cut_off_with_its_checkpoints_is_found_by_one_that_was_kept,
}

mod sentences {
    use super::*;

    pub(super) async fn what_was_tampered_with_is_found_and_named(home: Home) {
        let scene = Scene::set(home, 1000).await;
        let report = scene.verified().await.unwrap();
        assert_eq!(report.chains.iter().map(|chain| &*chain.node).collect::<Vec<_>>(), ["one", "two"]);
        assert!(report.chains.iter().all(|chain| chain.signed_to == chain.newest), "{report:?}");
        assert_eq!(report.decisions, 5);
        scene.home.open_up().await;
        let install = "node = 'one' AND event = 'grant.install'";
        for (statements, what, whose) in [
            (format!("UPDATE audit SET actor = 'nobody' WHERE {install}"), "changed", "of one"),
            (format!("UPDATE audit SET at = at + 1 WHERE {install}"), "changed", "of one"),
            (format!("UPDATE audit SET account = '1000000000000002' WHERE {install}"), "changed", "of one"),
            (format!("UPDATE audit SET detail = replace(detail, 'openid', '/acs/ecs') WHERE {install}"), "changed", "of one"),
            (format!("DELETE FROM audit WHERE {install}"), "missing", "of one"),
            ("DELETE FROM audit WHERE node = 'one' AND number = 1".to_owned(), "missing", "record 1 of one"),
            ("DELETE FROM audit WHERE node = 'two'".to_owned(), "missing", "the chain of two"),
            ("DELETE FROM audit WHERE node = 'two'; DELETE FROM audit_nodes WHERE node = 'two'; \
              DELETE FROM audit_checkpoints WHERE node = 'two'".to_owned(), "missing", "the chain of two"),
            ("DELETE FROM audit WHERE node = 'one' AND event = 'grant.suspend'".to_owned(), "cut-off", "the chain of one"),
            ("UPDATE audit SET number = -number WHERE node = 'one' AND number IN (2, 3); \
              UPDATE audit SET number = CASE number WHEN -2 THEN 3 ELSE 2 END WHERE number < 0".to_owned(), "changed", "of one"),
            (format!("INSERT INTO audit (place, node, number, kind, at, account, actor, event, subject, detail, prev, hash) \
              SELECT 9000, node, 9000, kind, at, account, actor, event, subject, detail, prev, hash FROM audit WHERE {install}"), "changed", "9000 of one"),
            (format!("INSERT INTO audit (place, kind, at, account, actor, event, subject, detail) \
              SELECT 9000, kind, at, account, actor, event, subject, detail FROM audit WHERE {install}"), "inserted", "outside of every chain"),
            ("INSERT INTO audit (place, node, number, kind, at, account, actor, event, subject, detail, prev, hash) \
              SELECT 9000 + number, 'three', number, kind, at, account, actor, event, subject, detail, prev, hash FROM audit \
              WHERE node = 'one' AND number < 4".to_owned(), "changed", "record 1 of three"),
            ("DELETE FROM decisions WHERE place = (SELECT max(place) - 3 FROM decisions)".to_owned(), "missing", "decision record 2 of 3"),
            ("UPDATE decisions SET record = replace(record, 'forwarded', 'refused') \
              WHERE place = (SELECT max(place) FROM decisions)".to_owned(), "changed", "-000000000005"),
            ("UPDATE decisions SET account = '1000000000000002' WHERE place = (SELECT max(place) FROM decisions)".to_owned(), "changed", "-000000000005"),
            ("INSERT INTO decisions (id, account, application, outcome, record) \
              SELECT 'x', account, application, outcome, record FROM decisions LIMIT 1".to_owned(), "inserted", "record x"),
        ] {
            let broken = scene.tampered(&statements).await;
            assert!(broken.what == what && broken.whose.contains(whose), "{statements}: {broken:?}");
            assert!(!broken.why.is_empty());
        }
        scene.verified().await.unwrap();
    }

    pub(super) async fn what_was_signed_cannot_be_forged(home: Home) {
        let scene = Scene::set(home, 1000).await;
        scene.home.open_up().await;
        let forged = crate::token::keys::Signer::from_pkcs8(
            Purpose::Audit,
            &crate::token::keys::generate(Purpose::Audit).unwrap(),
        )
        .unwrap();
        let node = "one".to_owned();
        let head = scene.store().chains().await.unwrap().remove(0);
        let mark = |number| Mark::Checkpoint {
            node: node.clone(),
            number,
            hash: head.hash,
            at: jiff::Timestamp::UNIX_EPOCH,
            others: Vec::new(),
        };
        // Of another key, of a made-up number, and a good one in another's place.
        let token = forged.sign(&mark(head.number)).unwrap();
        for statements in [
            format!("UPDATE audit_checkpoints SET token = '{token}' WHERE node = 'one'"),
            "UPDATE audit_checkpoints SET number = number + 1 WHERE node = 'one'".to_owned(),
            "UPDATE audit_checkpoints SET node = 'three' WHERE node = 'two'".to_owned(),
            "INSERT INTO audit_cuts (node, first, last, before, after, token) \
             SELECT node, 1, 2, prev, hash, 'no token' FROM audit WHERE node = 'one' AND number = 2; \
             DELETE FROM audit WHERE node = 'one' AND number < 3"
                .to_owned(),
        ] {
            let broken = scene.tampered(&statements).await;
            assert_eq!(broken.what, "forged", "{broken}");
        }
        // A key of one's own in the store is nobody's.
        let stranger = forged.public().to_json();
        scene
            .home
            .tell(&format!("UPDATE signing_keys SET public_jwk = '{stranger}' WHERE purpose = 'audit'"))
            .await;
        let keys = AuditKeys::of_store(scene.store(), &Sealer::new(&[7; 32]).unwrap()).await;
        assert!(keys.err().unwrap().to_string().contains("was not made with the operator's secret"));
    }

    pub(super) async fn a_whole_chain_that_is_written_anew_is_not_what_was_signed(home: Home) {
        let scene = Scene::set(home, 1000).await;
        scene.home.open_up().await;
        let broken = scene.tampered(&scene.written_anew().await).await;
        assert!(broken.what == "changed" && broken.why.contains("has seen another record"), "{broken}");
    }

    pub(super) async fn a_chain_that_was_written_anew_is_signed_no_further_and_an_honest_one_is(home: Home) {
        let scene = Scene::set(home, 1000).await;
        let last = async || scene.store().last_checkpoints("one", 1).await.unwrap().remove(0);
        let first = last().await;
        scene.call_some(6, 1).await;
        scene.world.control.close_audit().await;
        let honest = last().await;
        assert!(honest.number > first.number);
        assert!(scene.verified().await.unwrap().chains.iter().all(|chain| chain.signed_to == chain.newest));
        scene.home.open_up().await;
        let anew = scene.written_anew().await;
        scene.home.tell(&anew).await;
        scene.call_some(7, 1).await;
        scene.world.control.close_audit().await;
        assert_eq!(last().await, honest, "nothing of it is signed");
        let all = scene.store().audit_records(&AuditFilter { limit: 100, ..AuditFilter::default() }).await;
        assert!(all.unwrap().iter().any(|one| one.record.event == "audit.broken"), "and somebody is told");
        assert_eq!(scene.verified().await.unwrap_err().what, "changed");
    }

    pub(super) async fn what_another_node_wrote_last_stays_in_every_checkpoint(home: Home) {
        let scene = Scene::set(home, 1000).await;
        for number in 6..=9 {
            scene.call_some(number, 1).await;
            scene.world.control.close_audit().await;
        }
        scene.verified().await.unwrap();
        scene.home.open_up().await;
        let broken = scene
            .tampered(
                "DELETE FROM audit WHERE node = 'two' AND number > 1; DELETE FROM audit_checkpoints WHERE node = 'two'; \
                 DELETE FROM audit_checkpoints WHERE node = 'one' AND number < \
                 (SELECT max(number) FROM audit_checkpoints WHERE node = 'one')",
            )
            .await;
        assert!(broken.what == "cut-off" && broken.whose.contains("of two"), "{broken}");
        // What one has seen of two is not forgotten because two has lost it.
        scene
            .home
            .tell("DELETE FROM audit WHERE node = 'two'; DELETE FROM audit_nodes WHERE node = 'two'")
            .await;
        scene.home.tell("DELETE FROM audit_checkpoints WHERE node = 'two'").await;
        for number in 10..=13 {
            scene.call_some(number, 1).await;
            scene.world.control.close_audit().await;
        }
        assert_eq!(scene.verified().await.unwrap_err().what, "missing");
    }

    pub(super) async fn no_cut_is_signed_for_what_must_not_go_and_none_takes_in_a_forged_one(home: Home) {
        let scene = Scene::set(home, 2).await;
        for number in 6..=9 {
            scene.world.api("alice@acme", "GET", &format!("/decisions/{number}"), None).await.expect(403);
            scene.world.control.record_refusals().await.unwrap();
        }
        let run = scene.store().surplus().await.unwrap().remove(0);
        assert!(run.node == "one" && run.first > 1, "{run:?}");
        let beside = run.first - 1;
        let there = async |number: u64| {
            let found = scene.store().chain("one", number - 1, 1).await.unwrap();
            found.first().is_some_and(|found| found.record.number == number)
        };
        scene.home.open_up().await;
        // An event is made to look like what may go; and a link like one of other decision records.
        for statements in [
            format!("UPDATE audit SET kind = 'refusal' WHERE node = 'one' AND number = {beside}"),
            format!(
                "UPDATE audit SET event = 'refused.x', kind = 'refusal' WHERE node = 'one' AND number = {beside}"
            ),
            "UPDATE audit SET calls_from = 1, calls_to = 1 WHERE node = 'one' AND kind = 'calls'".to_owned(),
            format!("UPDATE audit SET actor = 'nobody' WHERE node = 'one' AND number = {}", run.first),
        ] {
            scene.home.tell(&statements).await;
            scene.world.control.cut_audit().await.unwrap();
            let keys = scene.keys().await;
            for cut in scene.store().cuts().await.unwrap() {
                let Ok((Mark::Cut { first, last, .. }, true)) = keys.read(&cut.token) else {
                    panic!("{cut:?}")
                };
                assert!(!(first..=last).contains(&beside), "{statements}: {cut:?}");
            }
            assert!(there(beside).await, "{statements}");
            assert!(there(run.first).await || statements.contains("calls"), "{statements}");
            let decisions = scene.store().count_decisions(0).await.unwrap();
            assert!(decisions == 5 || !statements.contains("calls"), "{statements}: {decisions}");
            scene.home.restore().await;
        }
        // An event is taken away behind a cut that nobody has signed.
        scene
            .home
            .tell(&format!(
                "INSERT INTO audit_cuts (node, first, last, before, after, token) \
                 SELECT node, number, number, prev, hash, 'no token' FROM audit WHERE node = 'one' AND number = {beside}; \
                 DELETE FROM audit WHERE node = 'one' AND number = {beside}"
            ))
            .await;
        scene.world.control.cut_audit().await.unwrap();
        let cuts = scene.store().cuts().await.unwrap();
        assert!(cuts.iter().any(|cut| cut.run.first == run.first), "what may go goes: {cuts:?}");
        assert!(cuts.iter().any(|cut| cut.token == "no token"), "and takes in nothing: {cuts:?}");
        assert_eq!(scene.verified().await.unwrap_err().what, "forged");
        scene.home.restore().await;
        scene.world.control.cut_audit().await.unwrap();
        scene.world.control.close_audit().await;
        scene.verified().await.unwrap();
    }

    pub(super) async fn what_goes_for_its_age_is_not_missed_and_nothing_else_may_go(home: Home) {
        let scene = Scene::set(home, 2).await;
        for number in 6..=9 {
            scene.call_some(number, 1).await;
            scene.world.api("alice@acme", "GET", &format!("/decisions/{number}"), None).await.expect(403);
            scene.world.control.record_refusals().await.unwrap();
        }
        scene.world.control.cut_audit().await.unwrap();
        scene.world.control.close_audit().await;
        let report = scene.verified().await.unwrap();
        let one = &report.chains[0];
        assert!(one.removed >= 4 && one.newest == one.records + one.removed, "{report:?}");
        assert_eq!(report.decisions, 2);
        // Again, so that the new cuts take in the ones before.
        for number in 10..=13 {
            scene.call_some(number, 1).await;
        }
        scene.world.control.cut_audit().await.unwrap();
        let report = scene.verified().await.unwrap();
        assert!(report.chains[0].removed > one.removed, "{report:?}");
        let cuts = scene.store().cuts().await.unwrap();
        assert!(cuts.windows(2).all(|two| two[0].run.last + 1 < two[1].run.first), "{cuts:?}");
        let events = scene.store().audit(&account(ACME), 100).await.unwrap();
        assert!(events.iter().any(|event| event.event == "grant.install"), "events stay");
        scene.home.open_up().await;
        // What is missing without a cut was taken away; nor can a cut be stretched.
        let broken = scene.tampered("DELETE FROM audit_cuts WHERE node = 'one'").await;
        assert_eq!(broken.what, "missing", "{broken}");
        let stretched = "UPDATE audit_cuts SET last = last + 1 WHERE node = 'one'; DELETE FROM audit WHERE node = 'one' \
                         AND number IN (SELECT last FROM audit_cuts WHERE node = 'one')";
        scene.tampered(stretched).await;
        let run = store::Run {
            node: "one".to_owned(),
            first: 1,
            last: 3,
            before: Default::default(),
            after: Default::default(),
        };
        let refused = scene.store().cut(&[store::Cut { run, token: String::new() }]).await;
        assert!(matches!(refused, Err(store::StoreError::Conflict(_))), "an event is never cut");
    }

    pub(super) async fn an_export_is_verified_by_its_lines_and_the_public_key_alone(home: Home) {
        let scene = Scene::set(home, 1000).await;
        let keys = AuditKeys::parse(&scene.keys().await.to_json()).unwrap();
        let verify = |text: &str| verify_export(&keys, &[], Cursor::new(text.to_owned()));
        let whole = scene.exported(Scope::Whole { decisions: true }).await;
        let Ok(Exported::Whole(report)) = verify(&whole) else { panic!("{:?}", verify(&whole)) };
        assert_eq!((report.chains.len(), report.decisions), (2, 5));
        let filter = AuditFilter { account: Some(account(ACME)), ..AuditFilter::default() };
        let part = scene.exported(Scope::Part(Box::new(filter))).await;
        assert!(matches!(verify(&part), Ok(Exported::Part(3))), "{:?}", verify(&part));
        for text in [&whole, &part] {
            let lines: Vec<&str> = text.lines().collect();
            for at in 0..lines.len() {
                let but = |keep: &dyn Fn(usize) -> bool| -> String {
                    (0..lines.len()).filter(|at| keep(*at)).map(|at| format!("{}\n", lines[at])).collect()
                };
                assert!(verify(&but(&|other| other != at)).is_err(), "without line {}", at + 1);
                let mut swapped = lines.clone();
                if at > 0 {
                    swapped.swap(at, at - 1);
                    let swapped: String = swapped.iter().map(|line| format!("{line}\n")).collect();
                    assert!(verify(&swapped).is_err(), "lines {at} and {} swapped", at + 1);
                }
            }
            let changed = text.replacen("admin@acme", "alice@acme", 1);
            let broken = verify(&changed).unwrap_err();
            assert!(broken.what == "changed" && broken.whose.contains("line"), "{broken}");
        }
        let other = AuditKeys::parse(&stranger()).unwrap();
        assert_eq!(verify_export(&other, &[], Cursor::new(whole)).unwrap_err().what, "forged");
    }

    pub(super) async fn what_was_cut_off_with_its_checkpoints_is_found_by_one_that_was_kept(home: Home) {
        let scene = Scene::set(home, 1000).await;
        let kept: Vec<String> = scene
            .store()
            .checkpoints()
            .await
            .unwrap()
            .into_iter()
            .map(|checkpoint| checkpoint.token)
            .collect();
        scene.verified_knowing(&kept).await.unwrap();
        scene.home.open_up().await;
        scene
            .home
            .tell("DELETE FROM audit WHERE event = 'grant.suspend'; DELETE FROM audit_checkpoints")
            .await;
        scene.verified().await.unwrap();
        let broken = scene.verified_knowing(&kept).await.unwrap_err();
        assert_eq!(broken.what, "cut-off", "{broken}");
    }
}

fn stranger() -> String {
    let pkcs8 = crate::token::keys::generate(Purpose::Audit).unwrap();
    let signer = crate::token::keys::Signer::from_pkcs8(Purpose::Audit, &pkcs8).unwrap();
    format!("{{\"keys\":[{}]}}", signer.public().to_json())
}
