//! Typed configuration: loading, diagnostics, schema, import of client files.
//!
//! * [`load_str`] reads a `tidegate.yaml` into a [`Config`], or says everything that is wrong with it and
//!   where.
//! * [`mcp_json::load_str`] does the same with the file of servers that a client has.
//! * [`suspect`] says what is likely a secret.
//! * [`schema`], [`overlay_schema`], [`reference`] and [`explain`] describe the keys, all from the same
//!   types.
//!
//! Nothing here reads a file or the environment: text, variables and files come as arguments.

mod advice;
mod cases;
mod check;
mod describe;
mod diagnostic;
mod diff;
mod layers;
mod load;
pub mod mcp_json;
pub mod raw;
mod section;
mod source;
pub mod suspect;
mod value;

pub use cases::{Case, CaseHints, CaseWho, Cases, Expected};
pub use describe::{explain, key_paths, nearest_key, overlay_schema, reference, schema};
pub use diagnostic::{Diagnostic, Diagnostics};
pub use diff::{Change, Difference, Meaning, Reference, diff};
pub use layers::{Given, LAYERS_MAX, Layer, Layered, Origin, Origins, load_layers};
pub use load::{FILE_BYTES_MAX, load_slice, load_str};
pub use section::{
    Admin, AdminError, AdminPlace, AdminRoles, AdminSignIn, Algorithm, ApiKey, ArgumentType, Audit,
    AuditBucket, AuditExport, AuditFormat, AuditMode, Auth, Breaker, Broker, BrokerClient, Cache, Card,
    CardIcon, CardRepository, CardVisibility, CertificateName, CheckAction, CheckFail, CheckInterceptors,
    CheckMode, CheckRule, CheckWebhook, Checked, Config, CostRule, Detector, Discovery, Dpop, Drift, Eject,
    Endpoint, EndpointAuth, Enterprise, Exchange, Extension, ExtensionState, Extensions, Find, FirstSight,
    Governance, HealthCheck, HostRule, HostWhen, Introspection, Issuer, KeyPlace, Keys, LifeStage, Lifecycle,
    LifecycleRule, Limits, ListenTls, LogCalls, LogFormat, LogLevel, Mtls, Names, OpenApi, Pins, Policy,
    Preset, Quota, QuotaTime, Rate, RateKey, RateMatch, Replica, ReplicaError, ReplicaPlace, Resilience,
    Resolved, RetryOn, RetryRule, Revision, Sandbox, Sessions, Sharing, SignIn, Stdio, Store, StoreError,
    Tasks, Telemetry, Timeouts, Transport, Upstream, UpstreamAuth, UpstreamTasks, UpstreamTls, Variable,
    VariableType, Voucher,
};
pub use value::{
    Address, Day, DayError, Fetch, GLOB_BYTES_MAX, Glob, GlobError, Hedge, HedgeError, HostList, ListenError,
    OriginList, Pace, PaceError, RuleError, SECRET_BYTES_MAX, Secret, SecretCommand, SecretError,
    SecretErrorKind, SecretPlace, SecretText, Size, SizeError, Span, SpanError, StoreUrl, StoreUrlError,
    parse_listen,
};

/// Reads any bytes as every kind of file, for the fuzzer. Must never panic, hang or take much memory.
pub fn fuzz(input: &[u8]) {
    for result in [load_slice(input, "f"), mcp_json::load_slice(input, "f").map(|imported| imported.config)] {
        match result {
            Ok(config) => {
                for upstream in config.upstreams.values() {
                    let targets =
                        [upstream.url.is_some(), upstream.command.is_some(), upstream.openapi.is_some()];
                    assert_eq!(targets.iter().filter(|t| **t).count(), 1, "a target is checked");
                    let _ = (upstream.fingerprint(), upstream.retry("a").map(|rule| rule.is_on_text("a")));
                }
                let _ = (
                    config.host_list(),
                    config.origin_list(),
                    config.tasks.host(None, "a"),
                    format!("{config:?}"),
                );
            }
            Err(faults) => {
                for fault in &faults {
                    assert!(fault.line > 0 && fault.column > 0, "every fault has a position: {fault}");
                }
            }
        }
    }
}
