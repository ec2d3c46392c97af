//! What replicas tell one another of their own accord.
//!
//! A word makes something known sooner. Nothing depends on its arrival: what is told of is found out anyway,
//! later, from the store or from the upstream itself.

use bytes::Bytes;
use model::UpstreamName;
use serde_json::{Value, json};
use upstream::Change;

/// Sessions in one word.
const SESSIONS_MAX: usize = 256;

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// A client changed something in these sessions: what the store says of them is newer.
    Sessions(Vec<String>),
    /// An upstream told of a change: what is kept of it is old.
    Changed(UpstreamName, Change),
    /// A session with this upstream is used by whoever says so, or was closed.
    Session { upstream: UpstreamName, name: String, closed: bool },
}

impl Word {
    pub fn write(&self) -> Bytes {
        let value = match self {
            Self::Sessions(names) => json!({ "sessions": names }),
            Self::Session { upstream, name, closed } => {
                json!({ "upstream": upstream.as_str(), "session": name, "closed": closed })
            }
            Self::Changed(upstream, change) => {
                let (what, uri) = match change {
                    Change::Tools => ("tools", None),
                    Change::Prompts => ("prompts", None),
                    Change::Resources => ("resources", None),
                    Change::Resource(uri) => ("resource", Some(uri)),
                    Change::Task(..) | Change::Gap => ("anything", None),
                };
                json!({ "upstream": upstream.as_str(), "changed": what, "uri": uri.map(|uri| &**uri) })
            }
        };
        Bytes::from(value.to_string())
    }

    /// `None`: the peer runs a version with other words. There is nothing to do about it.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        if let Some(names) = value["sessions"].as_array() {
            let names = names.iter().take(SESSIONS_MAX).filter_map(|name| name.as_str().map(str::to_owned));
            return Some(Self::Sessions(names.collect()));
        }
        let upstream = UpstreamName::new(value["upstream"].as_str()?).ok()?;
        if let Some(name) = value["session"].as_str() {
            let closed = value["closed"].as_bool()?;
            return Some(Self::Session { upstream, name: name.to_owned(), closed });
        }
        let change = match value["changed"].as_str()? {
            "tools" => Change::Tools,
            "prompts" => Change::Prompts,
            "resources" => Change::Resources,
            "resource" => Change::Resource(value["uri"].as_str()?.into()),
            "anything" => Change::Gap,
            _ => return None,
        };
        Some(Self::Changed(upstream, change))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_arrives_as_it_was_said_and_others_are_not_understood() {
        let crm = || UpstreamName::new("crm").expect("a name");
        for word in [
            Word::Sessions(vec!["a".into(), "b".into()]),
            Word::Changed(crm(), Change::Tools),
            Word::Changed(crm(), Change::Prompts),
            Word::Changed(crm(), Change::Resources),
            Word::Changed(crm(), Change::Resource("file:///a".into())),
            Word::Changed(crm(), Change::Gap),
            Word::Session { upstream: crm(), name: "a".into(), closed: true },
            Word::Session { upstream: crm(), name: "b".into(), closed: false },
        ] {
            assert_eq!(Word::read(&word.write()), Some(word));
        }
        for other in ["", "{}", "[]", r#"{"upstream":"crm","changed":"weather"}"#, r#"{"upstream":"_"}"#] {
            assert_eq!(Word::read(other.as_bytes()), None, "{other}");
        }
    }
}
