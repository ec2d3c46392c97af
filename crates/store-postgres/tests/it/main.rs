//! The contract, on a real PostgreSQL, and what is PostgreSQL's alone. `cargo xtask` starts one for tests.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod database;
mod on_postgres;
