//! The indexes of an endpoint: one for each list that somebody sees, made when a list is another one.

use std::collections::HashMap;
use std::sync::Arc;

use catalog::{Kind, MadeOf, Offered};
use finding::{Entry, Index, Limits, Synonyms};
use protocol::{Raw, RpcError};

use crate::app::Exchange;

/// How much all indexes of one endpoint may have together, and one of them, in bytes.
const BYTES_MAX: usize = 256 * 1024 * 1024;
const INDEX_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Lists of which is known that they have the same contents as another.
const LISTS_MAX: u64 = 1_024;

/// An index over the tools of an endpoint.
pub(crate) struct Indexed {
    pub index: Index,
    /// What tools are called by their upstreams, by the name that they are given out with.
    pub own: HashMap<String, Arc<str>>,
}

/// What a list says, whoever made it and when.
type Digest = [u8; 32];

/// Finds tools for one endpoint.
pub(crate) struct Finder {
    /// How many tools are found where nobody says how many.
    pub limit: usize,
    /// Whether the endpoint lists its own tools as well.
    pub beside: bool,
    synonyms: Vec<Vec<String>>,
    /// What each list says.
    lists: moka::sync::Cache<MadeOf, Digest>,
    /// The index over what is said.
    indexes: moka::sync::Cache<Digest, Arc<Indexed>>,
    /// Held while an index is made, so that not everybody makes the same one.
    making: tokio::sync::Mutex<()>,
}

impl Finder {
    pub fn new(find: &config::Find) -> Self {
        let weigh =
            |_: &Digest, indexed: &Arc<Indexed>| u32::try_from(indexed.index.bytes()).unwrap_or(u32::MAX);
        Self {
            limit: find.limit,
            beside: find.beside,
            synonyms: find.synonyms.clone(),
            lists: moka::sync::Cache::new(LISTS_MAX),
            indexes: moka::sync::Cache::builder().max_capacity(BYTES_MAX as u64).weigher(weigh).build(),
            making: tokio::sync::Mutex::default(),
        }
    }

    /// Drops what is kept only to be faster.
    pub fn shrink(&self) {
        self.indexes.invalidate_all();
        self.indexes.run_pending_tasks();
    }

    /// The index over all that the endpoint offers to whoever asks, before policies, and which upstreams
    /// could not be asked.
    ///
    /// # Errors
    /// Where there is no list.
    pub async fn indexed(&self, x: &Exchange) -> Result<(Arc<Indexed>, Option<Raw>), RpcError> {
        let offered = x.endpoint.offered(Kind::Tools, &x.caller).await?;
        let made_of = offered.made_of();
        if let Some(known) = self.known(&made_of) {
            return Ok((known, offered.missing));
        }
        let _held = self.making.lock().await;
        if let Some(known) = self.known(&made_of) {
            return Ok((known, offered.missing));
        }
        let digest = digest(&offered);
        self.lists.insert(made_of, digest);
        // A list that was fetched again mostly says what it said before.
        if let Some(known) = self.indexes.get(&digest) {
            return Ok((known, offered.missing));
        }
        let made = Arc::new(self.make(&offered));
        x.app.metrics.indexes.inc();
        self.indexes.insert(digest, Arc::clone(&made));
        Ok((made, offered.missing))
    }

    fn known(&self, made_of: &MadeOf) -> Option<Arc<Indexed>> {
        self.indexes.get(&self.lists.get(made_of)?)
    }

    fn make(&self, offered: &Offered) -> Indexed {
        let groups = self.synonyms.iter().map(|group| group.iter().map(String::as_str).collect());
        let limits = Limits { bytes_max: INDEX_BYTES_MAX, ..Limits::default() };
        let mut index = Index::new(limits, Synonyms::shipped_and(groups));
        let mut own = HashMap::new();
        let mut by_upstream: Vec<(&str, Vec<Entry>)> = Vec::new();
        for offered in offered.entries() {
            let Some(entry) = Entry::read(offered.raw) else { continue };
            // The first of a name is the one that is called by it.
            own.entry(entry.name.clone()).or_insert_with(|| Arc::clone(offered.own));
            match by_upstream.last_mut().filter(|(upstream, _)| *upstream == offered.upstream) {
                Some((_, entries)) => entries.push(entry),
                None => by_upstream.push((offered.upstream, vec![entry])),
            }
        }
        for (upstream, entries) in by_upstream {
            let left_out = index.update(upstream, entries).left_out;
            if !left_out.is_empty() {
                let count = left_out.len();
                tracing::warn!(
                    upstream,
                    count,
                    "tools are not found: there is no room for them in the index"
                );
            }
        }
        Indexed { index, own }
    }
}

/// What a list says: its entries with their upstreams and own names, in their order.
fn digest(offered: &Offered) -> Digest {
    let mut digest = seal::Sha256::new();
    for entry in offered.entries() {
        for part in [entry.upstream.as_bytes(), entry.own.as_bytes(), entry.raw.as_bytes()] {
            digest.update(&(part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
    digest.finish()
}
