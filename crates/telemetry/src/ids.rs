//! Ids of traces and spans, from the randomness that everything else uses.

use std::fmt;
use std::sync::Arc;

use model::Rng;
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::IdGenerator;

/// The source of ids.
pub(crate) struct Ids(pub Arc<dyn Rng>);

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ids")
    }
}

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        let mut bytes = [0; 16];
        self.0.fill(&mut bytes);
        // All zeros means that there is none.
        bytes[15] |= u8::from(bytes == [0; 16]);
        TraceId::from_bytes(bytes)
    }

    fn new_span_id(&self) -> SpanId {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        bytes[7] |= u8::from(bytes == [0; 8]);
        SpanId::from_bytes(bytes)
    }
}
