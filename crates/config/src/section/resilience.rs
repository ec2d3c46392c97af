//! What is done where a server fails.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::{Hedge, Span};

/// What is done where a server fails: at each replica for itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resilience {
    /// When the server is left alone for a while.
    ///
    /// By default never. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,

    /// How often a call is made again before its client hears of a failure, at most.
    ///
    /// Only where nothing was sent, or where twice is as once: lists, resources that are read, prompts that
    /// are got, and tools named in `idempotent` or believed by `trust_hints`. Calls that tasks make have
    /// `retries` instead. Since 0.1.
    #[schemars(range(max = 10))]
    pub retries: u32,

    /// How long to wait before that, the first time. Each time it doubles, up to a second.
    ///
    /// Up to half of it is left out by chance. A server that asks for a longer wait than a second
    /// (`Retry-After`) is not called again; its client hears of it. Since 0.1.
    pub backoff: Span,

    /// How many further requests there may be of a hundred calls: `retries` and second ones by `hedge_after`.
    ///
    /// Since 0.1.
    #[schemars(range(max = 100))]
    pub budget_percent: u32,

    /// How many further requests there may be besides; they come back with `budget_percent`.
    ///
    /// Since 0.1.
    #[schemars(range(max = 1000))]
    pub budget_min: u32,

    /// After how long a second request is sent beside one that has no answer yet: a duration, or `p95`.
    ///
    /// With `p95` it is the time in which 95 of a hundred of the last ones of their kind were answered,
    /// once twenty were. The first answer counts, and the other request is cancelled. Only where twice is
    /// as once. By default never. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge_after: Option<Hedge>,

    /// When one of several addresses is left alone. Only with `urls`.
    ///
    /// Since 0.1.
    pub eject: Eject,

    /// How the server is checked by requests of the gateway's own, each address for itself.
    ///
    /// By default calls alone say how it is. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthCheck>,
}

/// How a server is checked by requests of the gateway's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HealthCheck {
    /// How often, about: up to a tenth is left out or added by chance.
    ///
    /// Since 0.1.
    pub interval: Span,

    /// How long an answer may take; no longer than `interval`.
    ///
    /// Since 0.1.
    pub timeout: Span,

    /// What to get over HTTP, at the host and port of each address: `/healthz`. Only with `url` or `openapi`.
    ///
    /// A status of 200 to 299 is a good answer. By default a request of the protocol is made that does
    /// nothing: `server/discover`, or `ping` of a legacy server. A program that does not run is started
    /// for it. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub path: Option<String>,

    /// After how many failures in a row it is down.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub down_after: u32,

    /// After how many good answers in a row it is up again.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub up_after: u32,
}

impl Default for HealthCheck {
    fn default() -> Self {
        let (interval, timeout) = (Span::from_secs(10), Span::from_secs(2));
        Self { interval, timeout, path: None, down_after: 3, up_after: 2 }
    }
}

/// When a server is left alone for a while.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// How many of a hundred calls have to fail; 1 to 100.
    ///
    /// What fails is a call without an answer, or with HTTP status 429 or 500 and above. An error of the
    /// server's own is an answer. Since 0.1.
    #[schemars(range(min = 1, max = 100))]
    pub failures_percent: u32,

    /// How many calls there have to be in `window` before any of that counts.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub calls_min: u32,

    /// Over how long calls are counted.
    ///
    /// Since 0.1.
    pub window: Span,

    /// How long no call is made then. Whoever calls hears that nothing ran.
    ///
    /// Since 0.1.
    pub open: Span,

    /// How many calls try afterwards whether the server is well again, at a time; all have to succeed.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub probes: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failures_percent: 50,
            calls_min: 20,
            window: Span::from_secs(10),
            open: Span::from_secs(5),
            probes: 1,
        }
    }
}

/// When one of several addresses is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Eject {
    /// After how many failures in a row.
    ///
    /// Since 0.1.
    #[schemars(range(min = 1))]
    pub after: u32,

    /// For how long, the first time. Each time it is as much longer.
    ///
    /// Since 0.1.
    pub time: Span,

    /// For how long at most.
    ///
    /// Since 0.1.
    pub time_max: Span,

    /// How many of a hundred addresses at most at the same time.
    ///
    /// Since 0.1.
    #[schemars(range(max = 100))]
    pub percent_max: u32,
}

impl Default for Eject {
    fn default() -> Self {
        Self { after: 5, time: Span::from_secs(10), time_max: Span::from_mins(5), percent_max: 50 }
    }
}

impl Default for Resilience {
    fn default() -> Self {
        Self {
            breaker: None,
            retries: 0,
            backoff: Span::from_millis(50),
            budget_percent: 20,
            budget_min: 10,
            hedge_after: None,
            eject: Eject::default(),
            health: None,
        }
    }
}
