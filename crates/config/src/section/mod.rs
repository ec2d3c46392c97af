//! The sections of a configuration: one file each, with what a key means, its unit and its default.

mod admin;
mod auth;
mod broker;
mod cache;
mod credentials;
mod endpoint;
mod gateway;
mod keys;
mod limits;
mod names;
mod replica;
mod retry;
mod sessions;
mod store;
mod tasks;
mod telemetry;
mod tls;
mod upstream;

pub use admin::{Admin, AdminError, AdminPlace, AdminRoles, AdminSignIn};
pub use auth::{Algorithm, ApiKey, Auth, Dpop, EndpointAuth, Introspection, Issuer, SignIn};
pub use broker::{Broker, BrokerClient};
pub use cache::Cache;
pub use credentials::{Enterprise, Exchange, UpstreamAuth, Voucher};
pub use endpoint::Endpoint;
pub use gateway::Config;
pub use keys::Keys;
pub use limits::Limits;
pub use names::Names;
pub use replica::{Replica, ReplicaError, ReplicaPlace};
pub use retry::{KeyPlace, RetryOn, RetryRule};
pub use sessions::Sessions;
pub use store::{Store, StoreError};
pub use tasks::{HostRule, HostWhen, Tasks, UpstreamTasks};
pub use telemetry::{LogCalls, LogFormat, LogLevel, Telemetry};
pub use tls::{ListenTls, UpstreamTls};
pub use upstream::{Resolved, Revision, Sharing, Stdio, Timeouts, Transport, Upstream};
