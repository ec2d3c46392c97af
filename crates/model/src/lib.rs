//! Ids, principals, clocks, randomness: the words every other crate uses, without I/O.
//!
//! Nothing here opens a socket, reads a file or knows an async runtime. Time and chance come in as
//! arguments ([`Clock`], [`Rng`]), so that everything built on this crate can be tested without waiting.

mod clock;
mod fault;
mod name;
mod principal;
mod replica;
mod rng;
pub mod task;
mod trace;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use fault::{Fault, Retry};
pub use name::{EndpointName, NAME_BYTES_MAX, NameError, UpstreamName};
pub use principal::Principal;
pub use replica::ReplicaId;
pub use rng::{Rng, SeededRng};
pub use trace::{NewSpan, Span, SpanKind, SpanValue, TraceContext, TraceFigures, Tracer, cut};
