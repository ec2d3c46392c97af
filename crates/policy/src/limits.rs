//! How much there may be, so that what a decision costs is bounded.

/// The largest policy file, in bytes.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// How many policies there may be.
pub const POLICIES_MAX: usize = 5000;

/// The largest policy, in bytes.
pub const POLICY_BYTES_MAX: usize = 16 * 1024;

/// How deep brackets of a policy may be nested.
pub const POLICY_DEPTH_MAX: usize = 32;

/// How many operators and brackets a policy may have. Cedar recurses over them: without optimisation about
/// 150 exhaust a stack of 2 MiB.
pub const POLICY_OPERATORS_MAX: usize = 100;

/// How many members of members a policy may name in a row.
pub const POLICY_MEMBERS_MAX: usize = 16;

/// How deep arguments may be nested.
pub const ARGUMENTS_DEPTH_MAX: usize = 64;

/// How many candidate sets are kept compiled.
pub(crate) const COMPILED_MAX: u64 = 4096;

/// How many decisions are remembered.
pub(crate) const REMEMBERED_MAX: u64 = 65_536;
