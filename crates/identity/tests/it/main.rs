//! The gate as a request meets it: tokens of issuers that are made for each test, good and hostile ones.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod certificates;
mod forge;
mod keys;
mod outbound;
mod possession;
mod published;
mod tokens;
mod users;
mod vault;
