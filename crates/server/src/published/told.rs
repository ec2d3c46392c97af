//! The documents, as they are sent.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use config::{CardVisibility, Day, LifeStage};
use discovery::publish::{self, Published, etag};
use discovery::registry::{Entry, Official, Shelf, Status};
use discovery::{Fault, catalog, server_json};
use identity::Gate;
use model::Timestamp;

use super::{Listed, Shown};

/// A document and its mark.
pub(crate) struct Document {
    pub bytes: Bytes,
    pub etag: String,
}

impl Document {
    fn new(bytes: Bytes) -> Self {
        Self { etag: etag(&bytes), bytes }
    }
}

/// All that is told under one name of the gateway.
pub(crate) struct Told {
    /// Cards for everybody, by the endpoint's name.
    pub cards: HashMap<String, Document>,
    /// The catalog, where there is something for everybody.
    pub catalog: Option<Document>,
    pub shelf: Shelf,
    /// Names in the registry that everybody may know.
    pub public: HashSet<String>,
    /// Names that one has to prove oneself for, with the endpoint that one has to be let in at.
    pub private: Vec<(String, String)>,
}

impl Told {
    pub(super) fn new(shown: &Shown, base: &str, gate: &Gate, now: Timestamp) -> Self {
        let mut told = Self {
            cards: HashMap::new(),
            catalog: None,
            shelf: Shelf::default(),
            public: HashSet::new(),
            private: Vec::new(),
        };
        let mut all = Vec::new();
        for listed in &shown.cards {
            match told.tell(listed, (shown, base, gate, now)) {
                Ok(published) => all.extend(published),
                Err(faults) => tracing::warn!(endpoint = listed.endpoint, ?faults, "no card can be told"),
            }
        }
        if all.iter().any(|published| published.entry.is_some()) {
            let document = catalog::write(&publish::catalog(&all));
            told.catalog = Some(Document::new(document.bytes()));
        }
        told
    }

    /// Tells of an endpoint what is told of it at this point of its life. What the catalog has of it.
    fn tell(
        &mut self,
        listed: &Listed,
        (shown, base, gate, now): (&Shown, &str, &Gate, Timestamp),
    ) -> Result<Option<Published>, Vec<Fault>> {
        let stage = listed.life.at(now);
        // Of one that is not served here yet, nobody is told.
        let selection = shown.selections.contains(&listed.endpoint);
        if stage != LifeStage::Removed && !stage.is_offered(selection) {
            return Ok(None);
        }
        let published = shown.publish(listed, base, Some(gate), now)?;
        self.names(listed);
        self.put(&published, listed.official(stage, now));
        self.replaced(listed, (shown, base, gate, now));
        // Whoever mirrors the registry hears that one is gone; there is no card any more.
        if stage == LifeStage::Removed {
            return Ok(None);
        }
        if let Some(card) = &published.card {
            self.cards.insert(listed.endpoint.clone(), Document::new(card.bytes()));
        }
        Ok(Some(published))
    }

    /// Who may know of it.
    fn names(&mut self, listed: &Listed) {
        let name = listed.card.name.clone();
        match listed.card.visibility {
            CardVisibility::Public => {
                self.public.insert(name);
            }
            CardVisibility::Private | CardVisibility::Off => {
                self.private.push((name, listed.endpoint.clone()));
            }
        }
    }

    /// Versions that there were: whoever mirrors the registry is to hear that they are gone.
    fn replaced(&mut self, listed: &Listed, (shown, base, gate, now): (&Shown, &str, &Gate, Timestamp)) {
        for gone in &listed.replaced {
            let old = Listed { card: gone.card.clone(), replaced: Vec::new(), ..listed.clone() };
            if let Ok(published) = shown.publish(&old, base, Some(gate), now) {
                self.put(
                    &published,
                    Official {
                        status: Status::Deleted,
                        status_message: Some("Replaced by another version".to_owned()),
                        status_changed_at: Some(gone.at),
                        published_at: Some(gone.published_at),
                        updated_at: Some(gone.at),
                        is_latest: false,
                    },
                );
            }
        }
    }

    fn put(&mut self, published: &Published, official: Official) {
        let Ok(read) = server_json::read(&published.server.bytes()) else { return };
        let entry = Entry {
            server: read.value,
            raw: published.server.clone(),
            official,
            meta: discovery::Extra::default(),
        };
        if let Err(error) = self.shelf.put(entry) {
            tracing::warn!(%error, "not in the registry");
        }
    }
}

impl Listed {
    /// What the registry says of it beside its own words.
    fn official(&self, stage: LifeStage, now: Timestamp) -> Official {
        let (status, since, word) = match stage {
            LifeStage::Deprecated => (Status::Deprecated, self.life.deprecated_on, "Deprecated"),
            LifeStage::Removed => (Status::Deleted, self.life.removed_on, "Removed"),
            LifeStage::Proposed | LifeStage::Experimental | LifeStage::Active => (Status::Active, None, ""),
        };
        let begins = since.map(Day::begins).filter(|begins| *begins <= now);
        let goes = self.life.removed_on.filter(|_| status == Status::Deprecated);
        let mut message = since.map_or_else(|| word.to_owned(), |day| format!("{word} since {day}"));
        if let Some(day) = goes {
            message.push_str(&format!("; goes on {day}"));
        }
        if let Some(name) = &self.life.replacement {
            message.push_str(&format!("; use {}", super::path(name)));
        }
        Official {
            status,
            status_message: Some(message).filter(|_| status != Status::Active),
            status_changed_at: Some(begins.unwrap_or(self.published_at)),
            published_at: Some(self.published_at),
            // A day that came is news, also where nobody changed the configuration.
            updated_at: Some(begins.map_or(self.updated_at, |begins| begins.max(self.updated_at))),
            is_latest: false,
        }
    }
}
