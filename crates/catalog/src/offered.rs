//! All that an endpoint offers of a kind, before anybody is asked who may see it.

use std::sync::Arc;

use protocol::Raw;

use crate::merge::Merged;

/// All entries of a list, for an index over them.
pub struct Offered {
    pub(crate) merged: Arc<Merged>,
    /// By the part.
    pub(crate) upstreams: Vec<String>,
    /// Which upstreams could not be asked, as lists say it in their `_meta`.
    pub missing: Option<Raw>,
}

/// What a list was made of: the part and the version of each upstream's own, what was known of approvals, and
/// how many days had come from which something is elsewhere in its life. Two lists of which this is the same
/// are the same.
pub type MadeOf = (Vec<(usize, u64)>, u64, usize);

/// One of the entries.
#[derive(Debug, Clone, Copy)]
pub struct OfferedEntry<'a> {
    /// The upstream that it belongs to.
    pub upstream: &'a str,
    /// The upstream's own name for it.
    pub own: &'a Arc<str>,
    /// The entry as it is given out.
    pub raw: &'a Raw,
}

impl Offered {
    /// What it was made of.
    #[must_use]
    pub fn made_of(&self) -> MadeOf {
        (self.merged.made_of.clone(), self.merged.pins, self.merged.turns)
    }

    /// The entries, in their order.
    pub fn entries(&self) -> impl Iterator<Item = OfferedEntry<'_>> {
        self.by_part().map(|(_, entry)| entry)
    }

    /// The entries, each with the part it comes from.
    pub(crate) fn by_part(&self) -> impl Iterator<Item = (usize, OfferedEntry<'_>)> {
        self.merged.entries.iter().map(|entry| {
            let upstream = &self.upstreams[entry.part];
            (entry.part, OfferedEntry { upstream, own: &entry.key, raw: &entry.raw })
        })
    }
}
