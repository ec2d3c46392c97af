//! The client's side of the wire.
//!
//! A client that measures shares its machine with what it measures, so this one is lean: requests are written
//! from templates and answers are looked at, not understood.

mod client;
mod connection;

pub use client::{Client, Era, Target, Template};
pub use connection::Connection;
