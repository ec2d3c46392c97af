//! Where a call belongs: the trace context that came with it, and what of it goes on.

use std::borrow::Cow;

use http::HeaderMap;
use model::TraceContext;
use protocol::json::Object;
use protocol::latest::meta;
use protocol::{Call, Raw};

const TRACEPARENT: usize = 0;
const TRACESTATE: usize = 1;
const BAGGAGE: usize = 2;

/// The longest `baggage` that is looked at, in bytes (W3C Baggage, section 3.3.2).
const BAGGAGE_BYTES_MAX: usize = 8_192;

/// What came with a call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Incoming {
    /// What the call is a part of.
    pub parent: Option<TraceContext>,
    /// What the HTTP request is a part of, where that is something else.
    pub ambient: Option<TraceContext>,
}

/// Reads the context: that of the message where it has one, else that of the HTTP request (SEP-414).
pub(super) fn incoming(call: &Call, headers: &HeaderMap) -> Incoming {
    let text = |at: usize| call.meta.trace[at].as_ref().and_then(|v| v.as_str());
    let of_message =
        text(TRACEPARENT).and_then(|parent| TraceContext::parse(&parent, text(TRACESTATE).as_deref()));
    let of_request = header(headers, TRACEPARENT)
        .and_then(|parent| TraceContext::parse(parent, header(headers, TRACESTATE)));
    match (of_message, of_request) {
        (Some(message), request) => {
            let ambient = request.filter(|r| r.span_id != message.span_id || r.trace_id != message.trace_id);
            Incoming { parent: Some(message), ambient }
        }
        (None, request) => Incoming { parent: request, ambient: None },
    }
}

fn header(headers: &HeaderMap, at: usize) -> Option<&str> {
    let mut values = headers.get_all(meta::TRACE[at]).iter();
    // Several mean that somebody on the way did not understand them (Trace Context, section 3.2).
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

/// The call with a context that came in headers alone, and with what of the baggage may go on.
pub(super) fn pass_on<'c>(call: &'c Call, headers: &HeaderMap, allowed: &[String]) -> Cow<'c, Call> {
    let has = |at: usize| call.meta.trace[at].is_some();
    let adopts = !has(TRACEPARENT) && headers.contains_key(meta::TRACE[TRACEPARENT]);
    let baggage = has(BAGGAGE) || (!allowed.is_empty() && headers.contains_key(meta::TRACE[BAGGAGE]));
    if !adopts && !baggage {
        return Cow::Borrowed(call);
    }
    let mut trace = call.meta.trace.clone();
    if adopts && let Some(context) = incoming(call, headers).parent {
        trace[TRACEPARENT] = Some(Raw::string(&context.traceparent()));
        trace[TRACESTATE] = context.state.as_deref().map(Raw::string);
    }
    let said = trace[BAGGAGE].as_ref().and_then(|b| b.as_str());
    let said = said.or_else(|| header(headers, BAGGAGE).filter(|_| !has(BAGGAGE)).map(Cow::Borrowed));
    trace[BAGGAGE] = said.and_then(|said| some_baggage(&said, allowed)).map(|kept| Raw::string(&kept));
    if trace == call.meta.trace {
        return Cow::Borrowed(call);
    }
    let old = call.params.get("_meta").and_then(|m| m.object().ok().flatten()).unwrap_or_else(Object::empty);
    let edit =
        meta::TRACE.into_iter().zip(&trace).fold(old.edit(), |e, (name, value)| e.put(name, value.clone()));
    let mut passed = call.with("_meta", Some(edit.finish()));
    passed.meta.trace = trace;
    Cow::Owned(passed)
}

