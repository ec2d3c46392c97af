//! Results, errors and notifications of a legacy server.

use protocol::json::{Edit, Object, array};
use protocol::latest::meta;
use protocol::{Era, Method, Raw, Revision, code};

use crate::translate::splice::{empty, integer, map_items, meta_without, object};
use crate::translate::{content, tool};

/// The most values that an answer to `completion/complete` holds (server/utilities/completion).
const COMPLETIONS_MAX: usize = 100;

/// A legacy server's result as a modern one.
///
/// It is always `complete`: legacy revisions have no other kind, and what a server writes there itself cannot
/// mean the modern one. Caching hints are "do not keep" unless the server gave valid ones. Shapes that the
/// legacy revisions tolerated are completed; see `docs/bridging.md`. What is no object comes back as it is:
/// the caller answers -31005.
#[must_use]
pub fn result(method: &Method, from: Revision, result: Raw) -> Raw {
    if from.era() == Era::Modern {
        return result;
    }
    let Some(came) = object(&result) else { return result };
    let mut edit = came.edit().set("resultType", Raw::literal("\"complete\""));
    if method.cacheable() {
        edit = with_hints(&came, edit);
    }
    let edit = match method {
        Method::ToolsCall => edit.put("content", call_content(from, &came)),
        Method::ToolsList => {
            let tools = came.get("tools");
            edit.put("tools", tools.map(|list| map_items(&list, |_, item| tool::up(item))))
        }
        Method::Complete => edit.put("completion", came.get("completion").map(completion)),
        _ => edit,
    };
    edit.finish()
}

fn with_hints<'a>(came: &'a Object, edit: Edit<'a>) -> Edit<'a> {
    let ttl = came.get("ttlMs").filter(|ttl| ttl.as_i64().is_some_and(|ms| ms >= 0));
    let scope = came
        .get("cacheScope")
        .filter(|scope| scope.as_str().is_some_and(|s| matches!(&*s, "public" | "private")));
    edit.set("ttlMs", ttl.unwrap_or_else(|| integer(0)))
        .set("cacheScope", scope.unwrap_or_else(|| Raw::literal("\"private\"")))
}

/// The content of a call's result, which the modern revision demands. A task that was created has none.
///
/// `toolResult` is how servers answered before the first release; some still do.
fn call_content(from: Revision, came: &Object) -> Option<Raw> {
    let content = came.get("content").filter(|content| !content.is_null());
    if content.is_some() || came.get("task").as_ref().and_then(object).is_some() {
        return content;
    }
    let before = came.get("toolResult").filter(|_| from == Revision::V2024_11_05);
    match came.get("structuredContent").or(before) {
        Some(value) => Some(content::with_text(None, &value)),
        None => Some(Raw::literal("[]")),
    }
}

fn completion(came: Raw) -> Raw {
    let Some(fields) = object(&came) else { return came };
    match fields.get("values").as_ref().and_then(Raw::items) {
        Some(values) if values.len() > COMPLETIONS_MAX => fields
            .edit()
            .set("values", array(&values[..COMPLETIONS_MAX]))
            .set("hasMore", Raw::literal("true"))
            .finish(),
        _ => came,
    }
}

