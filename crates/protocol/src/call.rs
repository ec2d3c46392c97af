//! A call, as everything inside the gateway sees it: always a modern one.

use std::borrow::Cow;

use crate::json::{JsonError, Kind, Object, Raw};
use crate::latest::{TASKS_EXTENSION, meta};
use crate::{Meta, Method};

/// A modern request without its id: ids belong to one hop.
#[derive(Debug, Clone)]
pub struct Call {
    /// What is asked.
    pub method: Method,
    /// The parameters as they came, `_meta` included.
    pub params: Object,
    /// The reserved entries of `_meta`.
    pub meta: Meta,
}

impl Call {
    /// Reads the parameters of a request.
    ///
    /// # Errors
    /// [`JsonError`] where a name stands twice in `params` or `_meta`.
    pub fn read(method: Method, params: Option<&Raw>) -> Result<Self, JsonError> {
        let params = params.map(Raw::object).transpose()?.flatten().unwrap_or_else(Object::empty);
        let meta = Meta::of_params(&params)?;
        Ok(Self { method, params, meta })
    }

    /// A call of the gateway's own, on behalf of a client with these capabilities.
    #[must_use]
    pub fn own(method: Method, params: &Raw, capabilities: &Capabilities, info: &Raw) -> Self {
        let params = params.object().ok().flatten().unwrap_or_else(Object::empty);
        let old = params.get("_meta").and_then(|m| m.object().ok().flatten()).unwrap_or_else(Object::empty);
        let version = Raw::literal("\"2026-07-28\"");
        let entries = old
            .edit()
            .set(meta::PROTOCOL_VERSION, version.clone())
            .set(meta::CLIENT_CAPABILITIES, capabilities.raw.clone())
            .set(meta::CLIENT_INFO, info.clone())
            .finish();
        let params = params.edit().set("_meta", entries).finish_object();
        let meta = Meta::of_params(&params).unwrap_or_default();
        Self { method, params, meta }
    }

    /// The tool, prompt, resource or task that is asked for: what `Mcp-Name` repeats.
    #[must_use]
    pub fn target(&self) -> Option<String> {
        self.text(self.method.mirrored()?)
    }

    /// A parameter that is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.params.get(name)?.as_str().map(Cow::into_owned)
    }

    /// The same call with one parameter replaced, added or (`None`) removed.
    #[must_use]
    pub fn with(&self, name: &str, value: Option<Raw>) -> Self {
        let params = self.params.edit().put(name, value).finish_object();
        Self { method: self.method.clone(), params, meta: self.meta.clone() }
    }

    /// The same call of a client that declares something else.
    #[must_use]
    pub fn declaring(&self, capabilities: Raw) -> Self {
        let entries = self.params.get("_meta").and_then(|meta| meta.object().ok().flatten());
        let entries = entries.unwrap_or_else(Object::empty);
        let entries = entries.edit().set(meta::CLIENT_CAPABILITIES, capabilities.clone()).finish();
        let params = self.params.edit().set("_meta", entries).finish_object();
        let meta = Meta { client_capabilities: Some(capabilities), ..self.meta.clone() };
        Self { method: self.method.clone(), params, meta }
    }

    /// What the client declared that it can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        Capabilities::read(self.meta.client_capabilities.as_ref())
    }
}

/// What a client can do, read out of its `ClientCapabilities`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "a table of independent facts")]
pub struct Capabilities {
    /// The object as declared.
    pub raw: Raw,
    /// Questions to the user by form.
    pub elicit_form: bool,
    /// Questions to the user by URL.
    pub elicit_url: bool,
    /// Questions to the client's model.
    pub sampling: bool,
    /// Questions to the client's model that offer tools.
    pub sampling_tools: bool,
    /// The client's roots.
    pub roots: bool,
    /// The Tasks extension.
    pub tasks: bool,
}

