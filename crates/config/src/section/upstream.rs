//! A server behind the gateway.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use http::{HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::endpoint::offers;
use super::{
    Lifecycle, LifecycleRule, OpenApi, Pins, Resilience, RetryRule, Sandbox, UpstreamAuth, UpstreamTasks,
    UpstreamTls,
};
use crate::value::{Fetch, Glob, Secret, SecretError, SecretErrorKind, SecretText, Span};

/// A server behind the gateway: at a `url`, a `command` to start, or a web API that an `openapi` document
/// describes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    { "required": ["url"] },
    { "required": ["command"] },
    { "required": ["openapi"] },
]))]
pub struct Upstream {
    /// The URL of its MCP endpoint, `http` or `https`. Either this or `command`.
    ///
    /// Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,

    /// Further URLs of the same server, to each of which any request may go. Only with `url`.
    ///
    /// The request goes to the address that has the least to do. Only for a server of revision 2026-07-28,
    /// which `revision` has to say, and without `auth`. By default none. Since 0.1.
    pub urls: Vec<String>,

    /// The program to start and its arguments, as a list. Either this or `url`.
    ///
    /// No shell reads it. The program is looked up in `PATH`, unless it is a path. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub command: Option<Vec<String>>,

    /// A web API in place of a server of MCP: its operations become tools. Instead of `url` and `command`.
    ///
    /// By default there is none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub openapi: Option<OpenApi>,

    /// Variables for the program, besides `PATH`, `HOME`, `LANG`, `TMPDIR` and `USER`. Only with `command`.
    ///
    /// Nothing else of the gateway's environment reaches the program. Since 0.1.
    pub env: BTreeMap<String, Secret>,

    /// The program's working folder. Only with `command`.
    ///
    /// By default the gateway's own. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,

    /// A sandbox for the program, in which it sees little of this machine. Only with `command`.
    ///
    /// By default the program may do whatever the gateway's user may. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Sandbox>,

    /// How the server at `url` is spoken to. Only with `url`.
    ///
    /// Since 0.1.
    pub transport: Transport,

    /// The one revision of the protocol to speak.
    ///
    /// By default the gateway finds out. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,

    /// Headers for every request to the server, such as `Authorization`. Only with `url` or
    /// `openapi`.
    ///
    /// Since 0.1.
    pub headers: BTreeMap<String, Secret>,

    /// The client's headers that are passed on to the server. Only with `url` or `openapi`.
    ///
    /// Credentials (`Authorization`, `Cookie`) and what belongs to one connection cannot be passed on. By
    /// default none. Since 0.1.
    pub forward_headers: Vec<String>,

    /// By what the gateway proves itself to the server: with a token of its own. Only with `url` or
    /// `openapi`.
    ///
    /// By default nothing but what `headers` says. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<UpstreamAuth>,

    /// How long to wait for what.
    ///
    /// Since 0.1.
    pub timeouts: Timeouts,

    /// How many calls may run on it at a time; further ones wait.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub concurrency_max: usize,

    /// How long its lists are fresh if it gives no hint.
    ///
    /// By default `cache.list_ttl`. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_ttl: Option<Span>,

    /// Other names for its tools and prompts, by its own name for them: `get_customer_by_id: customer`.
    ///
    /// Where several upstreams meet, the prefix is added to the new name. Since 0.1.
    pub aliases: BTreeMap<String, String>,

    /// The names of tools and prompts that are offered at all, as patterns over its own names.
    ///
    /// By default all; an empty list offers none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expose: Option<Vec<Glob>>,

    /// The names of tools and prompts that are not offered, even where `expose` names them.
    ///
    /// Since 0.1.
    pub hide: Vec<Glob>,

    /// How the program's processes are kept. Only with `command`.
    ///
    /// Since 0.1.
    pub stdio: Stdio,

    /// Who shares one session with a server that has sessions, or one process of a program.
    ///
    /// It matters where a server remembers something between calls. A server of revision 2026-07-28 does not:
    /// there the key changes nothing. See the page on sessions. Since 0.1.
    pub sessions: Sharing,

    /// How many sessions or processes are kept for principals, clients and handles, at each replica.
    ///
    /// Who wants one more gets an error that names this key; none that is in use is given up. What is shared
    /// by all has its own limits. Since 0.1.
    #[schemars(range(min = 1))]
    pub sessions_max: usize,

