//! How much there may be of anything. At a limit a command is refused, and nothing that was kept is lost.

/// Bytes of a ruleset file.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// People in a ruleset.
pub const PEOPLE_MAX: usize = 2_000;
/// Roles, groups, domains, grants, tracks, areas: of each.
pub const LIST_MAX: usize = 256;
/// Holidays in a calendar.
pub const HOLIDAYS_MAX: usize = 1_000;
/// Characters of a name.
pub const NAME_CHARS_MAX: usize = 64;
/// Proposals that are open at a time.
pub const OPEN_MAX: usize = 10_000;
/// Nominations that are open at a time.
pub const NOMINATIONS_MAX: usize = 1_000;
/// Records that a proposal may touch.
pub const RECORDS_MAX: usize = 256;
/// Revisions of a proposal.
pub const REVISIONS_MAX: usize = 256;
/// Comments on a proposal.
pub const COMMENTS_MAX: usize = 1_000;
/// Pieces of evidence of a proposal.
pub const EVIDENCE_MAX: usize = 256;
/// Characters of any text that somebody writes.
pub const TEXT_CHARS_MAX: usize = 4_096;
/// Characters of a revision's hash.
pub const HASH_CHARS_MAX: usize = 128;
/// Acts of a person that are remembered for evidence of activity.
pub const ACTS_MAX: usize = 256;
/// Moments that are caught up with in one command, for one proposal.
pub const MOMENTS_MAX: usize = 64;
/// Trial runs that a ruleset is checked with.
pub const RUNS_MAX: usize = 20_000;
/// Commands in one trial run.
pub const RUN_STEPS_MAX: usize = 20_000;
