//! A call as it leaves on one hop: with an id and a progress token of that hop.

use bytes::Bytes;
use protocol::json::Object;
use protocol::latest::meta;
use protocol::{Call, Id, Method, Raw, envelope};

/// The progress token that we sent, and the client's that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// On this hop: equal to the request's id, so that it is unique among our requests.
    pub ours: Raw,
    /// On the client's hop.
    pub theirs: Raw,
}

/// A request, ready to be sent.
#[derive(Debug)]
pub struct Outbound {
    /// Its id on this hop.
    pub id: Id,
    /// Its bytes.
    pub bytes: Bytes,
    /// Set where the client asked for progress.
    pub tokens: Option<Tokens>,
}

/// The call's parameters with the progress token replaced by ours.
#[must_use]
pub fn params_with_token(call: &Call, id: &Id) -> (Raw, Option<Tokens>) {
    let Some(theirs) = call.meta.progress_token.clone() else { return (call.params.raw(), None) };
    let ours = id.raw().clone();
    let entries =
        call.params.get("_meta").and_then(|m| m.object().ok().flatten()).unwrap_or_else(Object::empty);
    let entries = entries.edit().set(meta::PROGRESS_TOKEN, ours.clone()).finish();
    (call.params.edit().set("_meta", entries).finish(), Some(Tokens { ours, theirs }))
}

/// The call for a modern server: as the client made it, but for id and progress token.
#[must_use]
pub fn modern(call: &Call, id: Id) -> Outbound {
    let (params, tokens) = params_with_token(call, &id);
    let bytes = envelope::request(&id, call.method.as_str(), Some(&params));
    Outbound { id, bytes, tokens }
}

/// A notification's parameters on the client's hop. `None`: progress that belongs to somebody else.
#[must_use]
pub fn notification_params(
    tokens: Option<&Tokens>,
    method: &Method,
    params: Option<Raw>,
) -> Option<Option<Raw>> {
    if *method != Method::Progress {
        return Some(params);
    }
    let tokens = tokens?;
    let object = params?.object().ok().flatten()?;
    if object.get("progressToken").as_ref() != Some(&tokens.ours) {
        return None;
    }
    Some(Some(object.edit().set("progressToken", tokens.theirs.clone()).finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_ours_upstream_and_theirs_downstream() {
        let params = Raw::literal(r#"{"name":"a","_meta":{"x":1,"progressToken":"t"}}"#);
        let call = Call::read(Method::ToolsCall, Some(&params)).expect("params");
        let out = modern(&call, Id::number(7));
        let text = std::str::from_utf8(&out.bytes).expect("UTF-8");
        assert!(text.contains(r#""params":{"name":"a","_meta":{"x":1,"progressToken":7}}"#), "{text}");
        let back = |text: &'static str| {
            notification_params(out.tokens.as_ref(), &Method::Progress, Some(Raw::literal(text)))
        };
        let own = back(r#"{"progress":1,"progressToken":7}"#).flatten().expect("our own");
        assert_eq!(own.as_text(), r#"{"progress":1,"progressToken":"t"}"#);
        assert!(back(r#"{"progress":1,"progressToken":8}"#).is_none());
        assert!(notification_params(None, &Method::Progress, Some(Raw::literal("{}"))).is_none());
    }

    #[test]
    fn a_call_without_a_token_leaves_byte_for_byte() {
        let params = Raw::literal(r#"{ "name" : "a" , "n":1.0 }"#);
        let call = Call::read(Method::ToolsCall, Some(&params)).expect("params");
        let (sent, tokens) = params_with_token(&call, &Id::number(1));
        assert_eq!((sent, tokens), (params, None));
    }
}
