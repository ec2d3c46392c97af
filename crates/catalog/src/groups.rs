//! Groups of what an endpoint offers (SEP-2084, a draft): each upstream is one, and what its own server puts
//! into groups is in groups of that one.

use std::borrow::Cow;
use std::collections::BTreeSet;

use protocol::{Raw, RpcError, code};
use serde_json::{Value, json};

use crate::endpoint::{Allows, Endpoint, Sieve};
use crate::life::with_meta;
use crate::listing::Kind;
use crate::offered::Offered;
use crate::source::Caller;

/// The extension that says that `groups/list` can be asked.
pub const GROUPING: &str = "io.modelcontextprotocol/grouping";
/// The method.
pub const GROUPS_LIST: &str = "groups/list";
/// Where an entry of a list names its groups, in its `_meta`.
const GROUPS: &str = "io.modelcontextprotocol/groups";
/// The member of capabilities that names extensions.
const EXTENSIONS: &str = "extensions";
/// How long the list may be kept, in milliseconds.
const TTL_MS: u64 = 60_000;
/// The most groups of its own that an entry may be in, and the most bytes of a name of one.
const OWN_MAX: usize = 8;
const NAME_BYTES_MAX: usize = 128;
/// The most groups of all servers' own that are told.
const NESTED_MAX: usize = 1_000;

/// The group that an upstream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What it is for, in a sentence for people.
    pub description: Option<String>,
}

/// The same entry, which names the group that its upstream is, and those of the server's own as groups of
/// that one.
pub(crate) fn marked(entry: Raw, upstream: &str) -> Raw {
    let Ok(Some(object)) = entry.object() else { return entry };
    let own = names(&entry).filter(|own| !own.is_empty() && own.len() <= NAME_BYTES_MAX).take(OWN_MAX);
    let own = own.map(|own| format!("{upstream}/{own}"));
    let groups: Vec<String> = std::iter::once(upstream.to_owned()).chain(own).collect();
    with_meta(&object, GROUPS, Raw::from_value(&json!(groups)))
}

/// Says of an endpoint of several upstreams whether it has groups: what they say themselves is about their
/// own lists.
pub(crate) fn advertise(capabilities: &mut Value, has_groups: bool) {
    let Some(capabilities) = capabilities.as_object_mut() else { return };
    if !has_groups && !capabilities.contains_key(EXTENSIONS) {
        return;
    }
    let extensions = capabilities.entry(EXTENSIONS).or_insert_with(|| json!({}));
    if let Some(extensions) = extensions.as_object_mut() {
        extensions.remove(GROUPING);
        if has_groups {
            extensions.insert(GROUPING.to_owned(), json!({}));
        }
    }
}

/// What an entry names as its groups, as far as it is text.
fn names(entry: &Raw) -> impl Iterator<Item = String> + use<> {
    let groups = entry.get("_meta").and_then(|meta| meta.get(GROUPS));
    let items = groups.and_then(|groups| groups.items()).unwrap_or_default();
    items.into_iter().filter_map(|item| item.as_str().map(Cow::into_owned))
}

/// What of the groups may be seen, by the part: no entry (`None`), or some and the groups they are in.
type Seen = Vec<Option<BTreeSet<String>>>;

impl Endpoint {
    /// Whether it answers `groups/list`. One upstream as it is has groups of its own, if any.
    #[must_use]
    pub fn has_groups(&self) -> bool {
        self.parts().iter().any(|part| part.group.is_some())
    }

    /// Whether a request of a method that no revision has can be answered here.
    #[must_use]
    pub fn answers(&self, method: &str) -> bool {
        self.is_direct() || self.has_groups() && method == GROUPS_LIST
    }

    /// The groups of what may be seen here: the result of `groups/list`.
    ///
    /// # Errors
    /// The reason, where no list can be had and one of them failed.
    pub async fn groups(&self, caller: &Caller, sieve: Option<&dyn Sieve>) -> Result<Raw, RpcError> {
        let mut seen: Seen = vec![None; self.parts().len()];
        let (mut failed, mut is_whole) = (None, true);
        for kind in Kind::ALL {
            match self.offered(kind, caller).await {
                Ok(offered) => {
                    is_whole &= offered.missing.is_none();
                    look(&offered, kind, sieve, &mut seen);
                }
                // Nobody has anything of the kind.
                Err(error) if error.code == code::METHOD_NOT_FOUND => {}
                Err(error) => failed = Some(error),
            }
        }
        is_whole &= failed.is_none();
        if let Some(error) = failed.filter(|_| seen.iter().all(Option::is_none)) {
            return Err(error);
        }
        Ok(Raw::from_value(&json!({
            "resultType": "complete",
            "groups": self.told_groups(&seen),
            "ttlMs": if is_whole { TTL_MS } else { 0 },
            "cacheScope": "private",
        })))
    }

    fn told_groups(&self, seen: &Seen) -> Vec<Value> {
        let mut groups = Vec::new();
        let mut left = NESTED_MAX;
        for (part, nested) in self.parts().iter().zip(seen) {
            let (Some(nested), Some(group)) = (nested, &part.group) else { continue };
            let name = part.source.upstream().name().as_str();
            let mut own = json!({"name": name});
            if let Some(text) = &group.description {
                own["description"] = json!(text);
            }
            groups.push(own);
            let nested: Vec<Value> = nested
                .iter()
                .filter(|nested| *nested != name)
                .take(left)
                .map(|nested| json!({"name": nested, "_meta": {GROUPS: [name]}}))
                .collect();
            left -= nested.len();
            groups.extend(nested);
        }
        groups
    }
}

/// Notes the groups of what may be seen of a list.
fn look(offered: &Offered, kind: Kind, sieve: Option<&dyn Sieve>, seen: &mut Seen) {
    let allows = sieve.map(Sieve::open);
    for (part, entry) in offered.by_part() {
        let may = |allows: &Allows<'_>| allows(kind, entry.upstream, entry.own, entry.raw);
        let Some(seen) = seen.get_mut(part).filter(|_| allows.as_deref().is_none_or(may)) else { continue };
        let groups = seen.get_or_insert_default();
        if groups.len() < NESTED_MAX {
            groups.extend(names(entry.raw));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(entry: &str) -> Vec<String> {
        let marked = marked(Raw::from_value(&serde_json::from_str(entry).expect("JSON")), "crm");
        names(&marked).collect()
    }

    #[test]
    fn what_a_server_groups_is_grouped_within_its_own_group() {
        assert_eq!(groups(r#"{"name":"a"}"#), ["crm"]);
        assert_eq!(
            groups(r#"{"name":"a","_meta":{"io.modelcontextprotocol/groups":["billing"]}}"#),
            ["crm", "crm/billing"]
        );
    }

    #[test]
    fn what_is_no_name_of_a_group_is_none_and_there_are_not_many() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        let odd = json!({"_meta": {"k": 1, GROUPS: ["", 1, null, long, "b"]}});
        assert_eq!(groups(&odd.to_string()), ["crm", "crm/b"]);
        assert_eq!(groups(&json!({"_meta": {GROUPS: "b"}}).to_string()), ["crm"]);
        let many: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        assert_eq!(groups(&json!({"_meta": {GROUPS: many}}).to_string()).len(), OWN_MAX + 1);
        assert_eq!(groups(&json!({"_meta": 1}).to_string()), ["crm"]);
    }
}
