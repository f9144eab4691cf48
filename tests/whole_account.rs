//! Once an administrator has authorized an application, everyone of the account uses it with no question,
//! and nobody of another account does.

use crate::support::World;
use crate::support::application::claims;

#[tokio::test]
async fn everyone_of_the_account_gets_a_code_with_no_question() {
    let world = World::start().await;
    world.install("report-hub", "admin@acme", &[]).await;
    for login in ["root@acme", "admin@acme", "alice@acme", "bob@acme"] {
        let page = world.first_access(&world.application("report-hub"), login).await;
        assert!(page.returned("code").is_some(), "{login}: {}", page.left());
    }
}

#[tokio::test]
async fn each_of_them_acts_as_themselves() {
    let world = World::start().await;
    world.install("report-hub", "root@acme", &[]).await;
    let alice = world.sign_in("report-hub", "alice@acme").await;
    let bob = world.sign_in("report-hub", "bob@acme").await;
    assert_ne!(claims(&alice.access)["sub"], claims(&bob.access)["sub"]);
    let seen = world.read_object(&alice.access).await.expect(200)["identity"].clone();
    let other = world.read_object(&bob.access).await.expect(200)["identity"].clone();
    assert_eq!(seen["aid"], other["aid"]);
    assert_ne!(seen["uid"], other["uid"]);
}

#[tokio::test]
async fn nobody_of_another_account_gains_anything_by_it() {
    let world = World::start().await;
    world.install("report-hub", "admin@acme", &[]).await;
    let application = world.application("report-hub");
    let eve = world.first_access(&application, "eve@globex").await;
    assert!(!eve.has_left() && eve.status == 403, "{}", eve.text());
    let admin = world.first_access(&application, "admin@globex").await;
    assert!(admin.asks_consent(), "their own administrator decides for them: {}", admin.text());
    assert!(world.installed("globex").await.is_empty());
}

#[tokio::test]
async fn two_accounts_grant_different_scopes_to_one_application() {
    let world = World::start().await;
    let acme = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let globex = world.install("report-hub", "admin@globex", &[]).await;
    let call = |token: &str| world.rpc("ecs", "DescribeInstances").bearer(token);
    call(&acme.access).send().await.expect(200);
    let refused = call(&globex.access).send().await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    world.delete_application("acme", "report-hub").await.expect(200);
    world.read_object(&globex.access).await.expect(200);
}