    /// How long a session that was opened for a principal, a client or a handle is kept without use.
    ///
    /// Then it ends, and with it what the server remembered. Since 0.1.
    pub session_idle: Span,

    /// The tools that may run twice without harm, as patterns over its own names for them.
    ///
    /// A call of such a tool that waited for an answer at a replica which is gone is made again at another.
    /// Since 0.1.
    pub idempotent: Vec<Glob>,

    /// What is to be known of its tools, prompts and resources, as labels on patterns over its own names (a
    /// resource's is its URI): `pii: ["export_*"]`. Policies read them as `resource.labels`.
    ///
    /// Since 0.1.
    pub labels: BTreeMap<String, Vec<Glob>>,

    /// Whether the hints `readOnlyHint` and `idempotentHint` of its tools are believed.
    ///
    /// A tool with one of them then counts as named in `idempotent`. Policies see these hints, and
    /// `destructiveHint` and `openWorldHint`, only where they are believed. Since 0.1.
    pub trust_hints: bool,

    /// Who owns the tasks that the server hosts itself.
    ///
    /// Since 0.1.
    pub tasks: UpstreamTasks,

    /// When a task's call of its tools is made again: a list of rules, of which the first that fits a tool
    /// holds.
    ///
    /// A tool that no rule fits, and by default every one, is called once. Since 0.1.
    pub retries: Vec<RetryRule>,

    /// What is done where it fails: left alone for a while, asked again, asked twice.
    ///
    /// Since 0.1.
    pub resilience: Resilience,

    /// How the definitions of its tools, prompts and resource templates are held to what was approved.
    ///
    /// By default the gateway's `pins`. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pins: Option<Pins>,

    /// Whom to trust as this server. Only with `url` or `openapi`.
    ///
    /// Since 0.1.
    pub tls: UpstreamTls,

    /// Where it is in its life. One that is proposed or removed offers nothing, and one that is experimental
    /// only at endpoints with `experimental: true`.
    ///
    /// By default it is active. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,

    /// Where some of its tools, prompts and resources are in their life: a list of rules, of which the first
    /// that fits one holds, in place of `lifecycle`.
    ///
    /// What no rule fits is where the upstream is. Since 0.1.
    pub lifecycles: Vec<LifecycleRule>,

    /// What it is for, in a sentence for people.
    ///
    /// By default nothing. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,

    /// Whether it is used at all. One that is switched off is still checked.
    ///
    /// Since 0.1.
    pub enabled: bool,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            url: None,
            urls: Vec::new(),
            command: None,
            openapi: None,
            env: BTreeMap::new(),
            cwd: None,
            sandbox: None,
            transport: Transport::Auto,
            revision: None,
            headers: BTreeMap::new(),
            forward_headers: Vec::new(),
            auth: None,
            timeouts: Timeouts::default(),
            concurrency_max: 64,
            list_ttl: None,
            aliases: BTreeMap::new(),
            expose: None,
            hide: Vec::new(),
            stdio: Stdio::default(),
            sessions: Sharing::default(),
            sessions_max: 64,
            session_idle: Span::from_mins(30),
            idempotent: Vec::new(),
            labels: BTreeMap::new(),
            trust_hints: false,
            tasks: UpstreamTasks::default(),
            retries: Vec::new(),
            resilience: Resilience::default(),
            pins: None,
            tls: UpstreamTls::default(),
            lifecycle: None,
            lifecycles: Vec::new(),
            description: None,
            enabled: true,
        }
    }
}

/// Who shares one session with a server, or one process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// Everybody shares: a program's processes with all, a session over HTTP with all clients of a principal.
    #[default]
    Shared,
    /// One for each principal, kept as long as it is used.
    PerPrincipal,
    /// One for each client session of a legacy revision; one for each request of a modern client.
    PerClient,
    /// One for each handle, which clients open and close with two tools that the gateway adds.
    Handle,
}

/// How the server at a URL is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Find out.
    #[default]
    Auto,
    /// One endpoint to post to (2025-03-26 and newer).
    StreamableHttp,
    /// A stream of events and an endpoint to post to (2024-11-05).
    HttpSse,
}

