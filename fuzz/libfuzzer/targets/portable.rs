//! `tidegate_fuzz::portable` for libFuzzer.
#![cfg_attr(not(test), no_main)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::portable(data));
