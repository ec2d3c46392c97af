//! Composition: listeners, the way of a call, the edges for both eras, metrics, drain.

mod answer;
mod app;
mod body;
mod changes;
mod compose;
mod gateway;
mod guard;
mod handles;
mod http;
mod hub;
mod legacy;
mod listener;
mod local;
mod metrics;
mod modern;
mod pipeline;
mod replica;
mod route;
mod stdio;
mod survey;
mod tasks;
mod trace;

pub use app::{App, EVERYTHING, Generation, Limits};
pub use compose::{ComposeError, Shared, compose};
pub use gateway::{Embedded, Gateway, Prepared, Process, StartError};
pub use guard::Guard;
pub use handles::{Handles, Holder};
pub use hub::Hub;
pub use legacy::{SessionChange, SessionState, SharedError, SharedSessions};
pub use listener::Listener;
pub use local::Local;
pub use metrics::Metrics;
pub use replica::{Peer, Replicas};
pub use stdio::serve as serve_stdio;
pub use survey::{UpstreamRow, survey};
pub use trace::{Choices, LogCalls, Watch};
