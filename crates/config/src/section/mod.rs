//! The sections of a configuration: one file each, with what a key means, its unit and its default.

mod admin;
mod audit;
mod auth;
mod broker;
mod cache;
mod checks;
mod credentials;
mod discovery;
mod endpoint;
mod find;
mod gateway;
mod keys;
mod limits;
mod mtls;
mod names;
mod pins;
mod policy;
mod rates;
mod replica;
mod resilience;
mod retry;
mod sessions;
mod store;
mod tasks;
mod telemetry;
mod tls;
mod upstream;

pub use admin::{Admin, AdminError, AdminPlace, AdminRoles, AdminSignIn};
pub use audit::{Audit, AuditBucket, AuditExport, AuditFormat, AuditMode};
pub use auth::{Algorithm, ApiKey, Auth, Dpop, EndpointAuth, Introspection, Issuer, SignIn};
pub use broker::{Broker, BrokerClient};
pub use cache::Cache;
pub use checks::{
    CheckAction, CheckFail, CheckInterceptors, CheckMode, CheckRule, CheckWebhook, Checked, Detector,
};
pub use credentials::{Enterprise, Exchange, UpstreamAuth, Voucher};
pub use discovery::{Card, CardIcon, CardVisibility, Discovery};
pub use endpoint::Endpoint;
pub use find::Find;
pub use gateway::Config;
pub use keys::Keys;
pub use limits::Limits;
pub use mtls::{CertificateName, Mtls};
pub use names::Names;
pub use pins::{Drift, FirstSight, Pins};
pub use policy::{ArgumentType, Policy, Preset};
pub use rates::{CostRule, Quota, QuotaTime, Rate, RateKey, RateMatch};
pub use replica::{Replica, ReplicaError, ReplicaPlace};
pub use resilience::{Breaker, Eject, HealthCheck, Resilience};
pub use retry::{KeyPlace, RetryOn, RetryRule};
pub use sessions::Sessions;
pub use store::{Store, StoreError};
pub use tasks::{HostRule, HostWhen, Tasks, UpstreamTasks};
pub use telemetry::{LogCalls, LogFormat, LogLevel, Telemetry};
pub use tls::{ListenTls, UpstreamTls};
pub use upstream::{Resolved, Revision, Sharing, Stdio, Timeouts, Transport, Upstream};
