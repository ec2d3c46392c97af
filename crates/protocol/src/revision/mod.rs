//! The protocol's revisions, one module each, and what differs between them.
//!
//! Code outside `protocol` and `bridge` asks questions of a [`Revision`]; it never compares dates.

pub mod v2024_11_05;
pub mod v2025_03_26;
pub mod v2025_06_18;
pub mod v2025_11_25;
pub mod v2026_07_28;

/// The revision that everything inside the gateway speaks.
pub use v2026_07_28 as latest;

use std::fmt;

/// A released revision of the protocol, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// The first one, with the HTTP+SSE transport.
    V2024_11_05,
    /// Streamable HTTP, batches, tool annotations, audio.
    V2025_03_26,
    /// No batches, structured results, elicitation, the version header.
    V2025_06_18,
    /// URL elicitation, sampling with tools, experimental tasks, polled streams.
    V2025_11_25,
    /// Stateless: no `initialize`, no sessions, no requests by the server.
    V2026_07_28,
}

/// How a revision carries its metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Era {
    /// `initialize`, sessions, requests by the server.
    Legacy,
    /// Metadata on each request, questions as results.
    Modern,
}

impl fmt::Display for Era {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        })
    }
}

/// What a legacy revision can express, beyond what all of them can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a table of independent facts, one column each")]
pub struct Features {
    /// Several messages in one HTTP body.
    pub batches: bool,
    /// Audio blocks in content.
    pub audio: bool,
    /// `annotations` on tools.
    pub tool_annotations: bool,
    /// `message` in progress notifications.
    pub progress_message: bool,
    /// The `completions` capability.
    pub completions_capability: bool,
    /// `structuredContent`, `outputSchema`, `resource_link`, `title`, `_meta` everywhere.
    pub structured: bool,
    /// `elicitation/create` in form mode.
    pub elicitation: bool,
    /// `elicitation/create` in URL mode, enum schemas of SEP-1330, default values of SEP-1034.
    pub url_elicitation: bool,
    /// `tools` and `toolChoice` in sampling.
    pub sampling_tools: bool,
    /// `icons`, `execution`, the experimental tasks.
    pub tasks: bool,
    /// Event ids, `retry` and a server that hangs up to be polled (SEP-1699).
    pub polled_streams: bool,
}

impl Revision {
    /// All of them, oldest first.
    pub const ALL: [Self; 5] =
        [Self::V2024_11_05, Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25, Self::V2026_07_28];

    /// The newest one with `initialize`: what a server grants to one that asks for something it does not
    /// know.
    pub const NEWEST_LEGACY: Self = Self::V2025_11_25;

    /// The newest one.
    pub const NEWEST: Self = Self::V2026_07_28;

    /// Reads a revision's date.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == text)
    }

    /// The revision's date, as on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2024_11_05 => v2024_11_05::DATE,
            Self::V2025_03_26 => v2025_03_26::DATE,
            Self::V2025_06_18 => v2025_06_18::DATE,
            Self::V2025_11_25 => v2025_11_25::DATE,
            Self::V2026_07_28 => v2026_07_28::DATE,
        }
    }

    /// How the revision carries its metadata.
    #[must_use]
    pub fn era(self) -> Era {
        if self >= Self::V2026_07_28 { Era::Modern } else { Era::Legacy }
    }

    /// What it can express.
    #[must_use]
    pub fn features(self) -> Features {
        match self {
            Self::V2024_11_05 => v2024_11_05::FEATURES,
            Self::V2025_03_26 => v2025_03_26::FEATURES,
            Self::V2025_06_18 => v2025_06_18::FEATURES,
            Self::V2025_11_25 => v2025_11_25::FEATURES,
            Self::V2026_07_28 => v2026_07_28::FEATURES,
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_reads_its_own_date() {
        for revision in Revision::ALL {
            assert_eq!(Revision::parse(revision.as_str()), Some(revision));
        }
        assert_eq!(Revision::parse("2026-07-29"), None);
        assert_eq!(Revision::NEWEST.era(), Era::Modern);
        assert_eq!(Revision::NEWEST_LEGACY.era(), Era::Legacy);
    }

    #[test]
    fn a_later_revision_never_loses_a_content_feature() {
        let structured = Revision::ALL.map(|r| r.features().structured);
        assert_eq!(structured, [false, false, true, true, true]);
        let batches = Revision::ALL.map(|r| r.features().batches);
        assert_eq!(batches, [false, true, false, false, false], "batches came and went");
    }
}
