//! The targets over their corpus and over mutations of it, and the wrappers for the fuzzer.

// The wrappers name this crate; here its place is taken by the macro below.
extern crate self as libfuzzer_sys;

mod corpus;
mod mutate;
mod wrappers;

/// What the fuzzer's macro of this name is given: here it only has to be a target.
macro_rules! fuzz_target {
    (|$data:ident: &[u8]| $run:expr) => {
        pub(crate) const RUN: tidegate_fuzz::Target = |$data: &[u8]| $run;
    };
}
pub(crate) use fuzz_target;
