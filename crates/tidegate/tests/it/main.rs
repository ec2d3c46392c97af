//! The program as its user meets it: started for real, on loopback, and judged by what it prints and answers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod auth;
mod browser;
mod bundle;
mod call;
mod canary;
mod child;
mod config;
mod discovered;
mod drain;
mod environments;
mod exports;
mod governance;
mod governance_git;
mod governance_walk;
mod governed;
mod half_dead;
mod health;
mod keys;
mod limits;
mod list;
mod migrate;
mod mtls;
mod onboarded;
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
