//! Fake clients, clocks and harnesses for the tests of every crate.
