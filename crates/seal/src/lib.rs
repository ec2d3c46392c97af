//! Sealed handles: the only crate that holds the gateway's keys.
