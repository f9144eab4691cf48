//! What was acknowledged outlives the process, however it ends.

use crate::revoke::assert_dead;
use crate::support::{Person, World};

#[tokio::test]
async fn a_restart_keeps_grants_tokens_and_keys() {
    let mut world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let seeds = (world.seed("report-hub").client_id.clone(), world.account("acme").id.clone());
    world.restart().await;
    assert_eq!((world.seed("report-hub").client_id.clone(), world.account("acme").id.clone()), seeds);
    world.read_object(&tokens.access).await.expect(200);
    let application = world.application("report-hub");
    application.refresh(&tokens.refresh).await.expect(200);
    let alice = world.sign_in("report-hub", "alice@acme").await;
    world.rpc("ecs", "DescribeInstances").bearer(&alice.access).send().await.expect(200);
}

#[tokio::test]
async fn a_restart_brings_nothing_back_that_was_deleted() {
    let mut world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    world.delete_application("acme", "report-hub").await.expect(200);
    world.restart().await;
    assert_dead(&world.read_object(&tokens.access).await);
    let application = world.application("report-hub");
    application.refresh(&tokens.refresh).await.expect_oauth_error(400, "invalid_grant");
    assert!(world.installed("acme").await.is_empty());
    assert!(world.first_access(&application, "admin@acme").await.asks_consent());
}

#[tokio::test]
async fn a_kill_right_after_an_acknowledgement_loses_nothing() {
    let mut world = World::start().await;
    for round in 0..3 {
        let application = world.application("report-hub");
        let attempt = application.ask();
        let mut admin = Person::new(&world, "admin@acme");
        let page = admin.visit(&attempt.url).await;
        // The redirect is the acknowledgement of the consent.
        admin.authorize(&page, &["/acs/ecs:read"]).await.left();
        world.kill9().await;
        world.start_again().await;
        assert_eq!(world.installed("acme").await.len(), 1, "round {round}");
        let tokens = world.sign_in("report-hub", "alice@acme").await;
        world.read_object(&tokens.access).await.expect(200);

        world.delete_application("acme", "report-hub").await.expect(200);
        world.kill9().await;
        world.start_again().await;
        assert!(world.installed("acme").await.is_empty(), "round {round}");
        assert_dead(&world.read_object(&tokens.access).await);
    }
}

#[tokio::test]
async fn a_used_code_and_a_used_refresh_token_stay_used() {
    let mut world = World::start().await;
    world.install("report-hub", "admin@acme", &[]).await;
    let application = world.application("report-hub");
    let attempt = application.ask();
    let page = Person::new(&world, "alice@acme").visit(&attempt.url).await;
    let code = application.code(&attempt, &page);
    let tokens = application.tokens(&attempt, &page).await;
    application.refresh(&tokens.refresh).await.expect(200);
    world.kill9().await;
    world.start_again().await;
    application.redeem(&attempt, &code).await.expect_oauth_error(400, "invalid_grant");
    application.refresh(&tokens.refresh).await.expect_oauth_error(400, "invalid_grant");
}

#[tokio::test]
async fn nothing_secret_lies_readable_in_the_data() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let issued = [tokens.access, tokens.refresh, "PRIVATE KEY".to_owned()];
    let given = [
        world.account("acme").api_token.clone(),
        world.application("report-hub").secret.unwrap(),
        world.principal("admin@acme").password.clone(),
    ];
    let narration = world.narration();
    assert!(issued.iter().all(|secret| !narration.contains(secret.as_str())), "a secret is in the log");
    for entry in std::fs::read_dir(world.data()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        // Beside the database, a development start may keep what it tells people at each start.
        let database = path.to_string_lossy().contains(".sqlite") || path.to_string_lossy().contains(".db");
        let wanted = issued.iter().chain(given.iter().filter(|_| database));
        for secret in wanted {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "a secret lies readable in {}", path.display());
        }
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is open to others", path.display());
    }
}