/// A revision of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Revision {
    /// The first one, with the HTTP+SSE transport.
    #[serde(rename = "2024-11-05")]
    V2024_11_05,
    /// The first one with Streamable HTTP; the only one with batches.
    #[serde(rename = "2025-03-26")]
    V2025_03_26,
    /// With structured results and elicitation.
    #[serde(rename = "2025-06-18")]
    V2025_06_18,
    /// The last one with sessions.
    #[serde(rename = "2025-11-25")]
    V2025_11_25,
    /// Stateless.
    #[serde(rename = "2026-07-28")]
    V2026_07_28,
}

impl Revision {
    /// All revisions, oldest first.
    pub const ALL: [Self; 5] =
        [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25, Self::V2026_07_28];

    /// The revision as the protocol writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }
}

/// How long to wait for an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// For a connection with TLS, or for a started program's first answer.
    ///
    /// Since 0.1.
    pub connect: Span,

    /// From a request to the first byte of its answer.
    ///
    /// Since 0.1.
    pub first_byte: Span,

    /// Between two pieces of an answer.
    ///
    /// Since 0.1.
    pub idle: Span,

    /// For a whole call, the client's time for answers not counted.
    ///
    /// Since 0.1.
    pub total: Span,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Span::from_secs(5),
            first_byte: Span::from_secs(60),
            idle: Span::from_secs(120),
            total: Span::from_mins(10),
        }
    }
}

/// How the processes of a program are kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Stdio {
    /// How many processes may run at a time.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub processes_max: usize,

    /// How long a process without work is kept.
    ///
    /// Since 0.1.
    pub idle_stop: Span,

    /// How long to wait before a crashed program is started again, the first time. Each time it doubles.
    ///
    /// Since 0.1.
    pub restart_backoff_min: Span,

    /// How long to wait before a crashed program is started again, at most.
    ///
    /// Since 0.1.
    pub restart_backoff_max: Span,

    /// How many of the last lines that the program wrote to its standard error are kept.
    ///
    /// Since 0.1.
    pub stderr_lines_max: usize,
}

impl Default for Stdio {
    fn default() -> Self {
        Self {
            processes_max: 4,
            idle_stop: Span::from_mins(10),
            restart_backoff_min: Span::from_millis(500),
            restart_backoff_max: Span::from_secs(30),
            stderr_lines_max: 200,
        }
    }
}

/// Headers with every secret looked up. The values are marked as sensitive.
pub(super) fn look_up_headers(
    headers: &BTreeMap<String, Secret>,
    env: &dyn Fn(&str) -> Option<String>,
    read: &Fetch<'_>,
) -> Result<Vec<(HeaderName, HeaderValue)>, SecretError> {
    let mut found = Vec::with_capacity(headers.len());
    for (name, secret) in headers {
        let failed = |kind| SecretError { at: format!("headers.{name}"), kind };
        let value = secret.resolve(env, read).map_err(failed)?;
        let unsendable = |_| failed(SecretErrorKind::Unsendable);
        let mut value = HeaderValue::from_str(value.expose()).map_err(unsendable)?;
        value.set_sensitive(true);
        let name = HeaderName::try_from(name.as_str());
        found.push((name.map_err(|_| failed(SecretErrorKind::Unsendable))?, value));
    }
    Ok(found)
}

/// An upstream's values with every secret looked up. Two that are equal need no new connector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Variables for the program.
    pub env: Vec<(String, SecretText)>,
    /// Headers for every request. The values are marked as sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The client's secret or private key of `auth`. A workload's token is read when it is needed.
    pub auth: Option<SecretText>,
    /// The credentials of `openapi`, by the names of their schemes.
    pub credentials: Vec<(String, SecretText)>,
}

impl Upstream {
    /// Whether its own name `own` passes `expose` and `hide`.
    #[must_use]
    pub fn offers(&self, own: &str) -> bool {
        offers(self.expose.as_deref(), &self.hide, own)
    }

    /// The rule by which a task's call of its tool `own` is made again; `None` where it is called once.
    #[must_use]
    pub fn retry(&self, own: &str) -> Option<&RetryRule> {
        self.retries.iter().find(|rule| rule.tools.matches(own))
    }

