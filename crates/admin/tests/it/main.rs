//! The operators' interface as browsers and programs meet it: over HTTP, with an issuer that is scripted.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod browser;
mod csrf;
mod place;
mod recorded;
mod sessions;
mod sign_in;
mod tokens;
