//! What is kept of each URL of a crawl.

use bytes::Bytes;
use discovery::Fault;
use discovery::catalog::{Catalog, Content, Entry};
use discovery::remote::RemoteKind;
use serde::{Deserialize, Serialize};

use crate::live::Answered;

/// What came of a URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "came")]
pub enum Told {
    /// A catalog.
    Catalog {
        /// What is not as it should be.
        faults: Vec<String>,
        /// What it leads to.
        links: Vec<Link>,
        /// Entries of other kinds.
        others: usize,
    },
    /// A card. Its bytes are kept elsewhere, or here.
    Card {
        /// What is not as it should be.
        faults: Vec<String>,
        /// The document.
        #[serde(skip)]
        bytes: Bytes,
        /// The same, where it stood in a catalog.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inline: Option<String>,
    },
    /// It is elsewhere.
    Moved {
        /// Where.
        to: String,
    },
    /// There is none.
    Absent {
        /// Why.
        why: String,
    },
    /// It came and is not taken: the host, the redirect or the document is wrong.
    Refused {
        /// What is wrong.
        faults: Vec<String>,
    },
    /// Nobody answered.
    Unreachable {
        /// Why.
        why: String,
    },
    /// A server that was asked itself.
    Live(Answered),
}

/// An entry of a catalog that leads somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its identifier.
    pub identifier: String,
    /// The media type of what it leads to.
    pub media_type: String,
    /// Its name for people.
    pub display_name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Where; of what stands in the catalog itself, a place in it.
    pub url: String,
    /// Whether it stands in the catalog itself.
    pub inline: bool,
    /// Whether it is a catalog.
    pub catalog: bool,
}

impl Link {
    /// The entry that it was, as far as a card is held against it.
    pub fn entry(&self) -> Option<Entry> {
        let content = if self.inline {
            Content::Data(protocol::Raw::literal("null"))
        } else {
            Content::Url(discovery::Address::parse(&self.url).ok()?)
        };
        Some(Entry {
            identifier: self.identifier.clone(),
            media_type: self.media_type.clone(),
            display_name: self.display_name.clone(),
            version: self.version.clone(),
            content,
            extra: discovery::Extra::default(),
        })
    }
}

/// The links of a catalog, with the documents that stand in it and the number of all else.
pub fn links(url: &str, catalog: &Catalog) -> (Vec<Link>, Vec<(String, Bytes)>, usize) {
    let (mut links, mut inline, mut others) = (Vec::new(), Vec::new(), 0);
    for (n, entry) in catalog.entries.iter().enumerate() {
        if !entry.is_card() && !entry.is_catalog() {
            others += 1;
            continue;
        }
        let (url, stands_here) = match &entry.content {
            Content::Url(url) => (url.normal(), false),
            Content::Data(raw) => {
                let place = format!("{url}#/entries/{n}");
                inline.push((place.clone(), raw.bytes()));
                (place, true)
            }
        };
        links.push(Link {
            identifier: entry.identifier.clone(),
            media_type: entry.media_type.clone(),
            display_name: entry.display_name.clone(),
            version: entry.version.clone(),
            url,
            inline: stands_here,
            catalog: entry.is_catalog(),
        });
    }
    (links, inline, others)
}

/// Faults in words.
pub fn words(faults: &[Fault]) -> Vec<String> {
    faults.iter().map(ToString::to_string).collect()
}

/// Whether a remote can be asked by one who has nothing but its URL.
pub fn is_askable(remote: &discovery::remote::Remote) -> bool {
    remote.kind == RemoteKind::StreamableHttp && remote.plain_url().is_some()
}