/// A legacy server's error as a modern one. Message and data stay.
///
/// * -32002 about a resource becomes -32602; [`missing_resource`] names the resource where the server did
///   not. About anything else it becomes -32000, a number without a meaning.
/// * -32042 that [`super::url_questions`] could not turn into questions becomes -31008 (until 2025-06-18
///   -32000: there it was a number like any other).
/// * -32020, -32021 and -32022 become -32000: a legacy server cannot mean the modern ones, and a modern
///   client would act on them.
#[must_use]
pub fn error(method: &Method, from: Revision, error: Raw) -> Raw {
    if from.era() == Era::Modern {
        return error;
    }
    let Some(came) = object(&error) else { return error };
    let about_resource = || {
        *method == Method::ResourcesRead
            || came.get("data").as_ref().and_then(object).is_some_and(|d| d.has("uri"))
    };
    let new = match came.get("code").and_then(|c| c.as_i64()) {
        Some(code::RESOURCE_NOT_FOUND_LEGACY) if about_resource() => code::INVALID_PARAMS,
        Some(code::URL_ELICITATION_LEGACY) if from.features().url_elicitation => code::NOT_TRANSLATABLE,
        Some(
            code::RESOURCE_NOT_FOUND_LEGACY
            | code::URL_ELICITATION_LEGACY
            | code::HEADER_MISMATCH
            | code::MISSING_CAPABILITY
            | code::UNSUPPORTED_VERSION,
        ) => code::SERVER_LEGACY,
        _ => return error,
    };
    came.edit().set("code", integer(new)).finish()
}

/// The error of a `resources/read`, as [`error`] gives it, with the URI that was asked for: a modern server's
/// -32602 names it in `data.uri` (server/resources, "Error handling"; SEP-2164), many legacy servers do not.
///
/// The URI is the only parameter of that request, so any -32602 is about it. `uri` is a string; data that the
/// server sent stays, and where they are no object they are left alone.
#[must_use]
pub fn missing_resource(error: Raw, uri: &Raw) -> Raw {
    let Some(came) = object(&error) else { return error };
    if came.get("code").and_then(|c| c.as_i64()) != Some(code::INVALID_PARAMS) {
        return error;
    }
    let data = match came.get("data") {
        None => Object::empty(),
        Some(data) if data.is_null() => Object::empty(),
        Some(data) => match object(&data) {
            Some(data) => data,
            None => return error,
        },
    };
    if data.has("uri") {
        return error;
    }
    came.edit().set("data", data.edit().set("uri", uri.clone()).finish()).finish()
}

