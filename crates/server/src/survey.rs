//! What the upstreams are and how they do, for the start and the command line.

use std::time::Duration;

use catalog::{Caller, Kind, ListError, Source};
use futures_util::future::join_all;
use model::Principal;
use protocol::{Capabilities, Raw, Revision};
use upstream::{CallError, HttpTransport, Target};

use crate::app::Generation;

/// One upstream.
#[derive(Debug, Clone)]
pub struct UpstreamRow {
    /// Its name.
    pub name: String,
    /// How it is reached.
    pub transport: &'static str,
    /// What it speaks, once that is known.
    pub revision: Option<Revision>,
    /// How many tools it has; `None`: it offers none, or could not be asked.
    pub tools: Option<usize>,
    /// How many resources.
    pub resources: Option<usize>,
    /// How many prompts.
    pub prompts: Option<usize>,
    /// In one word: `up`, or the reason why not.
    pub state: &'static str,
    /// More of the reason.
    pub error: Option<String>,
    /// How long its last answer took.
    pub latency: Option<Duration>,
}

/// What an upstream is called that has said nothing yet, neither good nor bad.
const UNANSWERED: &str = "no answer yet";
/// An upstream that answers, with an error.
const ERROR: &str = "error";

/// Asks all upstreams at once; none waits for another, and none longer than `patience`.
pub async fn survey(generation: &Generation, patience: Duration) -> Vec<UpstreamRow> {
    let mut sources: Vec<_> = generation.sources.iter().collect();
    sources.sort_by(|a, b| a.0.cmp(b.0));
    join_all(sources.into_iter().map(|(_, source)| row(source, patience))).await
}

async fn row(source: &Source, patience: Duration) -> UpstreamRow {
    let caller = Caller {
        principal: Principal::anonymous(),
        capabilities: Capabilities::none(),
        client_info: Raw::literal(r#"{"name":"tidegate","version":"0"}"#),
        trace: None,
    };
    let count = async |kind: Kind| match source.list(kind, &caller).await {
        Ok(list) => (Some(list.items.len()), None),
        Err(ListError::None) => (None, None),
        Err(ListError::Call(error)) => (None, Some((error.kind.as_str(), words(&error)))),
        Err(ListError::Rpc(error)) => {
            (None, Some((ERROR, format!("{}: {} (code {})", kind.method(), error.message, error.code))))
        }
    };
    let counts = async { tokio::join!(count(Kind::Tools), count(Kind::Resources), count(Kind::Prompts)) };
    let counts = tokio::time::timeout(patience, counts).await.unwrap_or_default();
    let ((tools, no_tools), (resources, no_resources), (prompts, no_prompts)) = counts;
    let upstream = source.upstream();
    let health = upstream.health();
    // One list may be missing where the last answer was a good one.
    let state = |error: &CallError| if health.is_up() { health.state } else { error.kind.as_str() };
    let failed = health.error.as_ref().map(|error| (state(error), words(error)));
    let (state, error) = match failed.or(no_tools).or(no_resources).or(no_prompts) {
        Some((state, error)) => (state, Some(error)),
        None if health.state == "untried" => (UNANSWERED, None),
        None => (health.state, None),
    };
    UpstreamRow {
        name: upstream.name().to_string(),
        transport: match &upstream.options().target {
            Target::Stdio(_) => "stdio",
            Target::Http { transport: HttpTransport::SsePair, .. } => "http+sse",
            Target::Http { .. } => "http",
            Target::Api { .. } => "openapi",
        },
        revision: health.revision.filter(|_| !matches!(upstream.options().target, Target::Api { .. })),
        tools,
        resources,
        prompts,
        state,
        error,
        latency: health.latency,
    }
}

/// The operator's words for an error, as beside the upstream's name.
fn words(error: &CallError) -> String {
    match &error.detail {
        Some(detail) => detail.to_string(),
        None => error.kind.to_string(),
    }
}
