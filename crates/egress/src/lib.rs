//! The only crate that dials out or starts a process.
