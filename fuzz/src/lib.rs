//! Fuzz targets as plain functions over bytes.
//!
//! Each target takes any bytes and panics where a property does not hold; the properties stand at the
//! functions. The tests run all of them over `corpus/` and over mutations of it, and `libfuzzer/` wraps them
//! for a fuzzer that is guided by coverage. `README.md` says how to use both.

mod agreement;
mod bridge;
mod bundle;
mod configuration;
mod content;
mod envelope;
mod framing;
mod json;
mod openapi;
mod portable;
mod sse;

pub use agreement::agreement;
pub use bridge::bridge;
pub use bundle::bundle;
pub use configuration::config;
pub use content::content;
pub use envelope::envelope;
pub use framing::framing;
pub use openapi::openapi;
pub use portable::portable;
pub use sse::sse;

/// A target: any bytes go in, and it panics where a property does not hold.
pub type Target = fn(&[u8]);

/// All targets by name. The corpus of each is the folder of that name.
pub const TARGETS: [(&str, Target); 10] = [
    ("envelope", envelope),
    ("agreement", agreement),
    ("sse", sse),
    ("framing", framing),
    ("bridge", bridge),
    ("config", config),
    ("openapi", openapi),
    ("content", content),
    ("bundle", bundle),
    ("portable", portable),
];
