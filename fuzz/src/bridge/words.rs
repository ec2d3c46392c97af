//! The translations alone.

use bridge::translate::{down, up};
use protocol::json::{Kind, Object};
use protocol::latest::meta;
use protocol::{Method, Raw, Revision};

use super::Start;
use crate::json::{assert_json, assert_kept, object, raw};

/// Each line is a value that goes through every translation, as if it were a result, an error, parameters of
/// a request and of a notification.
///
/// * Only the members that `docs/bridging.md` names change; all others have the same bytes and order, in the
///   value itself, its `_meta`, its tools, and its blocks of content.
/// * Between modern peers nothing changes, and what was translated once does not change the second time.
/// * A result that goes from a legacy server to a client of the same revision keeps what both know.
/// * Everything that comes out is JSON.
pub(super) fn run(start: &Start<'_>, lines: &[&str]) {
    for value in lines.iter().filter_map(|line| raw(line)) {
        let (method, revision) = (&start.method, start.revision);
        modern(method, &value);
        result_down(method, revision, &value);
        result_up(method, revision, &value);
        errors(method, revision, &value);
        requests(method, revision, &value);
        notifications(method, revision, &value);
        questions(method, revision, &value);
        handshake(revision, &value);
    }
}

const HINTS: [&str; 2] = ["ttlMs", "cacheScope"];

fn modern(method: &Method, value: &Raw) {
    let newest = Revision::NEWEST;
    assert_eq!(&down::result(method, newest, value.clone()), value);
    assert_eq!(&up::result(method, newest, value.clone()), value);
    assert_eq!(&down::error(method, newest, value.clone()), value);
    assert_eq!(&up::error(method, newest, value.clone()), value);
    if let Some(params) = object(value) {
        assert_eq!(&up::params(newest, method, &params), value);
    }
}

fn result_down(method: &Method, to: Revision, value: &Raw) {
    let out = down::result(method, to, value.clone());
    assert_json(&out);
    let Some((before, after)) = both(value, &out) else {
        assert_eq!(value, &out, "what is no object changed");
        return;
    };
    let legacy = to != Revision::NEWEST;
    let mut may_change = vec!["resultType", "_meta"];
    may_change.extend(HINTS.iter().filter(|_| method.cacheable()));
    match method {
        Method::ToolsCall | Method::TasksResult => may_change.extend(["content", "structuredContent"]),
        Method::ToolsList => may_change.push("tools"),
        Method::PromptsGet => may_change.push("messages"),
        _ => {}
    }
    assert_kept(&before, &after, &may_change);
    assert_meta(&before, &after, &[meta::SERVER_INFO]);
    assert!(!(legacy && after.has("resultType")), "a result type for a legacy client");
    let structured = after.get("structuredContent").filter(|_| *method == Method::ToolsCall && legacy);
    let fits = structured.is_none_or(|s| to.features().structured && s.kind() == Kind::Object);
    assert!(fits, "structured content that {to} does not have");
    if matches!(method, Method::ToolsCall | Method::TasksResult) {
        assert_blocks(to, before.get("content").as_ref(), after.get("content").as_ref());
    }
    if *method == Method::ToolsList {
        let may_change = ["inputSchema", "outputSchema", "execution"];
        assert_items(before.get("tools").as_ref(), after.get("tools").as_ref(), &may_change);
    }
    assert_eq!(down::result(method, to, out.clone()), out, "translated twice");
}

fn result_up(method: &Method, from: Revision, value: &Raw) {
    let out = up::result(method, from, value.clone());
    assert_json(&out);
    let Some((before, after)) = both(value, &out) else {
        assert_eq!(value, &out, "what is no object changed");
        return;
    };
    let mut may_change = vec!["resultType"];
    may_change.extend(HINTS.iter().filter(|_| method.cacheable()));
    match method {
        Method::ToolsCall if before.get("content").is_none_or(|c| c.is_null()) => may_change.push("content"),
        Method::ToolsList => may_change.push("tools"),
        Method::Complete => may_change.push("completion"),
        _ => {}
    }
    assert_kept(&before, &after, &may_change);
    if from != Revision::NEWEST {
        let complete = Some(Raw::literal("\"complete\""));
        assert_eq!(after.get("resultType"), complete, "a legacy result is complete");
        assert!(!method.cacheable() || HINTS.iter().all(|hint| after.has(hint)), "hints are missing");
    }
    if *method == Method::ToolsList {
        assert_items(before.get("tools").as_ref(), after.get("tools").as_ref(), &["inputSchema"]);
    }
    assert_eq!(up::result(method, from, out.clone()), out, "translated twice");
    // And on to a legacy client.
    let told = down::result(method, from, out.clone());
    if let Some(told) = object(&told) {
        let mut lost = may_change;
        lost.extend(["_meta", "content", "structuredContent", "tools", "messages"]);
        assert_kept(&before, &told, &lost);
    }
}

