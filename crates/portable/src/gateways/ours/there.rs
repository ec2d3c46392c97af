//! A configuration that is there, into which another one goes.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::super::write::yaml;
use crate::format::{Fault, Target};
use crate::model::Deployment;
use crate::report::Report;
use crate::syntax::{Entry, Source, edit_yaml, parse_yaml};
use crate::tidegate::SCHEMA_LINE;

/// What is said there.
pub(super) struct There<'a> {
    source: Source<'a>,
    value: Map<String, Json>,
}

/// The maps that are added to.
const MAPS: [&str; 2] = ["upstreams", "endpoints"];

impl<'a> There<'a> {
    /// Reads it. No text is a configuration that says nothing.
    pub(super) fn of(target: &Target<'a>) -> Result<Self, Fault> {
        let source = Source::new(target.existing.unwrap_or_default(), target.file)?;
        let value = parse_yaml(&source)?.to_value();
        Ok(Self { value: value.as_object().cloned().unwrap_or_default(), source })
    }

    fn names(&self, map: &str) -> BTreeSet<String> {
        let map = self.value.get(map).and_then(Json::as_object);
        map.into_iter().flat_map(|map| map.keys().cloned()).collect()
    }

    /// Whether servers are in it, about which it says more than what another gateway says.
    pub(super) fn has_servers(&self) -> bool {
        MAPS.iter().any(|map| !self.names(map).is_empty())
    }

    /// Names that a server cannot have: those of endpoints. One that is called like a server takes its place.
    pub(super) fn endpoints(&self) -> BTreeSet<String> {
        self.names("endpoints")
    }

    /// Names that an endpoint cannot have.
    pub(super) fn all(&self) -> BTreeSet<String> {
        MAPS.iter().flat_map(|map| self.names(map)).collect()
    }

    /// Leaves out what the configuration that is there says for all.
    pub(super) fn leave_out(&self, deployment: &mut Deployment, report: &mut Report) {
        let gateway = &mut deployment.gateway;
        if let Some(listen) = self.value.get("listen").and_then(Json::as_str) {
            if gateway.listen.take().is_some() {
                report.dropped("gateway.listen", false, "it listens where the configuration says already");
            }
            gateway.listen = Some(listen.to_owned());
        }
        if !self.has_servers() {
            return;
        }
        gateway.listen = None;
        let mut gone = |path: String| {
            let meaning = "what the configuration says already holds: see there whether it is as strict";
            report.dropped(path, true, meaning);
        };
        for (what, count) in [
            ("rules", gateway.rules.len()),
            ("limits", gateway.limits.len()),
            ("issuers", gateway.issuers.len()),
            ("keys", gateway.keys.len()),
        ] {
            (0..count).for_each(|index| gone(format!("gateway.{what}[{index}]")));
        }
        for (what, is_there) in [("origins", gateway.origins.is_some()), ("tls", gateway.tls.is_some())] {
            if is_there {
                gone(format!("gateway.{what}"));
            }
        }
        for (name, endpoint) in &mut gateway.endpoints {
            if endpoint.who.take().is_some() {
                gone(format!("gateway.endpoints.{name}.who"));
            }
        }
        if !gateway.endpoints.is_empty() {
            let meaning = "single servers are served as well, to whom the configuration lets in";
            report.dropped("gateway.endpoints", true, meaning);
        }
        (gateway.rules, gateway.limits) = (Vec::new(), Vec::new());
        (gateway.issuers, gateway.keys) = (Vec::new(), Vec::new());
        (gateway.origins, gateway.tls) = (None, None);
    }

    /// The text with what another one, written anew, has more.
    ///
    /// # Errors
    /// Where it cannot be added without changing more.
    pub(super) fn with(&self, whole: &str) -> Result<String, Fault> {
        if self.source.text.trim().is_empty() {
            return Ok(format!("{SCHEMA_LINE}{whole}"));
        }
        if self.value.is_empty() {
            return Ok(joined(self.source.text, whole));
        }
        let added = Source::new(whole, self.source.file)?;
        let mut added = parse_yaml(&added)?.to_value().as_object().cloned().unwrap_or_default();
        let selects =
            |endpoint: &Json| ["expose", "hide", "aliases"].iter().any(|key| endpoint.get(key).is_some());
        let endpoints = added.get("endpoints").and_then(Json::as_object);
        if self.value.contains_key("names") && endpoints.into_iter().flatten().any(|(_, one)| selects(one)) {
            let message = "endpoints that select tools are not added where `names` makes other names of them";
            return Err(self.source.fault(0, "names", message));
        }
        let mut text = self.source.text.to_owned();
        for map in MAPS {
            let entries =
                added.shift_remove(map).and_then(|value| value.as_object().cloned()).unwrap_or_default();
            let entry = |(name, value): (String, Json)| Entry {
                lines: yaml(&json!({ (name.as_str()): value })).lines().map(str::to_owned).collect(),
                name,
            };
            let entries: Vec<Entry> = entries.into_iter().map(entry).collect();
            if !entries.is_empty() {
                text = edit_yaml(&Source::new(&text, self.source.file)?, map, &entries, &[])?;
            }
        }
        added.shift_remove("listen");
        if !added.is_empty() {
            text = joined(&text, &yaml(&Json::Object(added)));
        }
        self.stays(&text)?;
        Ok(text)
    }

    /// Whether what was there means in this text what it meant. A server of the same name is another one.
    fn stays(&self, text: &str) -> Result<(), Fault> {
        let after = parse_yaml(&Source::new(text, self.source.file)?)?.to_value();
        let same = self.value.iter().all(|(key, value)| match (MAPS.contains(&key.as_str()), value) {
            (true, Json::Object(entries)) => {
                entries.keys().all(|name| after.get(key).is_some_and(|map| map.get(name).is_some()))
            }
            (true, _) => true,
            (false, value) => after.get(key) == Some(value),
        });
        if same {
            return Ok(());
        }
        Err(self.source.fault(
            0,
            "upstreams",
            "it cannot be changed without changing more; change it by hand",
        ))
    }
}

/// One text after another, with a blank line between.
fn joined(text: &str, more: &str) -> String {
    match text.trim_end() {
        "" => format!("{text}{more}"),
        start => format!("{start}\n\n{more}"),
    }
}
