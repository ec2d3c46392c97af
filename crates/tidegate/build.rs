//! Leaves the names of functions out of the program that is released.
//!
//! The profile's `strip` would, but Cargo forgets it for a package that has a setting of its own, as this one
//! has. `CARGO_PROFILE_RELEASE_STRIP=debuginfo` keeps the names, for profilers.

use std::env::var;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CARGO_PROFILE_RELEASE_STRIP");
    let is = |name: &str, value: &str| var(name).is_ok_and(|found| found == value);
    let keeps = var("CARGO_PROFILE_RELEASE_STRIP").is_ok_and(|strip| strip != "symbols" && strip != "true");
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") && !keeps {
        // Of two words about it, linkers take the last. A plain `-s` would be the driver's, and first.
        println!("cargo:rustc-link-arg-bins=-Wl,-s");
    }
}
