//! What passes, what of it somebody else is shown, and what he may make of it.

use catalog::Kind;
use protocol::json::Object;
use protocol::{Call, Method, Raw};

use super::remote::Failure;

/// Which way something goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Request,
    Response,
}

impl Phase {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }
}

/// What a text is.
pub(super) enum Shape<'a> {
    /// This parameter of a call; an empty object where it has none.
    Member(&'a Call, &'static str),
    /// What is answered to questions.
    Answers,
    /// A result that asks.
    Questions,
    Result,
    Error,
    /// Some of the entries of a list, and no more of it.
    List(Kind),
}

/// What of a call's parameters says what it is about: nobody may make it another call.
const ABOUT: [&str; 3] = ["name", "uri", "ref"];

impl Shape<'_> {
    pub(super) fn phase(&self) -> Phase {
        match self {
            Self::Member(..) | Self::Questions => Phase::Request,
            Self::Answers | Self::Result | Self::Error | Self::List(_) => Phase::Response,
        }
    }

    /// What others are shown: no state and no cursor that is sealed for the client.
    pub(super) fn shown(&self, text: &Raw) -> Raw {
        match self {
            Self::Questions => text.get("inputRequests").unwrap_or_else(nothing),
            _ => text.clone(),
        }
    }

    /// The text with `made` in place of what was shown.
    ///
    /// # Errors
    /// Where that would be something else than a changed text: another call, another kind of answer,
    /// questions that nobody asked, entries that nobody offers.
    pub(super) fn put(&self, text: &Raw, made: Raw) -> Result<Raw, Failure> {
        match self {
            Self::Member(call, member) => {
                if made.kind() != text.kind() {
                    return Err(Failure::Unfit("arguments of another kind"));
                }
                if !call.params.has(member) && call.method == Method::ResourcesRead && made != *text {
                    return Err(Failure::Unfit("arguments for what takes none"));
                }
                if text.kind() == protocol::json::Kind::Object {
                    object(&made)?;
                }
                Ok(made)
            }
            Self::Answers => same_names(&object(text)?, &object(&made)?).map(|()| made),
            Self::Questions => {
                let (before, after) = (object(&self.shown(text))?, object(&made)?);
                same_names(&before, &after)?;
                let method =
                    |questions: &Object, name: &str| questions.get(name).and_then(|q| q.get("method"));
                if before.iter().any(|(name, _)| method(&before, &name) != method(&after, &name)) {
                    return Err(Failure::Unfit("another kind of question"));
                }
                Ok(object(text)?.edit().set("inputRequests", made).finish())
            }
            Self::Result => {
                let kind = |result: &Raw| result.get("resultType").map(|kind| kind.to_value());
                object(&made)?;
                if kind(&made) != kind(text) {
                    return Err(Failure::Unfit("another kind of result"));
                }
                Ok(made)
            }
            Self::Error => {
                let code = |error: &Raw| error.get("code").and_then(|code| code.as_i64());
                let says = object(&made)?.get("message").is_some_and(|message| message.as_str().is_some());
                if code(&made) != code(text) || !says {
                    return Err(Failure::Unfit("another error"));
                }
                Ok(made)
            }
            Self::List(kind) => entries(*kind, text, &made).map(|()| made),
        }
    }

    /// A call's parameter among what says what the call is about: the parameters as interceptors know them.
    pub(super) fn wrapped(call: &Call, member: &str, value: &Raw) -> Raw {
        let mut edit = Object::empty();
        for name in ABOUT {
            if let Some(about) = call.params.get(name) {
                edit = edit.edit().set(name, about).finish_object();
            }
        }
        if call.params.has(member) || call.method != Method::ResourcesRead {
            edit = edit.edit().set(member.to_owned(), value.clone()).finish_object();
        }
        edit.raw()
    }

    /// The parameter out of what an interceptor made of [`Shape::wrapped`].
    ///
    /// # Errors
    /// Where it made another call of it.
    pub(super) fn unwrapped(call: &Call, member: &str, made: &Raw) -> Result<Raw, Failure> {
        let made = object(made)?;
        for name in ABOUT {
            let value = |raw: Option<Raw>| raw.map(|raw| raw.to_value());
            if value(made.get(name)) != value(call.params.get(name)) {
                return Err(Failure::Unfit("another call"));
            }
        }
        Ok(made.get(member).unwrap_or_else(nothing))
    }
}

pub(super) fn nothing() -> Raw {
    Raw::literal("{}")
}

fn object(raw: &Raw) -> Result<Object, Failure> {
    raw.object().ok().flatten().ok_or(Failure::Unfit("no object"))
}

fn same_names(before: &Object, after: &Object) -> Result<(), Failure> {
    if before.len() == after.len() && before.iter().all(|(name, _)| after.has(&name)) {
        return Ok(());
    }
    Err(Failure::Unfit("other questions"))
}

