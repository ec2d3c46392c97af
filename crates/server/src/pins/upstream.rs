//! The pins of one upstream, as its lists ask for them.

use std::sync::Arc;

use async_trait::async_trait;
use catalog::{Compared, Drift, Kind, PinRule, Pins, Standing};
use policy::pins::{Definition, Named};
use protocol::Raw;
use store::{First, PIN_NAME_BYTES_MAX, PinKey, Sighting};

use super::PinBoard;

/// The pins of one upstream.
pub(crate) struct UpstreamPins {
    board: Arc<PinBoard>,
    upstream: String,
    rule: PinRule,
}

impl UpstreamPins {
    pub(crate) fn new(board: Arc<PinBoard>, upstream: &str, rule: PinRule) -> Self {
        Self { board, upstream: upstream.to_owned(), rule }
    }

    fn key(&self, kind: policy::pins::Kind, name: &str) -> PinKey {
        let (kind, name) = (kind.word().to_owned(), name.to_owned());
        PinKey { upstream: self.upstream.clone(), kind, name }
    }

    fn drifted(&self) -> Standing {
        match self.rule.drift {
            Drift::Allow => Standing::Approved,
            Drift::Warn => Standing::Warned,
            Drift::Quarantine => Standing::Quarantined,
            Drift::Deny => Standing::Denied,
        }
    }
}

fn kind_of(kind: Kind) -> Option<policy::pins::Kind> {
    match kind {
        Kind::Tools => Some(policy::pins::Kind::Tool),
        Kind::Prompts => Some(policy::pins::Kind::Prompt),
        Kind::Templates => Some(policy::pins::Kind::Template),
        Kind::Resources => None,
    }
}

#[async_trait]
impl Pins for UpstreamPins {
    async fn read(&self, kind: Kind, entries: &[(Arc<str>, Raw)]) -> Vec<Arc<str>> {
        let Some(kind) = kind_of(kind) else { return Vec::new() };
        let (mut hashes, mut sightings) = (Vec::with_capacity(entries.len()), Vec::new());
        for (name, entry) in entries {
            let Definition { text, hash, .. } = Definition::read(kind, entry);
            // What has no name that can be kept is approved by nobody.
            if name.len() > PIN_NAME_BYTES_MAX {
                hashes.push(Arc::from(""));
                continue;
            }
            hashes.push(Arc::from(hash.as_str()));
            sightings.push(Sighting { key: self.key(kind, name), hash, text });
        }
        let first = if self.rule.approve_first { First::Approve } else { First::Quarantine };
        self.board.see(&self.upstream, sightings, first).await;
        hashes
    }

    fn standing(&self, kind: Kind, key: &str, hash: &str) -> Standing {
        let Some(kind) = kind_of(kind) else { return Standing::Approved };
        let row = self.board.row(&self.key(kind, key));
        match row {
            Some(row) if row.denied.is_some() => Standing::Denied,
            Some(row) if row.approves(hash) => Standing::Approved,
            // Nobody has approved any: that it may change says nothing of whether it may begin.
            Some(row) if row.approved.is_empty() && self.drifted() != Standing::Denied => {
                Standing::Quarantined
            }
            Some(_) => self.drifted(),
            None if !self.rule.approve_first && self.drifted() != Standing::Denied => Standing::Quarantined,
            None => self.drifted(),
        }
    }

    fn epoch(&self) -> u64 {
        self.board.epoch()
    }

    fn called(&self, kind: Kind, key: &str, standing: Standing) {
        let (upstream, kind) = (&self.upstream, kind_of(kind).map_or("resource", policy::pins::Kind::word));
        self.board.metrics.pinned(match standing {
            Standing::Warned | Standing::Approved => "called",
            Standing::Quarantined | Standing::Denied => "refused",
        });
        tracing::warn!(
            upstream,
            kind,
            name = key,
            ?standing,
            "a call of what is not the approved definition"
        );
    }

    fn compare(&self, endpoint: &str, all: Vec<Compared>) {
        let named =
            all.iter().map(|Compared { upstream, name, description }| Named { upstream, name, description });
        self.board.compare(endpoint, &named.collect::<Vec<_>>());
    }
}
