//! A small MCP server that speaks every revision: the built-in demo upstream and the tests' fake server.
//!
//! It stands in for a foreign program, so it uses no crate of ours, reads and writes plain
//! [`serde_json::Value`], and is simple rather than fast. Which revisions it speaks is a switch: with legacy
//! ones alone it behaves like an old server, with 2026-07-28 alone like a new one, with both like one in
//! transition. [`Stats`] shows what reached it.
//!
//! | Module | What |
//! | --- | --- |
//! | `content` | tools, resources, prompts, completion: the same in every revision |
//! | `shape` | what a revision cannot express, taken away |
//! | `legacy` | `initialize`, sessions, requests by the server, streams that can be resumed |
//! | `modern` | metadata on each request, header checks, questions as results, listening |
//! | `http`, `stdio` | the transports |

mod call;
mod config;
mod content;
mod http;
mod legacy;
mod mac;
mod modern;
mod revision;
mod rpc;
mod server;
mod shape;
mod stats;
mod stdio;

pub use config::{Builder, CacheScope};
pub use revision::Revision;
pub use server::{Listing, Server};
pub use stats::{Seen, Stats};