impl Capabilities {
    /// Reads a declaration; what is no object declares nothing.
    #[must_use]
    pub fn read(raw: Option<&Raw>) -> Self {
        let object = raw.and_then(|r| r.object().ok().flatten()).unwrap_or_else(Object::empty);
        let inner = |name: &str| object.get(name).and_then(|v| v.object().ok().flatten());
        let elicitation = inner("elicitation");
        let has = |o: &Option<Object>, name: &str| o.as_ref().is_some_and(|o| o.has(name));
        let sampling = inner("sampling");
        Self {
            elicit_form: elicitation.as_ref().is_some_and(|e| e.has("form") || !e.has("url")),
            elicit_url: has(&elicitation, "url"),
            sampling_tools: has(&sampling, "tools"),
            sampling: sampling.is_some(),
            roots: inner("roots").is_some(),
            tasks: has(&inner("extensions"), TASKS_EXTENSION),
            raw: object.raw(),
        }
    }

    /// The declaration of a client that can do nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::read(None)
    }

    /// Whether the client can answer anything at all.
    #[must_use]
    pub fn can_answer(&self) -> bool {
        self.elicit_form || self.elicit_url || self.sampling || self.roots
    }

    /// Whether the client can answer this question, an entry of `inputRequests`.
    #[must_use]
    pub fn can_answer_question(&self, question: &Raw) -> bool {
        let method = question.get("method").and_then(|m| m.as_str().map(|m| Method::parse(&m)));
        let params = question.get("params");
        let has = |name: &str| params.as_ref().is_some_and(|p| p.get(name).is_some());
        let url = params.as_ref().and_then(|p| p.get("mode")).is_some_and(|m| m.as_bytes() == b"\"url\"");
        match method {
            Some(Method::Elicit) if url => self.elicit_url,
            Some(Method::Elicit) => self.elicit_form,
            Some(Method::Sample) if has("tools") || has("toolChoice") => self.sampling_tools,
            Some(Method::Sample) => self.sampling,
            Some(Method::RootsList) => self.roots,
            _ => false,
        }
    }
}

/// Whether a value is an object, as `clientCapabilities` must be.
#[must_use]
pub fn is_object(raw: &Raw) -> bool {
    raw.kind() == Kind::Object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_as_the_specification_says() {
        let read = |text: &'static str| Capabilities::read(Some(&Raw::literal(text)));
        let c = read(r#"{"elicitation":{}}"#);
        assert!(c.elicit_form && !c.elicit_url && !c.sampling);
        let c = read(r#"{"elicitation":{"url":{}},"sampling":{"tools":{}},"roots":{}}"#);
        assert!(!c.elicit_form && c.elicit_url && c.sampling_tools && c.roots);
        let c = read(r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#);
        assert!(c.tasks && !c.can_answer());
        assert!(!read("[]").can_answer());
    }

    #[test]
    fn only_what_was_declared_can_be_answered() {
        let c = Capabilities::read(Some(&Raw::literal(r#"{"elicitation":{},"sampling":{}}"#)));
        let ask = |text: &'static str| c.can_answer_question(&Raw::literal(text));
        assert!(ask(r#"{"method":"elicitation/create","params":{"message":"?"}}"#));
        assert!(!ask(r#"{"method":"elicitation/create","params":{"mode":"url"}}"#));
        assert!(ask(r#"{"method":"sampling/createMessage","params":{}}"#));
        assert!(!ask(r#"{"method":"sampling/createMessage","params":{"tools":[]}}"#));
        assert!(!ask(r#"{"method":"roots/list"}"#));
        assert!(!ask(r#"{"method":"secrets/list"}"#));
    }

    #[test]
    fn a_call_changes_one_parameter_and_keeps_the_rest() {
        let params = Raw::literal(r#"{"name":"a","arguments":{"n": 1.0},"x":[ 1 ]}"#);
        let call = Call::read(Method::ToolsCall, Some(&params)).expect("params");
        assert_eq!(call.target().as_deref(), Some("a"));
        let renamed = call.with("name", Some(Raw::string("b")));
        assert_eq!(renamed.params.raw().as_text(), r#"{"name":"b","arguments":{"n": 1.0},"x":[ 1 ]}"#);
    }
}
