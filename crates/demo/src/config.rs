//! What one server offers, and how it behaves.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::revision::Revision;
use crate::server::Server;

/// Who may share a cached result (2026-07-28).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheScope {
    /// Anybody.
    Public,
    /// Only those with the same authorization.
    Private,
}

impl CacheScope {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
        }
    }
}

/// Milliseconds since the Unix epoch.
pub(crate) type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The choices of a [`Builder`].
#[derive(Clone)]
pub(crate) struct Config {
    pub revisions: Vec<Revision>,
    pub name: String,
    pub instructions: Option<String>,
    pub extensions: Option<serde_json::Value>,
    pub unknown_in_results: bool,
    pub tools: bool,
    pub resources: bool,
    pub prompts: bool,
    pub extra_tools: usize,
    pub memory: bool,
    pub page_size: usize,
    pub empty_cursor: bool,
    pub ttl_ms: u64,
    pub cache_scope: CacheScope,
    pub state_ttl_ms: u64,
    pub list_legacy_versions: bool,
    pub stream_answers: bool,
    pub sessionless: bool,
    pub body_bytes_max: usize,
    pub sessions_max: usize,
    pub streams_max: usize,
    pub keep_alive: Duration,
    pub ask_timeout: Duration,
    pub clock: Clock,
}

impl Config {
    /// The legacy revisions, oldest first.
    pub fn legacy(&self) -> impl Iterator<Item = Revision> + '_ {
        self.revisions.iter().copied().filter(|revision| !revision.is_modern())
    }

    pub fn has_legacy(&self) -> bool {
        self.legacy().next().is_some()
    }

    /// Whether there are sessions over Streamable HTTP, which came with 2025-03-26.
    pub fn has_http_sessions(&self) -> bool {
        self.legacy().any(|revision| revision > Revision::V2024_11_05)
    }

    pub fn has_modern(&self) -> bool {
        self.revisions.iter().any(|revision| revision.is_modern())
    }

    /// Whether the Streamable HTTP endpoint exists: 2024-11-05 alone has only the HTTP+SSE pair.
    pub fn has_streamable(&self) -> bool {
        self.revisions.iter().any(|revision| *revision > Revision::V2024_11_05)
    }

    /// Whether the HTTP+SSE pair exists.
    pub fn has_pair(&self) -> bool {
        self.revisions.contains(&Revision::V2024_11_05)
    }

    /// What `server/discover` and refusals name as supported.
    pub fn supported_versions(&self) -> Vec<&'static str> {
        let listed = |revision: &&Revision| self.list_legacy_versions || revision.is_modern();
        self.revisions.iter().rev().filter(listed).map(|revision| revision.as_str()).collect()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("name", &self.name).field("revisions", &self.revisions).finish()
    }
}

/// Makes a [`Server`]. Everything has a default: all revisions, all content, limits that suit a test.
#[derive(Debug, Clone)]
pub struct Builder {
    config: Config,
}

impl Builder {
    pub(crate) fn new() -> Self {
        let config = Config {
            revisions: Revision::ALL.to_vec(),
            name: "tidegate-demo".to_owned(),
            instructions: Some(INSTRUCTIONS.to_owned()),
            extensions: None,
            unknown_in_results: false,
            tools: true,
            resources: true,
            prompts: true,
            extra_tools: 0,
            memory: false,
            page_size: usize::MAX,
            empty_cursor: false,
            ttl_ms: 300_000,
            cache_scope: CacheScope::Public,
            state_ttl_ms: 600_000,
            list_legacy_versions: false,
            stream_answers: false,
            sessionless: false,
            body_bytes_max: 4 << 20,
            sessions_max: 1_000,
            streams_max: 16_384,
            keep_alive: Duration::from_secs(15),
            ask_timeout: Duration::from_secs(300),
            clock: Arc::new(wall_clock),
        };
        Self { config }
    }

    /// The revisions that it speaks, in any order. Default: all. An empty list means all.
    #[must_use]
    pub fn revisions(mut self, revisions: &[Revision]) -> Self {
        let all = revisions.is_empty();
        self.config.revisions = Revision::ALL.into_iter().filter(|r| all || revisions.contains(r)).collect();
        self
    }

