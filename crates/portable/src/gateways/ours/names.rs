//! Names that this gateway takes: 1 to 32 of `a-z`, `0-9` and `-`.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::there::There;
use crate::model::Deployment;
use crate::patterns;
use crate::report::Report;

/// How long a name is at most.
const LEN_MAX: usize = 32;

/// What servers are called here.
pub(super) struct Names(IndexMap<String, String>);

impl Names {
    /// Gives every server and endpoint a name that is taken.
    pub(super) fn give(deployment: &mut Deployment, there: &There<'_>, report: &mut Report) -> Self {
        let as_taken = |names: BTreeSet<String>| names.into_iter().map(|name| (name, Json::Null));
        let mut taken: Map<String, Json> = as_taken(there.endpoints()).collect();
        let mut names = IndexMap::new();
        for (old, server) in std::mem::take(&mut deployment.servers) {
            let name = short(&old, &taken);
            taken.insert(name.clone(), Json::Null);
            if name != old {
                report.approximated(format!("servers.{old}"), false, format!("it is called {name} here"));
            }
            deployment.servers.insert(name.clone(), server);
            names.insert(old, name);
        }
        let names = Self(names);
        taken.extend(as_taken(there.all()));
        for (old, mut endpoint) in std::mem::take(&mut deployment.gateway.endpoints) {
            let name = short(&old, &taken);
            taken.insert(name.clone(), Json::Null);
            if name != old {
                let meaning = format!("it is called {name} here");
                report.approximated(format!("gateway.endpoints.{old}"), false, meaning);
                names.rename_rules(deployment, &old, &name);
            }
            endpoint.servers = endpoint.servers.iter().map(|server| names.server(server)).collect();
            let servers: Vec<(String, String)> = names
                .0
                .iter()
                .filter(|(_, new)| endpoint.servers.contains(new))
                .map(|(old, new)| (old.clone(), new.clone()))
                .collect();
            let path = format!("gateway.endpoints.{old}.tools");
            patterns::as_joined(&mut endpoint.tools, &servers, &path, report);
            let aliases = std::mem::take(&mut endpoint.aliases).into_iter();
            endpoint.aliases =
                aliases.map(|(tool, alias)| (patterns::joined(&tool, &servers), alias)).collect();
            deployment.gateway.endpoints.insert(name, endpoint);
        }
        names
    }

    /// What a server is called here.
    pub(super) fn server(&self, old: &str) -> String {
        self.0.get(old).cloned().unwrap_or_else(|| old.to_owned())
    }

    /// Servers that are in a deployment: what they were called, and what they are called here.
    pub(super) fn written(&self, deployment: &Deployment) -> Vec<(String, String)> {
        let kept = self.0.iter().filter(|(_, new)| deployment.servers.contains_key(*new));
        kept.map(|(old, new)| (old.clone(), new.clone())).collect()
    }

    fn rename_rules(&self, deployment: &mut Deployment, old: &str, new: &str) {
        for rule in &mut deployment.gateway.rules {
            for endpoint in rule.endpoints.iter_mut().flatten().filter(|name| *name == old) {
                new.clone_into(endpoint);
            }
        }
    }
}

/// A name that is taken, and that nobody has yet.
pub(super) fn short(old: &str, taken: &Map<String, Json>) -> String {
    let mut name = String::new();
    for c in old.chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            _ if name.is_empty() || name.ends_with('-') => {}
            _ => name.push('-'),
        }
    }
    name.truncate(LEN_MAX);
    let name = name.trim_end_matches('-');
    let name = if name.is_empty() || name == "mcp" { "server" } else { name };
    let free = |name: &str| !taken.contains_key(name);
    if free(name) {
        return name.to_owned();
    }
    let numbered = |number: u32| {
        let end = format!("-{number}");
        format!("{}{end}", name.get(..name.len().min(LEN_MAX - end.len())).unwrap_or(name))
    };
    (2..=u32::MAX).map(numbered).find(|name| free(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_is_taken_and_free() {
        let mut taken = Map::new();
        let long = "x".repeat(40);
        for (old, expected) in [
            ("crm", "crm"),
            ("CRM", "crm-2"),
            ("CRM east!", "crm-east"),
            ("--", "server"),
            ("mcp", "server-2"),
            ("é", "server-3"),
            (long.as_str(), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
            (long.as_str(), "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-2"),
        ] {
            let name = short(old, &taken);
            assert_eq!(name, expected);
            taken.insert(name, Json::Null);
        }
    }
}
