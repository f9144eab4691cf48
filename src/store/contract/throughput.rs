//! How many changes a second a store makes durable. Measured, not asserted: run it with `--run-ignored only`.

use std::time::{Duration, Instant};

use super::*;

const TASKS: u8 = 64;
const LASTS: Duration = Duration::from_secs(3);

async fn measure(what: &str, world: &World) {
    let began = Instant::now();
    let made = at_once(TASKS, &world.store, |store, task| async move {
        let mut made = 0_u32;
        while began.elapsed() < LASTS {
            store.note_policies(&format!("p{task}-{made}"), at(1)).await.unwrap();
            made += 1;
        }
        made
    })
    .await;
    let made: u32 = made.iter().sum();
    let rate = f64::from(made) / began.elapsed().as_secs_f64();
    eprintln!("{what}: {rate:.0} changes a second from {TASKS} tasks");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn of_sqlite() {
    measure("SQLite", &World::sqlite().await).await;
}

/// Of a cluster of its own that waits for the disk, when `CONSENTRY_MEASURE` names an empty database of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn of_postgresql() {
    let mut world = World::postgres().await;
    if let Ok(place) = std::env::var("CONSENTRY_MEASURE") {
        world.store = open(&place).await.unwrap();
    }
    measure("PostgreSQL", &world).await;
}