    /// The name in `serverInfo`. Default: `tidegate-demo`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.config.name = name.into();
        self
    }

    /// The extensions of the protocol that it says it has, by identifier. Default: none is spoken of.
    #[must_use]
    pub fn extensions(mut self, extensions: serde_json::Value) -> Self {
        self.config.extensions = Some(extensions);
        self
    }

    /// Whether a tool that is not there is told of in a result, as several SDKs do. Default: it is an error.
    #[must_use]
    pub fn unknown_in_results(mut self, on: bool) -> Self {
        self.config.unknown_in_results = on;
        self
    }

    /// The text for the model, or none.
    #[must_use]
    pub fn instructions(mut self, text: Option<&str>) -> Self {
        self.config.instructions = text.map(str::to_owned);
        self
    }

    /// Whether it has tools. Without, the capability is absent and the methods are unknown. Default: true.
    #[must_use]
    pub fn tools(mut self, offered: bool) -> Self {
        self.config.tools = offered;
        self
    }

    /// Whether it has resources. Default: true.
    #[must_use]
    pub fn resources(mut self, offered: bool) -> Self {
        self.config.resources = offered;
        self
    }

    /// Whether it has prompts. Default: true.
    #[must_use]
    pub fn prompts(mut self, offered: bool) -> Self {
        self.config.prompts = offered;
        self
    }

    /// Adds `tool_0000`, `tool_0001`, … which answer with their name and arguments. At most 100,000. Default:
    /// none.
    #[must_use]
    pub fn extra_tools(mut self, count: usize) -> Self {
        self.config.extra_tools = count.min(100_000);
        self
    }

    /// Adds `remember`, which keeps words per legacy session, and `guess`, which asks something else each
    /// time. Default: false.
    #[must_use]
    pub fn memory(mut self, on: bool) -> Self {
        self.config.memory = on;
        self
    }

    /// How many entries a list answers at once, at least 1. Default: all of them.
    #[must_use]
    pub fn page_size(mut self, entries: usize) -> Self {
        self.config.page_size = entries.max(1);
        self
    }

    /// Uses the empty string as the cursor of each list's second page, which is as valid as any. Default:
    /// false.
    #[must_use]
    pub fn empty_cursor(mut self, on: bool) -> Self {
        self.config.empty_cursor = on;
        self
    }

    /// How long lists and fixed resources stay fresh, in milliseconds (2026-07-28). Default: five minutes.
    #[must_use]
    pub fn ttl_ms(mut self, ttl_ms: u64) -> Self {
        self.config.ttl_ms = ttl_ms;
        self
    }

    /// Who may share them. Default: anybody.
    #[must_use]
    pub fn cache_scope(mut self, scope: CacheScope) -> Self {
        self.config.cache_scope = scope;
        self
    }

    /// How long a `requestState` can be used, in milliseconds. Default: ten minutes.
    #[must_use]
    pub fn state_ttl_ms(mut self, ttl_ms: u64) -> Self {
        self.config.state_ttl_ms = ttl_ms;
        self
    }

    /// Names legacy revisions, too, in `supportedVersions`, as some servers do. Default: false.
    #[must_use]
    pub fn list_legacy_versions(mut self, on: bool) -> Self {
        self.config.list_legacy_versions = on;
        self
    }

    /// Answers every request over HTTP with an event stream, as some servers do. Default: JSON where one
    /// document is enough.
    #[must_use]
    pub fn stream_answers(mut self, on: bool) -> Self {
        self.config.stream_answers = on;
        self
    }

    /// Legacy Streamable HTTP without `Mcp-Session-Id`: no GET, no questions, nothing remembered. Default:
    /// false.
    #[must_use]
    pub fn sessionless(mut self, on: bool) -> Self {
        self.config.sessionless = on;
        self
    }

    /// The largest request body, or line on stdio, in bytes. Default: 4 MiB.
    #[must_use]
    pub fn body_bytes_max(mut self, bytes: usize) -> Self {
        self.config.body_bytes_max = bytes;
        self
    }

    /// How many legacy sessions over HTTP there are at most, and as many pairs; past that, the session unused
    /// for longest ends, and another pair is refused. Default: 1,000.
    #[must_use]
    pub fn sessions_max(mut self, sessions: usize) -> Self {
        self.config.sessions_max = sessions.max(1);
        self
    }

    /// How many listen streams are open at most. Default: 16,384.
    #[must_use]
    pub fn streams_max(mut self, streams: usize) -> Self {
        self.config.streams_max = streams;
        self
    }

    /// After how long a quiet event stream gets a comment line. Default: 15 s.
    #[must_use]
    pub fn keep_alive(mut self, after: Duration) -> Self {
        self.config.keep_alive = after.max(Duration::from_millis(1));
        self
    }

    /// How long a legacy client may take to answer a question. Default: five minutes.
    #[must_use]
    pub fn ask_timeout(mut self, timeout: Duration) -> Self {
        self.config.ask_timeout = timeout;
        self
    }

    /// Milliseconds since the Unix epoch, for `demo://clock` and for the expiry of `requestState`.
    #[must_use]
    pub fn clock(mut self, now_ms: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.config.clock = Arc::new(now_ms);
        self
    }

    /// The server.
    #[must_use]
    pub fn build(self) -> Server {
        Server::new(self.config)
    }
}

const INSTRUCTIONS: &str = "A demo server. Call `echo` or `add` to see a plain answer, `slow` for progress, \
    `confirm_order` for a question in the middle of a call, and read demo://readme for the rest.";

#[expect(clippy::disallowed_methods, reason = "the default clock; tests give another one")]
fn wall_clock() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
