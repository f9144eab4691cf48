//! What is counted of the shared tier: how its reads end, why what it tells is doubted, and how it stands.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The counts. A clone counts into the same.
#[derive(Debug, Clone, Default)]
pub struct SharedCounts {
    reads: Family<ReadLabel, Counter>,
    doubts: Family<DoubtLabel, Counter>,
    open: Gauge,
    synced: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReadLabel {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DoubtLabel {
    reason: &'static str,
}

impl SharedCounts {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("shared_reads", "How reads of a record in Redis ended", self.reads.clone());
        registry.register(
            "shared_doubts",
            "Why what Redis tells of changes was not believed",
            self.doubts.clone(),
        );
        registry.register("shared_breaker_open", "1 while Redis is not asked for records", self.open.clone());
        registry.register("shared_synced", "1 while changes are heard of by Redis too", self.synced.clone());
    }

    /// A read ended so.
    pub fn read(&self, result: &'static str) {
        self.reads.get_or_create(&ReadLabel { result }).inc();
    }

    /// How many reads ended so.
    #[must_use]
    pub fn reads(&self, result: &'static str) -> u64 {
        self.reads.get_or_create(&ReadLabel { result }).get()
    }

    /// What was told is not believed.
    pub fn doubt(&self, reason: &'static str) {
        self.doubts.get_or_create(&DoubtLabel { reason }).inc();
    }

    /// How often that was the reason.
    #[must_use]
    pub fn doubts(&self, reason: &'static str) -> u64 {
        self.doubts.get_or_create(&DoubtLabel { reason }).get()
    }

    /// Whether Redis is not asked for records at present.
    pub fn show_breaker(&self, open: bool) {
        self.open.set(i64::from(open));
    }

    /// Whether changes are heard of by Redis.
    pub fn show_synced(&self, synced: bool) {
        self.synced.set(i64::from(synced));
    }
}
