//! A selection of what the upstreams offer.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Find, HostRule, Lifecycle};
use crate::value::Glob;

/// A selection of what the upstreams offer, served at `/NAME/mcp`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Endpoint {
    /// The upstreams that take part, by name; at least one.
    ///
    /// Since 0.1.
    pub upstreams: Vec<String>,

    /// The names of tools and prompts that are offered, as patterns over names with their prefix (`crm_*`).
    ///
    /// By default all; an empty list offers none. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expose: Option<Vec<Glob>>,

    /// The names of tools and prompts that are not offered, even where `expose` names them.
    ///
    /// Since 0.1.
    pub hide: Vec<Glob>,

    /// Other names at this endpoint, by the name with its prefix: `crm_lookup: find_customer`.
    ///
    /// `expose` and `hide` go by the name before it was changed here. Since 0.1.
    pub aliases: BTreeMap<String, String>,

    /// Which tools run as tasks of the gateway: the same rules, in place of those in `tasks.host`.
    ///
    /// They go by the names that clients see, after `aliases`. By default those of `tasks.host`. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<Vec<HostRule>>,

    /// What the endpoint tells clients about its use, in place of what the upstreams say.
    ///
    /// By default what the upstreams say. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,

    /// Where it is in its life. One that is proposed or removed is not served.
    ///
    /// By default it is active. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<Lifecycle>,

    /// Whether what is experimental of its upstreams is offered here.
    ///
    /// Since 0.1.
    pub experimental: bool,

    /// What it is for, in a sentence for people.
    ///
    /// By default nothing. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,

    /// Whether clients are given three tools that find and call the others, in place of a long list.
    ///
    /// `find: {}` says so. By default they are given the list. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub find: Option<Find>,

    /// How many items a page of a list has.
    ///
    /// By default `limits.page_size`. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub page_size: Option<usize>,
}

impl Endpoint {
    /// Whether `exposed` passes `expose` and `hide`.
    #[must_use]
    pub fn offers(&self, exposed: &str) -> bool {
        offers(self.expose.as_deref(), &self.hide, exposed)
    }
}

/// Whether a name passes: an absent list of what is offered offers all, an empty one none, and hiding goes
/// first.
pub(super) fn offers(expose: Option<&[Glob]>, hide: &[Glob], name: &str) -> bool {
    expose.is_none_or(|globs| globs.iter().any(|glob| glob.matches(name)))
        && !hide.iter().any(|glob| glob.matches(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_list_offers_all_and_an_empty_one_none() {
        let glob = |text: &str| Glob::new(text).expect("a valid pattern");
        let all = Endpoint::default();
        assert!(all.offers("crm_lookup"));
        let none = Endpoint { expose: Some(Vec::new()), ..Endpoint::default() };
        assert!(!none.offers("crm_lookup"));
        let some = Endpoint {
            expose: Some(vec![glob("crm_*")]),
            hide: vec![glob("*_delete")],
            ..Endpoint::default()
        };
        assert!(some.offers("crm_lookup"));
        assert!(!some.offers("crm_delete"));
        assert!(!some.offers("files_read"));
    }
}