fn errors(method: &Method, revision: Revision, value: &Raw) {
    for out in [
        down::error(method, revision, value.clone()),
        up::error(method, revision, value.clone()),
        up::missing_resource(value.clone(), &Raw::literal("\"a:b\"")),
    ] {
        assert_json(&out);
        match both(value, &out) {
            Some((before, after)) => assert_kept(&before, &after, &["code", "data"]),
            None => assert_eq!(value, &out, "what is no object changed"),
        }
        let data = |raw: &Raw| raw.get("data").as_ref().and_then(object);
        if let (Some(before), Some(after)) = (data(value), data(&out)) {
            assert_kept(&before, &after, if before.has("uri") { &[] } else { &["uri"] });
        }
    }
    if let Some(questions) = up::url_questions(method, revision, value) {
        questions.iter().for_each(assert_json);
    }
}

/// The entries of `_meta` that a modern request says about itself.
const SAID: [&str; 4] =
    [meta::PROTOCOL_VERSION, meta::CLIENT_CAPABILITIES, meta::CLIENT_INFO, meta::LOG_LEVEL];
/// What belongs to questions and answers.
const ASKING: [&str; 2] = ["inputResponses", "requestState"];

fn requests(method: &Method, revision: Revision, value: &Raw) {
    let Some(before) = object(value) else { return };
    let mut may_change = vec!["_meta"];
    may_change.extend(ASKING.iter().filter(|_| method.may_ask()));
    may_change.extend(["context"].iter().filter(|_| *method == Method::Complete));
    let sent = up::params(revision, method, &before);
    assert_json(&sent);
    let after = object(&sent).expect("parameters are an object");
    assert_kept(&before, &after, &may_change);
    assert_meta(&before, &after, &SAID);
    assert_eq!(up::params(revision, method, &after), sent, "translated twice");

    let about = down::CallMeta { capabilities: &Raw::literal("{}"), client_info: None, log_level: None };
    let made = down::call(method, Some(value), about);
    assert_json(&made);
    let after = object(&made).expect("parameters are an object");
    assert_kept(&before, &after, &may_change);
    assert_meta(&before, &after, &SAID);
    assert!(ASKING.iter().all(|name| !method.may_ask() || !after.has(name)), "answers of a legacy client");
    // And on to a legacy server: what the client sent comes out, but for what only the modern era means.
    let on = object(&up::params(revision, method, &after)).expect("parameters are an object");
    assert_kept(&before, &on, &may_change);
    if revision != Revision::NEWEST {
        assert_meta(&before, &on, &SAID);
    }
}

fn notifications(method: &Method, revision: Revision, value: &Raw) {
    let passed =
        [down::notification(revision, method, Some(value)), up::notification(revision, method, Some(value))];
    for out in passed.into_iter().flatten() {
        assert_json(&out);
        let Some((before, after)) = both(value, &out) else {
            assert_eq!(value, &out, "what is no object changed");
            continue;
        };
        let progress = *method == Method::Progress;
        assert_kept(&before, &after, if progress { &["_meta", "message"] } else { &["_meta"] });
        assert_meta(&before, &after, &[meta::SUBSCRIPTION_ID]);
        let entries = after.get("_meta").as_ref().and_then(object);
        let modern = revision == Revision::NEWEST;
        let told = entries.is_some_and(|entries| entries.has(meta::SUBSCRIPTION_ID));
        assert!(modern || !told, "a subscription id of another hop");
    }
}

