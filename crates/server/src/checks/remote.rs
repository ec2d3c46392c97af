//! Who else is asked whether something passes: by a webhook, or by interceptors.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use config::{CheckRule, SecretError};
use egress::{EgressError, Guard, Http, HttpOptions, TlsOptions};
use futures_util::future::BoxFuture;
use http::Uri;
use protocol::{Method, Raw};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::interceptors::Interceptors;
use super::passing::Shape;
use super::rule::Place;
use super::webhook::Webhook;
use crate::app::Exchange;
use crate::compose::Shared;

/// As much of somebody else's words as a client is shown, in bytes.
const REASON_BYTES_MAX: usize = 300;

/// A check that cannot be made as the configuration says.
#[derive(Debug, thiserror::Error)]
#[error("prepare the check {check:?}")]
pub struct Unprepared {
    /// Which.
    pub check: String,
    /// Why not.
    pub source: Box<CheckError>,
}

/// Why nobody can be asked as the configuration says.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A secret could not be had.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A file could not be read.
    #[error("read {path}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The client could not be made.
    #[error("prepare to ask")]
    Egress(#[from] EgressError),
    /// A URL that the loader let through.
    #[error("use the url")]
    Url(#[from] http::uri::InvalidUri),
    /// What its connections are called.
    #[error("name its connections")]
    Name(#[from] model::NameError),
    /// What signs is none.
    #[error("use the secret: expected whsec_ and 24 to 64 bytes in Base64")]
    NoSecret,
}

/// Why there is no good answer. For operators; clients are told that there is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    #[error("it is larger than what may be sent")]
    TooLarge,
    #[error("there was no answer in time")]
    Late,
    #[error("nobody could be reached: {0}")]
    Unreachable(String),
    #[error("the answer has the status {0}")]
    Status(u16),
    #[error("the answer is larger than it may be")]
    AnswerTooLarge,
    #[error("the answer makes no sense: {0}")]
    Garbage(&'static str),
    #[error("it would become something else: {0}")]
    Unfit(&'static str),
    #[error("the interceptor {name:?} failed: {why}")]
    Interceptor { name: String, why: String },
    #[error("there is no interceptor {0:?}")]
    NoInterceptor(String),
}

impl Failure {
    /// In one word.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Late => "timeout",
            Self::Unreachable(_) => "unreachable",
            Self::Status(_) => "status",
            Self::AnswerTooLarge => "answer_too_large",
            Self::Garbage(_) => "garbage",
            Self::Unfit(_) => "unfit",
            Self::Interceptor { .. } => "interceptor_failed",
            Self::NoInterceptor(_) => "no_interceptor",
        }
    }
}

/// What is said of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Pass,
    /// It passes like this.
    Changed(Raw),
    Denied {
        /// For whoever called.
        reason: Option<String>,
        /// For operators.
        code: Option<String>,
    },
}

/// An answer, with what the log should know besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) said: Said,
    pub(super) notes: Vec<String>,
}

/// What is asked about.
pub(super) struct About<'a> {
    pub(super) x: &'a Exchange,
    pub(super) part: &'static str,
    pub(super) place: &'a Place<'a>,
    pub(super) method: &'a Method,
    pub(super) shape: &'a Shape<'a>,
}

/// Whoever is asked.
pub(super) enum Remote {
    Webhook(Webhook),
    Interceptors(Interceptors),
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Webhook(_) => "Webhook",
            Self::Interceptors(_) => "Interceptors",
        })
    }
}

impl Remote {
    /// Whom a rule asks. `index` is the rule's place, and a part of the name by which connections are known.
    pub(super) fn of(rule: &CheckRule, index: usize, shared: &Shared) -> Result<Option<Self>, CheckError> {
        if let Some(webhook) = &rule.webhook {
            return Webhook::new(webhook, shared).map(Self::Webhook).map(Some);
        }
        let own = rule.interceptors.as_ref();
        own.map(|own| Interceptors::new(own, index, shared).map(Self::Interceptors)).transpose()
    }

    /// What is said of a text. `open`: who fails is passed over.
    ///
    /// Boxed and named for what it gives alone: whom it asks is called as an upstream is, in a call to one,
    /// and the compiler follows futures only so deep.
    pub(super) fn ask<'a>(
        &'a self,
        about: &'a About<'_>,
        text: &'a Raw,
        open: bool,
    ) -> BoxFuture<'a, Result<Answered, Failure>> {
        match self {
            Self::Webhook(webhook) => Box::pin(async move {
                let said = webhook.ask(about, text).await?;
                Ok(Answered { said, notes: Vec::new() })
            }),
            Self::Interceptors(own) => Box::pin(own.ask(about, text, open)),
        }
    }
}

/// Requests that wait for one another. The wait counts as a part of the time that an answer may take.
pub(super) struct Turns(Semaphore);

impl Turns {
    pub(super) fn new(at_a_time: usize) -> Self {
        Self(Semaphore::new(at_a_time))
    }

    pub(super) async fn take(&self) -> Result<SemaphorePermit<'_>, Failure> {
        self.0.acquire().await.map_err(|_closed| Failure::Late)
    }
}

/// A client for a place that the operator wrote: any address is allowed, and redirects are answers.
pub(super) fn client(
    url: &str,
    ca: Option<&std::path::PathBuf>,
    (timeout, connections): (Duration, usize),
) -> Result<(Uri, Http), CheckError> {
    let file = |path: &std::path::PathBuf| {
        std::fs::read(path).map_err(|source| CheckError::File { path: path.display().to_string(), source })
    };
    let http = Http::new(HttpOptions {
        connect_timeout: timeout,
        pool_max_idle_per_host: connections,
        guard: Guard::Operator,
        tls: TlsOptions { extra_ca_pem: ca.map(file).transpose()?, ..TlsOptions::default() },
        ..HttpOptions::default()
    })?;
    Ok((url.parse()?, http))
}

/// Somebody else's words, short and without what ends a line.
pub(super) fn words(text: &str) -> Option<String> {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let plain = model::cut(plain.trim(), REASON_BYTES_MAX);
    (!plain.is_empty()).then(|| plain.to_owned())
}

/// Who calls, as far as he is named to others: his kind, and his name without anything that proves it.
pub(super) fn kind_of(x: &Exchange) -> &'static str {
    match x.who.kind {
        identity::Kind::Anonymous => "anonymous",
        identity::Kind::Person | identity::Kind::Agent => "user",
        identity::Kind::Workload => "workload",
    }
}

/// What an operation is called in the audit log, where there is one.
pub(super) fn operation(x: &Exchange) -> Option<Arc<str>> {
    x.noted.as_ref().map(|noted| noted.operation())
}

/// A text in a JSON string of another text.
pub(super) fn text_of<'a>(raw: &'a Raw, name: &str) -> Option<Cow<'a, str>> {
    let value = raw.get(name)?;
    value.as_str().map(|text| Cow::Owned(text.into_owned()))
}
