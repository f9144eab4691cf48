//! Redis Cluster, Sentinel, TLS and users, and settings that lead to none of them.

use super::shared_world::*;

#[tokio::test]
async fn a_cluster_is_used_as_a_whole_and_goes_on_after_the_logs_primary_has_died() {
    let ports: [u16; 8] = free_ports();
    let settings = |bus: u16| {
        let bus = bus.to_string();
        ["--cluster-enabled", "yes", "--cluster-node-timeout", "500", "--cluster-port", &bus]
            .map(str::to_owned)
    };
    let mut nodes: Vec<RealRedis> = (0..4)
        .map(|at| {
            let settings = settings(ports[at + 4]);
            RealRedis::on_port(ports[at], &settings.each_ref().map(String::as_str))
        })
        .collect();
    let slots = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
    for (node, (from, to)) in nodes.iter().zip(slots) {
        node.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", from, to]);
    }
    for at in 1..4 {
        let (port, bus) = (ports[at].to_string(), ports[at + 4].to_string());
        nodes[0].ask::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
    }
    let slot: u32 = nodes[0].ask(&["CLUSTER", "KEYSLOT", "consentry:{log}"]);
    let holder = slots.iter().position(|(_, to)| slot <= to.parse().unwrap()).unwrap();
    let its_id: String = nodes[holder].ask(&["CLUSTER", "MYID"]);
    eventually("the replica knows its primary", || {
        ready(nodes[3].try_ask::<()>(&["CLUSTER", "REPLICATE", &its_id]).ok())
    })
    .await;
    eventually("the cluster is whole", || {
        let whole =
            nodes.iter().all(|node| node.ask::<String>(&["CLUSTER", "INFO"]).contains("cluster_state:ok"));
        let synced = nodes[3].ask::<String>(&["INFO", "replication"]).contains("master_link_status:up");
        ready((whole && synced).then_some(()))
    })
    .await;
    let mut log_holder = nodes.remove(holder);
    let url = |node: &RealRedis| node.url.parse().unwrap();
    let seeds = nodes.iter().chain([&log_holder]).map(url).collect();
    let settings = Redis { url: None, mode: Mode::Cluster, nodes: seeds, ..Redis::at(url(&log_holder)) };
    let world = World::over(nodes.remove(0), &settings, &settings).await;

    let mut sidecar = world.sidecar(Seq(0));
    let seq = world.change("one").await;
    sidecar.hears(seq).await;
    for account in ["1", "2", "3", "4", "5", "6"] {
        world.leaves_and_finds(account, seq).await;
    }
    log_holder.kill9();
    sidecar.is("the loss is noticed", |link| matches!(link, Link::Lost(_))).await;
    sidecar.is("its replica has taken over", |link| *link == Link::Synced).await;
    while sidecar.told.try_recv().is_ok() {}
    let seq = world.change("two").await;
    sidecar.hears(seq).await;
    for account in ["1", "2", "3", "4", "5", "6"] {
        world.leaves_and_finds(account, seq).await;
    }
}

#[tokio::test]
async fn behind_sentinels_the_primary_is_found_again_after_a_failover() {
    let [dead, primary, replica, sentinel] = free_ports();
    let mut first = RealRedis::on_port(primary, &["--repl-diskless-sync-delay", "0"]);
    let second = RealRedis::on_port(replica, &["--replicaof", "127.0.0.1", &primary.to_string()]);
    let watched = format!(
        "sentinel monitor ours 127.0.0.1 {primary} 1\nsentinel down-after-milliseconds ours 300\n\
         sentinel failover-timeout ours 2000"
    );
    let sentinel = RealRedis::sentinel(sentinel, &watched);
    let nodes = vec![format!("redis://127.0.0.1:{dead}").parse().unwrap(), sentinel.url.parse().unwrap()];
    let master = Some("ours".to_owned());
    let any = Redis::at(sentinel.url.parse().unwrap());
    let settings = Redis { url: None, mode: Mode::Sentinel, nodes, master, ..any };
    let world = World::over(second, &settings, &settings).await;
    let mut sidecar = world.sidecar(Seq(0));
    let seq = world.change("one").await;
    sidecar.hears(seq).await;
    world.leaves_and_finds("1", seq).await;
    eventually("the sentinel knows the replica", || {
        let known: Vec<redis::Value> = sentinel.ask(&["SENTINEL", "replicas", "ours"]);
        let synced = world.redis.ask::<String>(&["INFO", "replication"]).contains("master_link_status:up");
        ready((synced && !known.is_empty()).then_some(()))
    })
    .await;
    first.kill9();
    sidecar.is("the loss is noticed", |link| matches!(link, Link::Lost(_))).await;
    sidecar.is("the replica has taken over", |link| *link == Link::Synced).await;
    while sidecar.told.try_recv().is_ok() {}
    let seq = world.change("two").await;
    sidecar.hears(seq).await;
    world.leaves_and_finds("1", seq).await;
}

