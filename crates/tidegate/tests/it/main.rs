//! The program as its user meets it: started for real, on loopback, and judged by what it prints and answers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod auth;
mod browser;
mod call;
mod canary;
mod child;
mod config;
mod discovered;
mod drain;
mod exports;
mod governance;
mod governance_git;
mod governed;
mod health;
mod keys;
mod limits;
mod list;
mod mtls;
mod operators;
mod parity;
mod pins;
mod policy;
mod portability;
mod program;
mod recorded;
mod reload;
mod routes;
mod secure;
mod state;
mod stdio;
mod store;
mod takeover;
mod tasks;
mod terminal;
mod threats;
mod up;
mod upstreams;
mod users;
