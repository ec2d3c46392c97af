//! Against real servers on loopback and real child processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod http;
mod net;
mod stdio;
mod tls;
