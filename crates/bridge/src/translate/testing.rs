//! What the tests of the translations share.

use protocol::Revision;

/// The revisions that messages are translated to and from, oldest first.
pub(super) const LEGACY: [Revision; 4] =
    [Revision::V2024_11_05, Revision::V2025_03_26, Revision::V2025_06_18, Revision::V2025_11_25];

/// A long JSON text that stands on several lines in the source, on one: the indentation goes, and nothing
/// else.
pub(super) fn line(text: &str) -> &'static str {
    text.lines().map(str::trim_start).collect::<String>().leak()
}
