//! How long calls took, counted by the batch: one lock and whole numbers for many calls.
//!
//! Comes in: microseconds. Goes out: an OpenMetrics histogram in seconds.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// A histogram. A clone counts into the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Durations(Arc<Mutex<Counts>>);

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    /// How many took at most each bound and more than the one before; the last, how many took longer.
    buckets: [u64; BOUNDS.len() + 1],
    microseconds: u64,
}

impl Durations {
    /// Counts a batch, in microseconds.
    pub(super) fn observe(&self, batch: impl Iterator<Item = u32>) {
        let mut counts = self.0.lock();
        for took in batch {
            let bucket = BOUNDS.iter().filter(|bound| took > **bound).count();
            if let Some(count) = counts.buckets.get_mut(bucket) {
                *count += 1;
            }
            counts.microseconds = counts.microseconds.saturating_add(u64::from(took));
        }
    }
}

impl EncodeMetric for Durations {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let counts = *self.0.lock();
        let bounds = BOUNDS.into_iter().map(|bound| f64::from(bound) / 1e6).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts.buckets).collect();
        let sum = counts.microseconds as f64 / 1e6;
        encoder.encode_histogram::<NoLabelSet>(sum, counts.buckets.iter().sum(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// Upper bounds in microseconds: fine below a millisecond, where a sidecar lives.
const BOUNDS: [u32; 12] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000, 5_000_000];

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::metrics::histogram::Histogram;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn it_says_what_a_histogram_says_that_counts_one_by_one() {
        let (ours, theirs) =
            (Durations::default(), Histogram::new(BOUNDS.map(|bound| f64::from(bound) / 1e6)));
        let batch = [0, 49, 50, 51, 999, 1_000, 1_001, 5_000_000, 5_000_001, u32::MAX];
        ours.observe(batch.into_iter());
        for took in batch {
            theirs.observe(f64::from(took) / 1e6);
        }
        let text = |register: &dyn Fn(&mut Registry)| {
            let (mut registry, mut text) = (Registry::default(), String::new());
            register(&mut registry);
            encode(&mut text, &registry).unwrap();
            text.lines().filter(|line| !line.contains("_sum")).map(str::to_owned).collect::<Vec<_>>()
        };
        let ours = text(&|registry| registry.register("took", "Time", ours.clone()));
        let theirs = text(&|registry| registry.register("took", "Time", theirs.clone()));
        assert_eq!(ours, theirs);
    }
}