#[tokio::test]
async fn over_tls_each_role_has_a_user_and_a_sidecars_may_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] = certificate(folder.path());
    let [port] = free_ports();
    let port = port.to_string();
    let redis = RealRedis::start_with(
        &[
            ["--tls-port", &port, "--tls-auth-clients", "no", "--tls-ca-cert-file", &certificate].as_slice(),
            ["--tls-cert-file", &certificate, "--tls-key-file", &key].as_slice(),
        ]
        .concat(),
    );
    let user = |name: &str, secret: &str, may: &str| {
        let words: Vec<_> = may.split(' ').collect();
        redis.ask::<()>(&[&["ACL", "SETUSER", name, "on", &format!(">{secret}")], words.as_slice()].concat());
        let file = folder.path().join(name);
        std::fs::write(&file, format!("{secret}\n")).unwrap();
        Redis {
            username: Some(name.to_owned()),
            password_file: Some(file),
            ca: Some((&certificate).into()),
            ..Redis::at(format!("rediss://127.0.0.1:{port}").parse().unwrap())
        }
    };
    let control = user("control", "hunter2", CONTROL_MAY);
    let sidecar = user("sidecar", "hunter3", SIDECAR_MAY);
    let world = World::over(redis, &control, &sidecar).await;
    let seq = world.change("one").await;
    world.sidecar(Seq(0)).hears(seq).await;
    world.leaves_and_finds("1", seq).await;

    let socket = world.redis.url.replace("redis+unix", "unix");
    let theirs = redis::Client::open(format!("{socket}?user=sidecar&pass=hunter3")).unwrap();
    let mut theirs = theirs.get_connection().unwrap();
    for command in [
        ["SET", "consentry:x", "1"].as_slice(),
        &["XDEL", "consentry:{log}", "1-0"],
        &["GETRANGE", "other:x", "0", "1"],
    ] {
        let refused = redis::cmd(command[0]).arg(&command[1..]).query::<()>(&mut theirs).unwrap_err();
        assert_eq!(refused.code(), Some("NOPERM"), "{command:?}");
    }
    let other = tempfile::tempdir().unwrap();
    let [other, _] = real::certificate(other.path());
    let wrong_secret = folder.path().join("wrong");
    std::fs::write(&wrong_secret, "hunter4").unwrap();
    for settings in [
        Redis { ca: Some(other.into()), ..control.clone() },
        Redis { ca: None, ..control.clone() },
        Redis { password_file: Some(wrong_secret), ..control.clone() },
    ] {
        let reach = open(&settings).unwrap();
        let refused = reach.primary(Arc::new(|_| Ok::<_, ()>(()))).await.err().unwrap();
        assert!(!format!("{refused} {refused:?}").contains("hunter"), "{refused}");
    }
}

#[test]
fn settings_that_name_no_file_or_would_skip_a_check_are_refused() {
    let at = |url: &str| Redis::at(url.parse().unwrap());
    let missing = Some("/nowhere/at/all".into());
    for settings in [
        Redis { password_file: missing.clone(), ..at("redis://127.0.0.1") },
        Redis { ca: missing, ..at("rediss://127.0.0.1") },
        at("rediss://127.0.0.1/#insecure"),
        at("redis://127.0.0.1/first"),
    ] {
        assert!(open(&settings).is_err(), "{settings:?}");
    }
}

/// What `docs` tell operators to allow the two users, and no more.
const CONTROL_MAY: &str =
    "~consentry:* -@all +hello +auth +ping +info +time +get +getrange +set +del +eval +xadd +xrange";
const SIDECAR_MAY: &str =
    "%R~consentry:* -@all +hello +auth +ping +info +time +getrange +xrange +client|tracking";
