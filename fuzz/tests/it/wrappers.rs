//! The wrappers for the fuzzer, compiled with a macro in its place: so they are right also where nobody
//! fuzzes.

use tidegate_fuzz::{TARGETS, Target};

#[path = "../../libfuzzer/targets/agreement.rs"]
mod agreement;
#[path = "../../libfuzzer/targets/bridge.rs"]
mod bridge;
#[path = "../../libfuzzer/targets/bundle.rs"]
mod bundle;
#[path = "../../libfuzzer/targets/config.rs"]
mod config;
#[path = "../../libfuzzer/targets/content.rs"]
mod content;
#[path = "../../libfuzzer/targets/envelope.rs"]
mod envelope;
#[path = "../../libfuzzer/targets/framing.rs"]
mod framing;
#[path = "../../libfuzzer/targets/openapi.rs"]
mod openapi;
#[path = "../../libfuzzer/targets/portable.rs"]
mod portable;
#[path = "../../libfuzzer/targets/sse.rs"]
mod sse;

/// Every wrapper, and what it runs.
const WRAPPERS: [(&str, Target); 10] = [
    ("envelope", envelope::RUN),
    ("agreement", agreement::RUN),
    ("sse", sse::RUN),
    ("framing", framing::RUN),
    ("bridge", bridge::RUN),
    ("config", config::RUN),
    ("openapi", openapi::RUN),
    ("content", content::RUN),
    ("bundle", bundle::RUN),
    ("portable", portable::RUN),
];

#[test]
fn every_target_has_a_wrapper_for_the_fuzzer() {
    assert_eq!(WRAPPERS.map(|(name, _)| name), TARGETS.map(|(name, _)| name));
    let manifest = include_str!("../../libfuzzer/Cargo.toml");
    for (name, run) in WRAPPERS {
        run(b"");
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name} is not built");
    }
}
