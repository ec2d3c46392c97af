//! Logs and traces.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Logs and traces. Metrics are served at `/metrics`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// The URL of an OpenTelemetry collector that takes traces over HTTP (OTLP), as in
    /// `http://127.0.0.1:4318`.
    ///
    /// By default no traces are sent. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,

    /// One in so many of the traces that begin here is sent; 1 is all of them.
    ///
    /// A trace that came in with a call is sent exactly if its sender records it. Since 0.1.
    #[schemars(range(min = 1))]
    pub sample_one_in: u32,

    /// Members of W3C `baggage` that go on to upstreams.
    ///
    /// Baggage may say anything about the client's user and crosses a border here, so what is not named stays
    /// behind. By default nothing goes on. Since 0.1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forward_baggage: Vec<String>,

    /// The name of this service in traces.
    ///
    /// Since 0.1.
    pub service_name: String,

    /// How log lines are written.
    ///
    /// Since 0.1.
    pub log_format: LogFormat,

    /// The least important messages that are logged.
    ///
    /// Since 0.1.
    pub log_level: LogLevel,

    /// Which calls have a line in the log, at the level `info`.
    ///
    /// The line says what was asked of whom and how it ended, and never arguments or results. Since 0.1.
    pub log_calls: LogCalls,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            sample_one_in: 1,
            forward_baggage: Vec::new(),
            service_name: "tidegate".to_owned(),
            log_format: LogFormat::Auto,
            log_level: LogLevel::Info,
            log_calls: LogCalls::Failed,
        }
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// Lines for people.
    Text,
}

/// How important a message is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something failed that should not.
    Error,
    /// Something is odd, and somebody should look at it some day.
    Warn,
    /// What an operator wants to know in normal times.
    #[default]
    Info,
    /// What helps to find a fault.
    Debug,
    /// Everything.
    Trace,
}

/// Which calls are logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogCalls {
    /// All of them.
    All,
    /// Those that ended with an error, or with a tool's result that says that it failed.
    #[default]
    Failed,
    /// None.
    None,
}

impl LogLevel {
    /// The level's name, as log filters read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
