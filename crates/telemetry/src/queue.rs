//! A queue that counts what it drops.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

/// What became of the spans.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// In the queue, or on their way to the collector.
    pub waiting: AtomicUsize,
    pub exported: AtomicU64,
    pub dropped_full: AtomicU64,
    pub dropped_failed: AtomicU64,
}

/// The processor behind it has a queue of the same size, and drops silently what does not fit. Here nothing
/// gets that far.
pub(crate) struct Bounded<P> {
    next: P,
    max: usize,
    counts: Arc<Counts>,
}

impl<P> Bounded<P> {
    pub fn new(next: P, max: usize, counts: Arc<Counts>) -> Self {
        Self { next, max, counts }
    }
}

impl<P> fmt::Debug for Bounded<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded").field("max", &self.max).finish_non_exhaustive()
    }
}

impl<P: SpanProcessor> SpanProcessor for Bounded<P> {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.next.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        if self.counts.waiting.fetch_add(1, Ordering::AcqRel) >= self.max {
            self.counts.waiting.fetch_sub(1, Ordering::AcqRel);
            self.counts.dropped_full.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.next.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}