    /// A value that changes when a connector built from this section would be another one.
    ///
    /// What only concerns names, lists and people (`aliases`, `expose`, `hide`, `list_ttl`, `description`,
    /// `enabled`), and what is asked with each call (`idempotent`, `labels`, `trust_hints`, `tasks`,
    /// `retries`, `pins`, `lifecycle`, `lifecycles`), does not count, so that a reload which changes them
    /// keeps connections and processes. Nor does the content of files and variables; compare [`Resolved`]
    /// for that. Holds within one process.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let Self {
            url,
            urls,
            command,
            openapi,
            env,
            cwd,
            sandbox,
            transport,
            revision,
            headers,
            forward_headers,
            auth,
            timeouts,
            concurrency_max,
            list_ttl: _,
            aliases: _,
            expose: _,
            hide: _,
            stdio,
            sessions,
            sessions_max,
            session_idle,
            idempotent: _,
            labels: _,
            trust_hints: _,
            tasks: _,
            retries: _,
            resilience,
            pins: _,
            tls,
            lifecycle: _,
            lifecycles: _,
            description: _,
            enabled: _,
        } = self;
        let mut hasher = DefaultHasher::new();
        (url, urls, command, openapi, env, cwd, sandbox, transport, revision).hash(&mut hasher);
        (headers, forward_headers, auth, timeouts, concurrency_max, stdio, tls).hash(&mut hasher);
        (sessions, sessions_max, session_idle, resilience).hash(&mut hasher);
        hasher.finish()
    }

    /// Looks all secrets up: variables with `env`, files with `read`.
    ///
    /// # Errors
    /// [`SecretError`] for the first one that cannot be had or cannot be sent. It contains no secret.
    pub fn resolve(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
        read: &Fetch<'_>,
    ) -> Result<Resolved, SecretError> {
        let mut found =
            Resolved { env: Vec::new(), headers: Vec::new(), auth: None, credentials: Vec::new() };
        for (name, secret) in &self.env {
            let failed = |kind| SecretError { at: format!("env.{name}"), kind };
            let value = secret.resolve(env, read).map_err(failed)?;
            if value.expose().contains('\0') {
                return Err(failed(SecretErrorKind::Unsendable));
            }
            found.env.push((name.clone(), value));
        }
        found.headers = look_up_headers(&self.headers, env, read)?;
        let auth = self.auth.as_ref().and_then(UpstreamAuth::secret);
        if let Some((key, secret)) = auth {
            let failed = |kind| SecretError { at: format!("auth.{key}"), kind };
            found.auth = Some(secret.resolve(env, read).map_err(failed)?);
        }
        for (name, secret) in self.openapi.iter().flat_map(|section| &section.credentials) {
            let failed = |kind| SecretError { at: format!("openapi.credentials.{name}"), kind };
            let value = secret.resolve(env, read).map_err(failed)?;
            HeaderValue::from_str(value.expose()).map_err(|_| failed(SecretErrorKind::Unsendable))?;
            found.credentials.push((name.clone(), value));
        }
        Ok(found)
    }

    pub(super) fn anchor(&mut self, folder: &Path) {
        for secret in self.env.values_mut().chain(self.headers.values_mut()) {
            secret.anchor(folder);
        }
        if let Some(auth) = &mut self.auth {
            auth.anchor(folder);
        }
        if let Some(openapi) = &mut self.openapi {
            openapi.anchor(folder);
        }
        if let Some(cwd) = &mut self.cwd {
            *cwd = folder.join(&*cwd);
        }
        if let Some(sandbox) = &mut self.sandbox {
            sandbox.anchor(folder);
        }
        self.tls.anchor(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::SecretPlace;

    #[test]
    fn only_what_the_connector_is_made_of_changes_the_fingerprint() {
        let base = Upstream { url: Some("http://127.0.0.1:1/mcp".to_owned()), ..Upstream::default() };
        let same = [
            Upstream { description: Some("x".to_owned()), ..base.clone() },
            Upstream { expose: Some(Vec::new()), ..base.clone() },
            Upstream { aliases: BTreeMap::from([("a".to_owned(), "b".to_owned())]), ..base.clone() },
            Upstream { list_ttl: Some(Span::from_secs(1)), ..base.clone() },
            Upstream { enabled: false, ..base.clone() },
            Upstream { trust_hints: true, ..base.clone() },
            Upstream { labels: BTreeMap::from([("a".to_owned(), Vec::new())]), ..base.clone() },
            Upstream { tasks: UpstreamTasks::Adopt, ..base.clone() },
            Upstream { lifecycle: Some(Lifecycle::default()), ..base.clone() },
            Upstream { retries: vec![RetryRule::default()], ..base.clone() },
            Upstream { idempotent: vec![Glob::new("a").expect("a pattern")], ..base.clone() },
        ];
        for other in same {
            assert_eq!(other.fingerprint(), base.fingerprint(), "{other:?}");
        }
        let headers = |value: &str| BTreeMap::from([("x".to_owned(), Secret::plain(value))]);
        let others = [
            Upstream { url: Some("http://127.0.0.1:2/mcp".to_owned()), ..base.clone() },
            Upstream { revision: Some(Revision::V2025_11_25), ..base.clone() },
            Upstream { transport: Transport::HttpSse, ..base.clone() },
            Upstream { concurrency_max: 1, ..base.clone() },
            Upstream { sessions: Sharing::Handle, ..base.clone() },
            Upstream { sessions_max: 1, ..base.clone() },
            Upstream { session_idle: Span::from_secs(1), ..base.clone() },
            Upstream { headers: headers("one"), ..base.clone() },
            Upstream { headers: headers("two"), ..base.clone() },
            Upstream { forward_headers: vec!["x".to_owned()], ..base.clone() },
            Upstream {
                timeouts: Timeouts { idle: Span::from_secs(1), ..Timeouts::default() },
                ..base.clone()
            },
            Upstream { tls: UpstreamTls { ca: Some("/ca".into()) }, ..base.clone() },
            Upstream { stdio: Stdio { processes_max: 1, ..Stdio::default() }, ..base.clone() },
            Upstream { sandbox: Some(Sandbox::default()), ..base.clone() },
            Upstream { sandbox: Some(Sandbox { network: true, ..Sandbox::default() }), ..base.clone() },
        ];
        let mut seen = vec![base.fingerprint()];
        for other in others {
            assert!(!seen.contains(&other.fingerprint()), "{other:?}");
            seen.push(other.fingerprint());
        }
    }

    #[test]
    fn the_first_rule_that_fits_a_tool_says_when_it_is_called_again() {
        let rule = |tools: &str, max_attempts| RetryRule {
            tools: Glob::new(tools).expect("a pattern"),
            max_attempts,
            ..RetryRule::default()
        };
        let retries = vec![rule("get_*", 4), rule("get_all", 2), rule("put_?", 3)];
        let upstream = Upstream { retries, ..Upstream::default() };
        let attempts = |own| upstream.retry(own).map(|rule| rule.max_attempts);
        assert_eq!((attempts("get_all"), attempts("put_x"), attempts("delete")), (Some(4), Some(3), None));
    }

    #[test]
    fn secrets_are_looked_up_and_marked() {
        let upstream = Upstream {
            env: BTreeMap::from([("KEY".to_owned(), Secret::file("/key"))]),
            headers: BTreeMap::from([("Authorization".to_owned(), Secret::env("T").with_prefix("Bearer "))]),
            ..Upstream::default()
        };
        let env = |name: &str| (name == "T").then(|| "hunter2".to_owned());
        let read = |_: SecretPlace<'_>| Ok(b"hunter3\n".to_vec());
        let found = upstream.resolve(&env, &read).expect("both are there");
        assert_eq!(found.env[0].1.expose(), "hunter3");
        assert_eq!(found.headers[0].0, "authorization");
        assert_eq!(found.headers[0].1.as_bytes(), b"Bearer hunter2");
        assert!(!format!("{found:?}").contains("hunter"));
    }

    #[test]
    fn a_secret_that_cannot_be_sent_is_named_and_not_shown() {
        let headers = BTreeMap::from([("x-key".to_owned(), Secret::env("T"))]);
        let upstream = Upstream { headers, ..Upstream::default() };
        let env = |_: &str| Some("hun\nter2".to_owned());
        let read = |_: SecretPlace<'_>| Ok(Vec::new());
        let error = upstream.resolve(&env, &read).expect_err("a header has one line");
        assert_eq!(error.to_string(), "read the value of headers.x-key");
        assert_eq!(error.kind.to_string(), "it has characters that cannot be sent");
        let gone = upstream.resolve(&|_| None, &read).expect_err("there is no variable");
        assert_eq!(gone.kind.to_string(), "the environment variable T is not set");
    }
}