/// The parameters of a legacy server's notification as those of a modern one. `None`: it has no place there.
///
/// Absent parameters become `{}`, which means the same. `notifications/tasks/status` passes as it is and is
/// for clients of 2025-11-25 alone. Whoever waits for `notifications/cancelled` of a server's question, or
/// for `notifications/elicitation/complete`, looks at it before.
#[must_use]
pub fn notification(from: Revision, method: &Method, params: Option<&Raw>) -> Option<Raw> {
    match method {
        Method::Cancelled | Method::ElicitComplete => return None,
        // Modern ones and a client's, which no legacy server can mean.
        Method::Acknowledged | Method::TaskChanged | Method::Initialized | Method::RootsChanged => {
            return None;
        }
        Method::TaskStatus if !from.features().tasks => return None,
        _ => {}
    }
    let Some(params) = params else { return Some(empty()) };
    let Some(came) = object(params) else { return Some(params.clone()) };
    Some(came.edit().put("_meta", meta_without(&came, &[meta::SUBSCRIPTION_ID])).finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::testing::{LEGACY, line};

    fn results(method: &Method, text: &'static str) -> [String; 4] {
        LEGACY.map(|from| result(method, from, Raw::literal(text)).to_string())
    }

    #[test]
    fn results_are_complete_and_lists_are_not_to_be_kept() {
        let list = r#"{"prompts":[ ],"nextCursor":"","x":1.0,"_meta":{"a.b/c":1}}"#;
        let want = line(
            r#"{"prompts":[ ],"nextCursor":"","x":1.0,"_meta":{"a.b/c":1},"resultType":"complete",
            "ttlMs":0,"cacheScope":"private"}"#,
        );
        for method in
            [Method::PromptsList, Method::ResourcesList, Method::TemplatesList, Method::ResourcesRead]
        {
            assert_eq!(results(&method, list), [want; 4]);
        }
        let want = r#"{"prompts":[ ],"nextCursor":"","x":1.0,"_meta":{"a.b/c":1},"resultType":"complete"}"#;
        for method in [Method::PromptsGet, Method::Complete, Method::TasksGet, Method::Other("v/x".into())] {
            assert_eq!(results(&method, list), [want; 4]);
        }
        for odd in ["null", "[]", r#"{"a":1,"a":2}"#] {
            assert_eq!(results(&Method::ToolsCall, odd), [odd; 4]);
        }
        let modern = Raw::literal("{}");
        assert_eq!(result(&Method::ToolsCall, Revision::V2026_07_28, modern.clone()), modern);
    }

    #[test]
    fn hints_count_where_they_are_valid_and_a_result_type_never_does() {
        let fine = r#"{"resultType":"input_required","ttlMs":5,"cacheScope":"public","tools":[]}"#;
        let want = r#"{"resultType":"complete","ttlMs":5,"cacheScope":"public","tools":[]}"#;
        assert_eq!(results(&Method::ToolsList, fine), [want; 4]);
        let odd = r#"{"ttlMs":-5,"cacheScope":"galaxy","tools":[]}"#;
        let want = r#"{"ttlMs":0,"cacheScope":"private","tools":[],"resultType":"complete"}"#;
        assert_eq!(results(&Method::ToolsList, odd), [want; 4]);
    }

    #[test]
    fn a_call_without_content_gets_the_content_that_its_result_has() {
        let whole = r#"{"content":[ {"type":"text","text":"t"}],"resultType":"complete"}"#;
        assert_eq!(results(&Method::ToolsCall, r#"{"content":[ {"type":"text","text":"t"}]}"#), [whole; 4]);
        let structured = r#"{"structuredContent":{"a": 1.0}}"#;
        let want = line(
            r#"{"structuredContent":{"a": 1.0},"resultType":"complete","content":[{"type":"text",
            "text":"{\"a\": 1.0}"}]}"#,
        );
        assert_eq!(results(&Method::ToolsCall, structured), [want; 4]);
        let nothing = r#"{"content":null,"resultType":"complete"}"#;
        assert_eq!(results(&Method::ToolsCall, nothing), [r#"{"content":[],"resultType":"complete"}"#; 4]);
        let before = r#"{"toolResult":"42"}"#;
        let want =
            r#"{"toolResult":"42","resultType":"complete","content":[{"type":"text","text":"\"42\""}]}"#;
        let empty = r#"{"toolResult":"42","resultType":"complete","content":[]}"#;
        assert_eq!(results(&Method::ToolsCall, before), [want, empty, empty, empty]);
        let task = r#"{"task":{"taskId":"t"}}"#;
        let want = r#"{"task":{"taskId":"t"},"resultType":"complete"}"#;
        assert_eq!(results(&Method::ToolsCall, task), [want; 4], "a task that was created");
    }

    #[test]
    fn tools_and_completions_get_the_shape_that_the_modern_revision_wants() {
        let list = line(
            r#"{"tools":[{"name":"a","inputSchema":{}},{"name":"b","inputSchema":{"type":"object"},
            "execution":{"taskSupport":"optional"}}]}"#,
        );
        let want = line(
            r#"{"tools":[{"name":"a","inputSchema":{"type":"object"}},{"name":"b",
            "inputSchema":{"type":"object"},"execution":{"taskSupport":"optional"}}],
            "resultType":"complete","ttlMs":0,"cacheScope":"private"}"#,
        );
        assert_eq!(results(&Method::ToolsList, list), [want; 4]);
        let values = vec!["\"v\""; 101].join(",");
        let many =
            Raw::from_value(&serde_json::json!({"completion": {"values": vec!["v"; 101], "total": 101}}));
        assert!(many.as_text().contains(&values));
        let cut = result(&Method::Complete, Revision::V2025_06_18, many).to_value();
        assert_eq!(cut["completion"]["values"].as_array().map(Vec::len), Some(100));
        assert_eq!((&cut["completion"]["hasMore"], &cut["completion"]["total"]), (&true.into(), &101.into()));
    }

    #[test]
    fn errors_never_carry_a_code_that_a_modern_server_must_not_send_or_a_legacy_one_cannot_mean() {
        for from in LEGACY {
            let told = |text: &'static str| error(&Method::ToolsCall, from, Raw::literal(text)).to_string();
            let data = r#"{"code":-32602,"message":"m","data":{"uri":"a:b"}}"#;
            assert_eq!(told(r#"{"code":-32002,"message":"m","data":{"uri":"a:b"}}"#), data);
            let read = error(&Method::ResourcesRead, from, Raw::literal(r#"{"code":-32002}"#));
            assert_eq!(read.as_text(), r#"{"code":-32602}"#);
            for text in
                [r#"{"code":-32002}"#, r#"{"code":-32020}"#, r#"{"code":-32021}"#, r#"{"code":-32022}"#]
            {
                assert_eq!(told(text), r#"{"code":-32000}"#);
            }
            for same in
                [r#"{"code":-32602,"message":"m"}"#, r#"{"code":-32000}"#, r#"{"code":5,"x":1.0}"#, "7"]
            {
                assert_eq!(told(same), same);
            }
        }
        let url = LEGACY.map(|from| {
            let came = Raw::literal(r#"{"code":-32042}"#);
            error(&Method::ToolsList, from, came).get("code").and_then(|c| c.as_i64())
        });
        assert_eq!(url, [Some(-32000), Some(-32000), Some(-32000), Some(-31008)]);
    }

    #[test]
    fn a_resource_that_is_not_there_is_named() {
        let uri = Raw::literal("\"a:b\"");
        let named = |text: &'static str| missing_resource(Raw::literal(text), &uri).to_string();
        for (came, want) in [
            (r#"{"code":-32602,"message":"m"}"#, r#"{"code":-32602,"message":"m","data":{"uri":"a:b"}}"#),
            (r#"{"code":-32602,"data":null}"#, r#"{"code":-32602,"data":{"uri":"a:b"}}"#),
            (r#"{"code":-32602,"data":{"x":1.0}}"#, r#"{"code":-32602,"data":{"x":1.0,"uri":"a:b"}}"#),
        ] {
            assert_eq!(named(came), want);
        }
        for same in [
            r#"{"code":-32602,"data":{"uri":"c:d"}}"#,
            r#"{"code":-32602,"data":"text"}"#,
            r#"{"code":-32603}"#,
            "[]",
        ] {
            assert_eq!(named(same), same);
        }
    }

    #[test]
    fn notifications_pass_unless_they_mean_nothing_to_a_modern_client() {
        let params = Raw::literal(r#"{"progressToken":1,"progress": 1.0,"message":"m","_meta":{"a.b/c":1}}"#);
        let marked = Raw::literal(r#"{"uri":"a:b","_meta":{"io.modelcontextprotocol/subscriptionId":1}}"#);
        for from in LEGACY {
            for method in [Method::Progress, Method::LogMessage, Method::Other("notifications/v".into())] {
                assert_eq!(notification(from, &method, Some(&params)), Some(params.clone()));
            }
            let bare = Some(Raw::literal(r#"{"uri":"a:b"}"#));
            assert_eq!(notification(from, &Method::ResourceUpdated, Some(&marked)), bare);
            assert_eq!(notification(from, &Method::ToolsChanged, None), Some(empty()));
            for method in [
                Method::Cancelled,
                Method::ElicitComplete,
                Method::Acknowledged,
                Method::TaskChanged,
                Method::Initialized,
                Method::RootsChanged,
            ] {
                assert_eq!(notification(from, &method, Some(&params)), None, "{method}");
            }
        }
        let status = LEGACY.map(|from| notification(from, &Method::TaskStatus, Some(&params)).is_some());
        assert_eq!(status, [false, false, false, true]);
    }
}
