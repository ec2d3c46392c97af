//! Leaves the names of functions out of the program that is released.
//!
//! The profile's `strip` would, but Cargo forgets it for a package that has a setting of its own, as this one
//! has: it is small rather than fast. `CARGO_PROFILE_RELEASE_STRIP=debuginfo` keeps them, for profilers.

use std::env::var;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CARGO_PROFILE_RELEASE_STRIP");
    let is = |name: &str, value: &str| var(name).is_ok_and(|found| found == value);
    let keeps = var("CARGO_PROFILE_RELEASE_STRIP").is_ok_and(|strip| strip != "symbols" && strip != "true");
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") && !keeps {
        println!("cargo:rustc-link-arg-bins=-s");
    }
}
