//! The way to the collector: the library encodes, egress carries, and every batch is counted.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use egress::{Http, Timeouts};
use http::{Request, Response};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use crate::queue::Counts;

/// The largest answer of a collector that is read. A good one has a few bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// egress as the library's HTTP client. The library calls it from a thread of its own; the requests run on
/// the runtime that it was made in.
pub(crate) struct Client {
    http: Http,
    timeouts: Timeouts,
    runtime: tokio::runtime::Handle,
}

impl Client {
    pub fn new(http: Http, total: Duration) -> Self {
        let timeouts = Timeouts { total: Some(total), ..Timeouts::default() };
        Self { http, timeouts, runtime: tokio::runtime::Handle::current() }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("timeouts", &self.timeouts).finish_non_exhaustive()
    }
}

impl HttpClient for Client {
    fn send_bytes<'client, 'sending>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'sending>>
    where
        'client: 'sending,
        Self: 'sending,
    {
        let (http, timeouts) = (self.http.clone(), self.timeouts);
        let sending = self.runtime.spawn(async move {
            let response = http.send(request.map(Into::into), &timeouts).await?;
            let (head, body) = response.into_parts();
            let body = body.collect(ANSWER_BYTES_MAX).await?;
            Ok::<_, HttpError>(Response::from_parts(head, body))
        });
        Box::pin(async move { sending.await? })
    }
}

/// An exporter that counts, and says once that the collector is gone, and once that it is back.
pub(crate) struct Counted<E> {
    next: E,
    counts: Arc<Counts>,
    failing: AtomicBool,
}

impl<E> Counted<E> {
    pub fn new(next: E, counts: Arc<Counts>) -> Self {
        Self { next, counts, failing: AtomicBool::new(false) }
    }
}

impl<E> fmt::Debug for Counted<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counted").field("counts", &self.counts).finish_non_exhaustive()
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let size = batch.len();
        // Out of the queue: others may take the places now, while these are under way.
        self.counts.waiting.fetch_sub(size, Ordering::AcqRel);
        let exported = self.next.export(batch).await;
        let counter = match &exported {
            Ok(()) => &self.counts.exported,
            Err(_) => &self.counts.dropped_failed,
        };
        counter.fetch_add(size as u64, Ordering::Relaxed);
        match &exported {
            Ok(()) if self.failing.swap(false, Ordering::AcqRel) => {
                tracing::info!("the collector takes spans again");
            }
            Err(error) if !self.failing.swap(true, Ordering::AcqRel) => {
                tracing::warn!(%error, "the collector takes no spans; they are dropped until it does");
            }
            _ => {}
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn shutdown(&self) -> OTelSdkResult {
        self.next.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}