/// The members of a `baggage` that are allowed.
fn some_baggage(text: &str, allowed: &[String]) -> Option<String> {
    if text.len() > BAGGAGE_BYTES_MAX {
        return None;
    }
    let name = |member: &str| member.split(['=', ';']).next().unwrap_or_default().trim().to_owned();
    let kept: Vec<&str> =
        text.split(',').map(str::trim).filter(|member| allowed.contains(&name(member))).collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

#[cfg(test)]
mod tests {
    use protocol::Method;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const OTHER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

    fn call(meta: &str) -> Call {
        let params = Raw::parse(format!(r#"{{"name":"a","_meta":{{{meta}}}}}"#).into()).expect("JSON");
        Call::read(Method::ToolsCall, Some(&params)).expect("params")
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    fn sent(call: &Call, headers: &HeaderMap, allowed: &[&str]) -> String {
        let allowed: Vec<String> = allowed.iter().map(|a| (*a).to_owned()).collect();
        pass_on(call, headers, &allowed).params.get("_meta").expect("_meta").to_string()
    }

    #[test]
    fn the_message_says_what_a_call_is_a_part_of_and_the_request_is_beside_it() {
        let message = call(&format!(r#""traceparent":"{PARENT}","tracestate":"a=1""#));
        let found = incoming(&message, &headers(&[("traceparent", OTHER)]));
        assert_eq!(
            found.parent.map(|p| (p.traceparent(), p.state)),
            Some((PARENT.into(), Some("a=1".into())))
        );
        assert_eq!(found.ambient.map(|a| a.traceparent()).as_deref(), Some(OTHER));
        let same = incoming(&message, &headers(&[("traceparent", PARENT)]));
        assert_eq!(same.ambient, None);
    }

    #[test]
    fn headers_count_where_the_message_says_nothing_that_can_be_read() {
        let request = headers(&[("traceparent", OTHER)]);
        for message in ["", r#""traceparent":7"#, r#""traceparent":"00-zz""#] {
            let found = incoming(&call(message), &request);
            assert_eq!(found.parent.map(|p| p.traceparent()).as_deref(), Some(OTHER), "{message}");
        }
        assert_eq!(incoming(&call(""), &headers(&[])), Incoming::default());
        let mut twice = headers(&[("traceparent", OTHER)]);
        twice.append("traceparent", http::HeaderValue::from_static(PARENT));
        assert_eq!(incoming(&call(""), &twice).parent, None);
    }

    #[test]
    fn a_call_that_says_nothing_goes_on_as_it_came() {
        let call = call(r#""x":1"#);
        assert!(matches!(pass_on(&call, &headers(&[]), &[]), Cow::Borrowed(_)));
        let with = format!(r#""traceparent":"{PARENT}""#);
        let call = self::call(&with);
        assert!(matches!(pass_on(&call, &headers(&[]), &[]), Cow::Borrowed(_)));
    }

    #[test]
    fn a_context_in_headers_alone_goes_on_in_the_message() {
        let headers = headers(&[("traceparent", PARENT), ("tracestate", "a=1"), ("baggage", "u=1")]);
        let want = format!(r#"{{"x":1,"traceparent":"{PARENT}","tracestate":"a=1"}}"#);
        assert_eq!(sent(&call(r#""x":1"#), &headers, &[]), want);
    }

    #[test]
    fn baggage_stays_here_but_for_what_is_allowed() {
        let call = call(r#""x":1,"baggage":"user=alice, tier=gold;p=1,n=DF%2C8""#);
        assert_eq!(sent(&call, &headers(&[]), &[]), r#"{"x":1}"#);
        assert_eq!(sent(&call, &headers(&[]), &["tier"]), r#"{"x":1,"baggage":"tier=gold;p=1"}"#);
        assert_eq!(sent(&call, &headers(&[]), &["n", "user"]), r#"{"x":1,"baggage":"user=alice,n=DF%2C8"}"#);
        let long = format!(r#""baggage":"a={}""#, "x".repeat(8_192));
        assert_eq!(sent(&self::call(&long), &headers(&[]), &["a"]), "{}");
    }

    #[test]
    fn baggage_in_headers_goes_on_where_it_is_allowed() {
        let headers = headers(&[("baggage", "a=1,b=2")]);
        assert_eq!(sent(&call(""), &headers, &["b"]), r#"{"baggage":"b=2"}"#);
        assert_eq!(sent(&call(r#""baggage":"c=3""#), &headers, &["b"]), "{}");
    }
}
