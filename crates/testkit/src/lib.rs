//! Fake clients of every revision, raw connections, and a gateway in front of fake servers, for tests.
//!
//! The clients are written after the specification's text and share no code with the gateway, so that a
//! mistake in one is not repeated in the other. Nothing here sleeps: what has to come is waited for, and
//! [`within`] turns a wait that never ends into a failed test.
//!
//! | Module | What |
//! | --- | --- |
//! | [`client`] | one client for each revision, all with the same methods |
//! | [`browser`] | whoever opens a link and goes where he is sent |
//! | [`harness`] | demo servers, and a gateway in front of them |
//! | [`issuer`] | an authorization server that signs whatever it is told to, and where somebody can sign in |
//! | [`provider`] | an identity provider where users sign in, and a server that wants its tokens |
//! | [`http`] | requests made by hand, answers and event streams read as they come |
//! | [`tls`] | certificates of authorities made for a test, and connections that show one |
//! | [`web_api`] | a web API with an OpenAPI document, which answers as it is told |
//! | [`wire`] | bytes on a socket, for what no HTTP library would send |

pub mod browser;
pub mod client;
mod code_flow;
pub mod harness;
pub mod http;
pub mod issuer;
pub mod provider;
pub mod sse;
pub mod tls;
pub mod web_api;
pub mod wire;

use std::time::Duration;

pub use client::{Client, End, Outcome};
pub use demo::Revision;
pub use harness::{Demo, World};

/// Nothing in a test takes that long unless it hangs, not even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the work comes to.
///
/// # Panics
/// If it hangs.
pub async fn within<T>(work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => panic!("it hangs"),
    }
}
