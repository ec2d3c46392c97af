//! Proposals, votes and files, over a store in memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod desk;
mod log;
mod office;
