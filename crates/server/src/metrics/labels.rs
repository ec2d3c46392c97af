//! Labels: words from small sets, whatever clients and upstreams say.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use model::UpstreamName;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use protocol::{Method, Revision, code};
use upstream::Ending;

/// How many names of tools and prompts become labels. Operations on any further ones are counted without.
const NAMES_MAX: usize = 1_000;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Served {
    pub mcp_method_name: &'static str,
    pub gen_ai_tool_name: Option<Arc<str>>,
    pub gen_ai_prompt_name: Option<Arc<str>>,
    pub mcp_protocol_version: &'static str,
    pub network_transport: &'static str,
    pub tidegate_endpoint: String,
    pub error_type: Option<Cow<'static, str>>,
    pub rpc_response_status_code: Option<i64>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Sent {
    pub mcp_method_name: &'static str,
    pub gen_ai_tool_name: Option<Arc<str>>,
    pub gen_ai_prompt_name: Option<Arc<str>>,
    pub mcp_protocol_version: &'static str,
    pub network_transport: &'static str,
    pub tidegate_upstream: Upstream,
    pub error_type: Option<Cow<'static, str>>,
    pub rpc_response_status_code: Option<i64>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub(super) struct Upstream(pub UpstreamName);

impl EncodeLabelValue for Upstream {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.as_str().encode(encoder)
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct ServedSession {
    pub mcp_protocol_version: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct UpstreamSession {
    pub mcp_protocol_version: &'static str,
    pub tidegate_upstream: Upstream,
}

/// What was asked.
pub(crate) struct Asked<'a> {
    pub method: &'a Method,
    pub target: Option<&'a Target>,
    pub revision: Revision,
    pub transport: &'static str,
}

/// What a call is for, by a name that a catalog has.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Tool(Arc<str>),
    Prompt(Arc<str>),
}

impl Asked<'_> {
    pub(super) fn names(&self) -> (Option<Arc<str>>, Option<Arc<str>>) {
        match self.target {
            None => (None, None),
            Some(Target::Tool(name)) => (Some(Arc::clone(name)), None),
            Some(Target::Prompt(name)) => (None, Some(Arc::clone(name))),
        }
    }
}

/// Why an operation counts as failed: a word from a small set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ErrorType {
    None,
    Word(&'static str),
    Code(i64),
}

impl ErrorType {
    /// Codes of the protocol and of ours stand for themselves; an upstream's own could be anything.
    pub fn of(ending: &Ending) -> Self {
        match ending {
            Ending::Result => Self::None,
            Ending::ToolError => Self::Word("tool_error"),
            Ending::Error { code, .. } if is_known(*code) => Self::Code(*code),
            Ending::Error { .. } => Self::Word("_OTHER"),
            Ending::Failed(error) => Self::Word(error.kind.as_str()),
            Ending::Cancelled => Self::Word("cancelled"),
        }
    }

    /// The word; `None` where nothing failed.
    pub fn word(&self) -> Option<Cow<'static, str>> {
        match self {
            Self::None => None,
            Self::Word(word) => Some(Cow::Borrowed(word)),
            Self::Code(code) => Some(Cow::Owned(code.to_string())),
        }
    }
}

/// A code as a label; one that anybody could make up is none.
pub(super) fn status(code: Option<i64>) -> Option<i64> {
    code.filter(|code| is_known(*code))
}

fn is_known(code: i64) -> bool {
    (-32768..=-32000).contains(&code) || (code::NOT_TRANSLATABLE..=code::UPSTREAM_UNREACHABLE).contains(&code)
}

/// Names of tools and prompts that have been found in a catalog.
#[derive(Debug, Default)]
pub(crate) struct Names(RwLock<HashSet<Arc<str>>>);

impl Names {
    /// The name as a label, if it has been found before or `listed` says that it is there.
    pub fn known(&self, name: &str, listed: impl FnOnce() -> bool) -> Option<Arc<str>> {
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Some(Arc::clone(known));
        }
        if !listed() {
            return None;
        }
        let mut names = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= NAMES_MAX && !names.contains(name) {
            return None;
        }
        let name: Arc<str> = Arc::from(name);
        names.insert(Arc::clone(&name));
        Some(name)
    }
}

/// The method as a label. One that we do not know is a client's own text: it must not grow the set of labels.
pub(crate) fn method_word(method: &Method) -> &'static str {
    method.known().unwrap_or("_OTHER")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_label_once_a_catalog_has_it_and_only_so_many_do() {
        let names = Names::default();
        assert_eq!(names.known("made-up", || false), None);
        for n in 0..NAMES_MAX {
            let name = format!("tool-{n}");
            assert_eq!(names.known(&name, || true).as_deref(), Some(name.as_str()));
        }
        assert_eq!(names.known("one-more", || true), None);
        assert_eq!(names.known("tool-7", || false).as_deref(), Some("tool-7"), "it was found before");
    }

    #[test]
    fn codes_that_anybody_could_make_up_are_one_word() {
        let of = |code| ErrorType::of(&Ending::Error { code, message: String::new() });
        assert_eq!(of(-32602), ErrorType::Code(-32602));
        assert_eq!(of(code::UPSTREAM_BROKE), ErrorType::Code(code::UPSTREAM_BROKE));
        assert_eq!(of(7), ErrorType::Word("_OTHER"));
        assert_eq!(ErrorType::of(&Ending::Result).word(), None);
        assert_eq!(ErrorType::of(&Ending::ToolError).word().as_deref(), Some("tool_error"));
    }

    #[test]
    fn a_method_of_a_clients_own_is_one_word() {
        assert_eq!(method_word(&Method::ToolsCall), "tools/call");
        assert_eq!(method_word(&Method::parse("made/up")), "_OTHER");
    }
}
