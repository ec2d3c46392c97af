//! Configurations of other gateways: the documented migrations, bad texts, and what is written read again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad;
mod examples;
mod round;

use portable::{Format, GATEWAYS};

/// The format of this name.
fn format(name: &str) -> &'static dyn Format {
    *GATEWAYS.iter().find(|format| format.name() == name).unwrap()
}