fn questions(method: &Method, revision: Revision, value: &Raw) {
    if let Some(entry) = up::question(revision, method, Some(value)) {
        assert_json(&entry);
        let params = entry.get("params").as_ref().and_then(object).expect("parameters");
        let before = object(value).expect("a question has parameters");
        let elicit = *method == Method::Elicit;
        let may_change: &[&str] =
            if elicit { &["task", "_meta", "mode", "elicitationId"] } else { &["task", "_meta"] };
        assert_kept(&before, &params, may_change);
    }
    if let Ok((_, params)) = down::question(revision, value, &Raw::literal("\"id\"")) {
        assert_json(&params);
        assert!(object(&params).is_some(), "parameters that are no object");
        let before = value.get("params").as_ref().and_then(object).unwrap_or_else(Object::empty);
        let after = object(&params).expect("checked");
        let may_change =
            ["task", "_meta", "mode", "elicitationId", "requestedSchema", "messages", "tools", "toolChoice"];
        assert_kept(&before, &after, &may_change);
    }
    let asked = up::answer(revision, method, value);
    assert_json(&asked);
    if let Some((before, after)) = both(value, &asked) {
        assert_kept(&before, &after, &["content"]);
    }
    for response in [Ok(value.clone()), Err(value.clone())] {
        match down::answer(method, revision, response) {
            Ok(answer) => assert!(object(&answer).is_some(), "an answer that is no object"),
            Err(error) => assert_json(&error.to_raw()),
        }
    }
}

fn handshake(revision: Revision, value: &Raw) {
    let info = Raw::literal(r#"{"name":"n","version":"1"}"#);
    let declared = down::client_capabilities(revision, value);
    assert_json(&declared);
    assert_eq!(down::client_capabilities(revision, &declared), declared, "declared twice");
    let told = down::initialize_result(revision, value, &info, None, None);
    let found = up::discover(revision, value);
    for out in [&told, &found, &up::initialize_params(revision, value, &info)] {
        assert_json(out);
        assert!(object(out).is_some(), "a handshake that is no object");
    }
    if let Some(before) = object(value) {
        let ours = ["resultType", "supportedVersions", "capabilities", "ttlMs", "cacheScope", "_meta"];
        let may_change = [&ours[..], &["protocolVersion", "serverInfo"]].concat();
        assert_kept(&before, &object(&told).expect("checked"), &may_change);
        assert_kept(&before, &object(&found).expect("checked"), &may_change);
    }
}

/// Both, where both are objects.
fn both(before: &Raw, after: &Raw) -> Option<(Object, Object)> {
    Some((object(before)?, object(after)?))
}

/// Of `_meta` only these entries changed, and it is gone only if nothing else was in it.
fn assert_meta(before: &Object, after: &Object, may_change: &[&str]) {
    let entries = |of: &Object| of.get("_meta").as_ref().and_then(object);
    match (entries(before), entries(after)) {
        (Some(before), Some(after)) => assert_kept(&before, &after, may_change),
        (Some(before), None) => assert_kept(&before, &Object::empty(), may_change),
        (None, _) => {}
    }
}

/// The same items in the same order; of those that are objects only these members changed.
fn assert_items(before: Option<&Raw>, after: Option<&Raw>, may_change: &[&str]) {
    let (Some(before), Some(after)) = (before, after) else {
        assert_eq!(before, after, "a list came or went");
        return;
    };
    let (Some(before), Some(after)) = (before.items(), after.items()) else {
        assert_eq!(before, after, "what is no list changed");
        return;
    };
    assert_eq!(before.len(), after.len(), "items came or went");
    for (before, after) in before.iter().zip(&after) {
        match both(before, after) {
            Some((before, after)) => assert_kept(&before, &after, may_change),
            None => assert_eq!(before, after, "an item that is no object changed"),
        }
    }
}

/// The blocks that were there are still there; those that every revision has did not change.
fn assert_blocks(to: Revision, before: Option<&Raw>, after: Option<&Raw>) {
    let (Some(before), Some(after)) = (before.and_then(Raw::items), after.and_then(Raw::items)) else {
        return;
    };
    assert!(before.len() <= after.len(), "a block is gone");
    for (before, after) in before.iter().zip(&after) {
        let kind = before.get("type");
        let kind = kind.as_ref().and_then(Raw::as_str);
        let newer = matches!(kind.as_deref(), Some("audio" | "resource_link")) && !to.features().structured;
        assert!(newer || before == after, "{before} changed to {after}");
    }
}
