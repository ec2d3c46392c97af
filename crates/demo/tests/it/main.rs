//! The demo server from outside, over each of its transports, with a client that writes its own bytes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod client;
mod eras;
mod lists;
mod modern;
mod pair;
mod questions;
mod robust;
mod stdio;
mod streamable;
