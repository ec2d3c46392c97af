//! The documents, as they are sent.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use config::CardVisibility;
use discovery::publish::{self, Published, etag};
use discovery::registry::{Entry, Official, Shelf, Status};
use discovery::{catalog, server_json};
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
    pub(super) fn new(shown: &Shown, base: &str, gate: &Gate) -> Self {
        let mut told = Self {
            cards: HashMap::new(),
            catalog: None,
            shelf: Shelf::default(),
            public: HashSet::new(),
            private: Vec::new(),
        };
        let mut all = Vec::new();
        for listed in &shown.cards {
            match shown.publish(listed, base, gate) {
                Ok(published) => {
                    told.take(listed, &published);
                    told.replaced(listed, (shown, base, gate));
                    all.push(published);
                }
                Err(faults) => tracing::warn!(endpoint = listed.endpoint, ?faults, "no card can be told"),
            }
        }
        if !told.public.is_empty() {
            let document = catalog::write(&publish::catalog(&all));
            told.catalog = Some(Document::new(document.bytes()));
        }
        told
    }

    fn take(&mut self, listed: &Listed, published: &Published) {
        let name = listed.card.name.clone();
        match listed.card.visibility {
            CardVisibility::Public => {
                self.public.insert(name);
            }
            CardVisibility::Private | CardVisibility::Off => {
                self.private.push((name, listed.endpoint.clone()));
            }
        }
        if let Some(card) = &published.card {
            self.cards.insert(listed.endpoint.clone(), Document::new(card.bytes()));
        }
        self.put(published, Status::Active, (listed.published_at, listed.updated_at));
    }

    /// Versions that there were: whoever mirrors the registry is to hear that they are gone.
    fn replaced(&mut self, listed: &Listed, (shown, base, gate): (&Shown, &str, &Gate)) {
        for gone in &listed.replaced {
            let old = Listed { card: gone.card.clone(), replaced: Vec::new(), ..listed.clone() };
            if let Ok(published) = shown.publish(&old, base, gate) {
                self.put(&published, Status::Deleted, (gone.published_at, gone.at));
            }
        }
    }

    fn put(&mut self, published: &Published, status: Status, (from, at): (Timestamp, Timestamp)) {
        let Ok(read) = server_json::read(&published.server.bytes()) else { return };
        let official = Official {
            status,
            status_message: (status == Status::Deleted).then(|| "Replaced by another version".to_owned()),
            status_changed_at: Some(if status == Status::Deleted { at } else { from }),
            published_at: Some(from),
            updated_at: Some(at),
            is_latest: false,
        };
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
