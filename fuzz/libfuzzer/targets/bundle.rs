//! `tidegate_fuzz::bundle` for libFuzzer.
#![cfg_attr(not(test), no_main)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::bundle(data));
