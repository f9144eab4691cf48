//! The issuer's keys change without anybody noticing, and assumed identities go on being verified.

use crate::support::application::{Tokens, header};
use crate::support::world::run;
use crate::support::{World, eventually, get};

#[tokio::test]
async fn rotating_the_keys_changes_what_signs_and_breaks_no_live_token() {
    let world = World::start().await;
    let before = world.install("report-hub", "admin@acme", &[]).await;
    world.read_object(&before.access).await.expect(200);

    let data = world.data();
    let list = |by: [&str; 2]| run(&["keys", by[0], by[1], "list"]).stdout;
    let by_folder = ["--data", data.to_str().unwrap()];
    let old = list(by_folder);
    // As on a control plane that has settings.
    let config = data.join("control.toml");
    let settings = format!(
        "listen = \"127.0.0.1:0\"\nissuer = \"{}\"\nstore = \"sqlite:{}\"\nkey_file = \"{}\"\n",
        world.issuer,
        data.join("consentry.db").display(),
        data.join("key").display()
    );
    std::fs::write(&config, settings).unwrap();
    let by_settings = ["--config", config.to_str().unwrap()];
    assert_eq!(list(by_settings), old);
    let rotated = run(&["keys", by_settings[0], by_settings[1], "rotate", "--notice", "0"]);
    assert!(rotated.status.success(), "{rotated:?}");
    assert_ne!(list(by_folder), old);

    let after = eventually("a new key signs", || async {
        let tokens = world.sign_in("report-hub", "alice@acme").await;
        (header(&tokens.access)["kid"] != header(&before.access)["kid"]).then_some(tokens)
    })
    .await;
    let id_kid = |tokens: &Tokens| header(&tokens.id)["kid"].clone();
    assert_ne!(id_kid(&after), id_kid(&before));
    world.read_object(&after.access).await.expect(200);
    world.read_object(&before.access).await.expect(200);

    // Both are published, so that whoever holds an old token can still verify it.
    let keys = get(format!("{}/v1/keys", world.issuer)).send().await.expect(200);
    let kids: Vec<_> = keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect();
    for kid in [id_kid(&before), id_kid(&after)] {
        assert!(kids.contains(&kid), "{kid} is not among {kids:?}");
    }
}

#[tokio::test]
async fn keys_are_not_rotated_where_there_are_none_or_by_who_does_not_hold_the_secret() {
    let nowhere = tempfile::tempdir().unwrap();
    let refused = run(&["keys", "--data", nowhere.path().to_str().unwrap(), "rotate"]);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");

    let world = World::start().await;
    let data = world.data();
    let list = ["keys", "--data", data.to_str().unwrap(), "list"];
    let before = run(&list).stdout;
    std::fs::write(data.join("key"), "a secret that is long enough, and another one").unwrap();
    let refused = run(&["keys", "--data", data.to_str().unwrap(), "rotate"]);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    assert_eq!(run(&list).stdout, before);
}
