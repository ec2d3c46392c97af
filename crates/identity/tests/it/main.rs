//! The gate as a request meets it: tokens of issuers that are made for each test, good and hostile ones.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod forge;
mod keys;
mod outbound;
mod possession;
mod published;
mod recheck;
mod tokens;
mod users;
mod vault;
