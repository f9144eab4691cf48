//! Waiting for what must become true, by asking again and again; the only place of the suite that sleeps.

use std::time::{Duration, Instant};

/// Asks `probe` until it gives a value; fails the test, naming `what`, when 20 s have gone by.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut probe: impl FnMut() -> F,
) -> T {
    let asked = Instant::now();
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(asked.elapsed() < PATIENCE, "within {PATIENCE:?} this never happened: {what}");
        tokio::time::sleep(STEP).await;
    }
}

/// Waits for `work` itself; fails the test, naming `what`, when 20 s have gone by.
pub(crate) async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(value) => value,
        Err(_) => panic!("within {PATIENCE:?} this did not end: {what}"),
    }
}

const PATIENCE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(20);
