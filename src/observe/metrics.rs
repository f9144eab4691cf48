//! Metrics in the OpenMetrics text form, names beginning with `consentry_`. No label ever carries a user, a token
//! or a path: only small closed sets.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::durations::Durations;
use super::shared::SharedCounts;
use crate::model::decision::Outcome;

/// A sidecar's metrics. Calls are counted by the writer of decision records, off the path of the call.
pub struct Metrics {
    registry: Registry,
    calls: Family<CallLabels, Counter>,
    duration: Durations,
    before_upstream: Durations,
    grants: Family<TierLabel, Counter>,
    unrecorded: Counter,
    streams_cut: Gauge<u64, AtomicU64>,
    ready: Gauge<u64, AtomicU64>,
    policy_problem: Gauge<u64, AtomicU64>,
    shared: SharedCounts,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    outcome: &'static str,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TierLabel {
    tier: &'static str,
}

/// What is counted of one call.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    /// How it ended.
    pub outcome: Outcome,
    /// The stable code of a refusal, or `ok`.
    pub code: &'static str,
    /// Where its grant came from, if it came to that.
    pub cache: Option<&'static str>,
    /// Microseconds until the upstream request.
    pub own: u32,
    /// Microseconds until the answer's head.
    pub took: u32,
}

impl Metrics {
    /// A fresh set, all at nothing.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let mut metrics = Self {
            registry: Registry::with_prefix("consentry"),
            calls: Family::default(),
            duration: Durations::default(),
            before_upstream: Durations::default(),
            grants: Family::default(),
            unrecorded: Counter::default(),
            streams_cut: Gauge::default(),
            ready: Gauge::default(),
            policy_problem: Gauge::default(),
            shared: SharedCounts::default(),
        };
        metrics.register();
        Arc::new(metrics)
    }

    fn register(&mut self) {
        let Self {
            registry,
            calls,
            duration,
            before_upstream,
            grants,
            unrecorded,
            streams_cut,
            ready,
            policy_problem,
            shared,
        } = self;
        registry.register("calls", "Calls by how they ended", calls.clone());
        registry.register(
            "call_duration_seconds",
            "From a call's head to its answer's head",
            duration.clone(),
        );
        registry.register(
            "call_before_upstream_seconds",
            "From a call's head to the upstream request: what the sidecar itself adds",
            before_upstream.clone(),
        );
        registry.register("grant_lookups", "Where a call's grant was found", grants.clone());
        registry.register(
            "unrecorded_calls",
            "Calls refused since no record could be kept",
            unrecorded.clone(),
        );
        registry.register("streams_cut", "Open streams ended by a change of rights", streams_cut.clone());
        registry.register("ready", "1 when this sidecar may serve calls", ready.clone());
        registry.register(
            "policy_problem",
            "1 when the policy files on disk are refused",
            policy_problem.clone(),
        );
        shared.register(registry);
    }

    /// Counts calls. Neighbours that ended alike are looked up together.
    pub fn count(&self, calls: &[Counted]) {
        for alike in calls.chunk_by(|one, next| one.outcome == next.outcome && one.code == next.code) {
            let Some(first) = alike.first() else { continue };
            let labels = CallLabels { outcome: first.outcome.as_str(), code: first.code };
            self.calls.get_or_create(&labels).inc_by(count(alike));
        }
        for alike in calls.chunk_by(|one, next| one.cache == next.cache) {
            if let Some(tier) = alike.first().and_then(|first| first.cache) {
                self.grants.get_or_create(&TierLabel { tier }).inc_by(count(alike));
            }
        }
        self.duration.observe(calls.iter().map(|call| call.took));
        self.before_upstream.observe(calls.iter().map(|call| call.own));
    }

    /// What is counted of the shared tier, to be counted into.
    #[must_use]
    pub fn shared(&self) -> &SharedCounts {
        &self.shared
    }

    /// Counts a call that was refused since no record could be kept of it.
    pub fn count_unrecorded(&self) {
        self.unrecorded.inc();
    }

    /// Shows how many streams were cut so far, whether the sidecar is ready, and whether policy files are refused.
    pub fn show(&self, streams_cut: u64, ready: bool, policy_problem: bool) {
        self.streams_cut.set(streams_cut);
        self.ready.set(u64::from(ready));
        self.policy_problem.set(u64::from(policy_problem));
    }

    /// The text that `/metrics` answers.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            // Formatting into a String does not fail; an empty answer would be noticed.
            Err(_) => String::new(),
        }
    }
}

fn count(alike: &[Counted]) -> u64 {
    u64::try_from(alike.len()).unwrap_or(u64::MAX)
}
