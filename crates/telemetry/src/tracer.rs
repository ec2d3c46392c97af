//! Spans of the library behind the words of the core.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::{NewSpan, Span, SpanKind, SpanValue, TraceContext, TraceFigures, Tracer};
use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanId, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::{SdkTracer, Span as SdkSpan};

use crate::queue::Counts;

/// The longest text that a span keeps, in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// The tracer.
pub(crate) struct OtlpTracer {
    tracer: SdkTracer,
    counts: Arc<Counts>,
}

impl OtlpTracer {
    pub fn new(tracer: SdkTracer, counts: Arc<Counts>) -> Self {
        Self { tracer, counts }
    }
}

impl Tracer for OtlpTracer {
    fn start(&self, new: NewSpan<'_>) -> Box<dyn Span> {
        // A parent of what we send is a span of ours; one of what we are sent is somebody else's.
        let (kind, remote) = match new.kind {
            SpanKind::Server => (opentelemetry::trace::SpanKind::Server, true),
            SpanKind::Client => (opentelemetry::trace::SpanKind::Client, false),
        };
        let parent = match new.parent {
            Some(parent) => Context::new().with_remote_span_context(theirs(parent, remote)),
            None => Context::new(),
        };
        let mut builder = self.tracer.span_builder(cut(new.name)).with_kind(kind);
        if let Some(link) = new.link {
            builder = builder.with_links(vec![Link::with_context(theirs(link, true))]);
        }
        let span = builder.start_with_context(&self.tracer, &parent);
        let own = span.span_context();
        let context = TraceContext {
            trace_id: own.trace_id().to_bytes(),
            span_id: own.span_id().to_bytes(),
            flags: own.trace_flags().to_u8(),
            state: new.parent.and_then(|parent| parent.state.clone()),
        };
        Box::new(OtlpSpan { span, context })
    }

    fn figures(&self) -> TraceFigures {
        TraceFigures {
            exported: self.counts.exported.load(Ordering::Relaxed),
            dropped_full: self.counts.dropped_full.load(Ordering::Relaxed),
            dropped_failed: self.counts.dropped_failed.load(Ordering::Relaxed),
        }
    }
}

fn theirs(context: &TraceContext, remote: bool) -> SpanContext {
    // What the library cannot read still travels on: it is kept beside.
    let state = context.state.as_deref().and_then(|s| s.parse::<TraceState>().ok()).unwrap_or_default();
    SpanContext::new(
        TraceId::from_bytes(context.trace_id),
        SpanId::from_bytes(context.span_id),
        TraceFlags::new(context.flags),
        remote,
        state,
    )
}

/// A span; the library ends it when it is dropped.
struct OtlpSpan {
    span: SdkSpan,
    context: TraceContext,
}

impl Span for OtlpSpan {
    fn context(&self) -> &TraceContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        self.span.is_recording()
    }

    fn rename(&mut self, name: String) {
        self.span.update_name(cut(name));
    }

    fn set(&mut self, name: &'static str, value: SpanValue) {
        let value = match value {
            SpanValue::Word(word) => Value::from(word),
            SpanValue::Text(text) => Value::from(cut(text)),
            SpanValue::Number(number) => Value::from(number),
        };
        self.span.set_attribute(KeyValue::new(name, value));
    }

    fn fail(&mut self, kind: &str, message: &str) {
        self.span.set_attribute(KeyValue::new("error.type", kind.to_owned()));
        self.span.set_status(Status::error(cut(message.to_owned())));
    }
}

/// Names of tools and URIs are other people's text, of any length.
fn cut(mut text: String) -> String {
    text.truncate(model::cut(&text, TEXT_BYTES_MAX).len());
    text
}