/// Entries may be changed and left out. A new one, or another one under a known name, would be called.
fn entries(kind: Kind, before: &Raw, after: &Raw) -> Result<(), Failure> {
    let named = |list: &Raw| -> Option<Vec<String>> {
        let items = list.get(kind.member())?.items()?;
        items.iter().map(|item| Some(item.get(kind.key())?.as_str()?.into_owned())).collect()
    };
    object(after)?;
    let (Some(before), Some(after)) = (named(before), named(after)) else {
        return Err(Failure::Unfit("no list"));
    };
    let mut left: std::collections::HashSet<String> = before.into_iter().collect();
    if after.iter().all(|name| left.remove(name)) {
        return Ok(());
    }
    Err(Failure::Unfit("entries that were not listed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &'static str) -> Raw {
        Raw::literal(text)
    }

    fn call(method: Method, params: &'static str) -> Call {
        Call::read(method, Some(&raw(params))).expect("parameters")
    }

    #[test]
    fn what_is_made_of_a_text_is_still_that_text() {
        let tool = call(Method::ToolsCall, r#"{"name":"t","arguments":{"a":1}}"#);
        let read = call(Method::ResourcesRead, r#"{"uri":"u://x"}"#);
        let ask = concat!(
            r#"{"resultType":"input_required","requestState":"s","#,
            r#""inputRequests":{"q":{"method":"m","params":{}}}}"#
        );
        let done = r#"{"resultType":"complete","content":[]}"#;
        let (error, list) = (r#"{"code":-1,"message":"m"}"#, r#"{"tools":[{"name":"a"},{"name":"b"}]}"#);
        for (shape, before, made, fits) in [
            (Shape::Member(&tool, "arguments"), r#"{"a":1}"#, r#"{"a":2}"#, true),
            (Shape::Member(&tool, "arguments"), r#"{"a":1}"#, "[]", false),
            (Shape::Member(&tool, "arguments"), r#"{"a":1}"#, r#"{"a":2,"a":3}"#, false),
            (Shape::Member(&read, "arguments"), "{}", "{}", true),
            (Shape::Member(&read, "arguments"), "{}", r#"{"a":1}"#, false),
            (Shape::Answers, r#"{"q":{"action":"accept"}}"#, r#"{"q":{"action":"decline"}}"#, true),
            (Shape::Answers, r#"{"q":{"action":"accept"}}"#, r#"{"p":{"action":"accept"}}"#, false),
            (Shape::Answers, r#"{"q":{}}"#, "{}", false),
            (Shape::Questions, ask, r#"{"q":{"method":"m","params":{"message":"?"}}}"#, true),
            (Shape::Questions, ask, r#"{"q":{"method":"n","params":{}}}"#, false),
            (Shape::Questions, ask, r#"{"q":{"method":"m"},"r":{"method":"m"}}"#, false),
            (Shape::Result, done, r#"{"resultType":"complete","content":[1]}"#, true),
            (Shape::Result, done, r#"{"content":[1]}"#, false),
            (Shape::Result, done, r#"{"resultType":"input_required"}"#, false),
            (Shape::Result, done, "7", false),
            (Shape::Error, error, r#"{"code":-1,"message":"other"}"#, true),
            (Shape::Error, error, r#"{"code":-2,"message":"m"}"#, false),
            (Shape::Error, error, r#"{"code":-1}"#, false),
            (Shape::List(Kind::Tools), list, r#"{"tools":[{"name":"b","x":1}]}"#, true),
            (Shape::List(Kind::Tools), list, r#"{"tools":[]}"#, true),
            (Shape::List(Kind::Tools), list, r#"{"tools":[{"name":"c"}]}"#, false),
            (Shape::List(Kind::Tools), list, r#"{"tools":[{"name":"a"},{"name":"a"}]}"#, false),
            (Shape::List(Kind::Tools), list, r#"{"prompts":[]}"#, false),
        ] {
            assert_eq!(shape.put(&raw(before), raw(made)).is_ok(), fits, "{before} -> {made}");
        }
        let put = Shape::Questions.put(&raw(ask), raw(r#"{"q":{"method":"m","params":{"n":1.0}}}"#));
        let put = put.expect("it fits").as_text().to_owned();
        assert!(put.contains(r#""requestState":"s""#) && put.contains(r#"{"n":1.0}"#), "{put}");
    }

    #[test]
    fn nobody_makes_another_call_of_a_call() {
        let tool = call(Method::ToolsCall, r#"{"name":"t","arguments":{"a":1.0},"_meta":{"k":1}}"#);
        let shown = Shape::wrapped(&tool, "arguments", &raw(r#"{"a":1.0}"#));
        assert_eq!(shown.as_text(), r#"{"name":"t","arguments":{"a":1.0}}"#);
        let of = |made: &'static str| Shape::unwrapped(&tool, "arguments", &raw(made)).ok();
        assert_eq!(of(r#"{"name":"t","arguments":{"a":2.0}}"#), Some(raw(r#"{"a":2.0}"#)));
        assert_eq!(of(r#"{"name":"t"}"#), Some(nothing()));
        assert_eq!(of(r#"{"name":"other","arguments":{}}"#), None);
        assert_eq!(of(r#"{"arguments":{}}"#), None);
        let read = call(Method::ResourcesRead, r#"{"uri":"u://x"}"#);
        assert_eq!(Shape::wrapped(&read, "arguments", &nothing()).as_text(), r#"{"uri":"u://x"}"#);
    }
}
