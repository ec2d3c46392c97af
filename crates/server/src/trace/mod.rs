//! What the gateway tells of its work: metrics, one log line a call, spans where somebody collects them.

mod context;
mod operation;
mod upstreams;

use std::sync::Arc;

use model::Tracer;

use crate::metrics::Metrics;

pub(crate) use operation::Operation;

/// Who is told. Cheap to clone.
#[derive(Clone)]
pub struct Watch {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) tracer: Option<Arc<dyn Tracer>>,
}

impl Watch {
    /// Metrics from zero, and spans where there is a tracer.
    #[must_use]
    pub fn new(tracer: Option<Arc<dyn Tracer>>) -> Self {
        Self { metrics: Arc::new(Metrics::new()), tracer }
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("traces", &self.tracer.is_some()).finish_non_exhaustive()
    }
}

/// What one configuration says of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    /// Which calls are logged.
    pub calls: LogCalls,
    /// Members of `baggage` that go on to upstreams.
    pub baggage: Vec<String>,
}

/// Which calls have a line in the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogCalls {
    /// All.
    All,
    /// Those that failed.
    #[default]
    Failed,
    /// None.
    None,
}

/// Codes that say that the one who asked made a mistake: for who answers they are no errors (OpenTelemetry,
/// "MCP server").
fn is_askers_fault(code: i64) -> bool {
    use protocol::code;
    matches!(
        code,
        code::PARSE
            | code::INVALID_REQUEST
            | code::METHOD_NOT_FOUND
            | code::INVALID_PARAMS
            | code::RESOURCE_NOT_FOUND_LEGACY
    )
}
