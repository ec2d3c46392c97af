//! Results, errors and notifications for a legacy client.

use protocol::json::{Edit, Kind, Object};
use protocol::latest::meta;
use protocol::{Era, Method, Raw, Revision, code};

use crate::translate::splice::{empty, integer, map_items, meta_without, object};
use crate::translate::{content, tool};

/// A `complete` result of a modern server for a client of this revision.
///
/// Takes out what only 2026-07-28 means (`resultType`, caching hints, `serverInfo`) and what the revision
/// cannot say; see `docs/bridging.md`. Content is looked into only where the revision lacks a kind of block.
/// A result that asks (`input_required`) is not one for this function: its questions go through
/// [`super::question`].
#[must_use]
pub fn result(method: &Method, to: Revision, result: Raw) -> Raw {
    if to.era() == Era::Modern {
        return result;
    }
    let Some(came) = object(&result) else { return result };
    let mut edit = came.edit().remove("resultType").put("_meta", meta_without(&came, &[meta::SERVER_INFO]));
    if method.cacheable() {
        edit = edit.remove("ttlMs").remove("cacheScope");
    }
    let edit = match method {
        Method::ToolsCall | Method::TasksResult => call_result(to, &came, edit),
        Method::ToolsList => {
            let tools = came.get("tools");
            edit.put("tools", tools.map(|list| map_items(&list, |_, item| tool::down(to, item))))
        }
        Method::PromptsGet => {
            let messages = came.get("messages");
            edit.put("messages", messages.map(|list| map_items(&list, |at, m| prompt_message(to, at, m))))
        }
        _ => edit,
    };
    edit.finish()
}

/// Until 2025-03-26 there is no structured content, until 2025-11-25 it is an object. What cannot be said in
/// structure is said in text.
fn call_result<'a>(to: Revision, came: &'a Object, edit: Edit<'a>) -> Edit<'a> {
    let structured = to.features().structured;
    let lost = came.get("structuredContent").filter(|value| !structured || value.kind() != Kind::Object);
    let mut blocks = came.get("content");
    if let Some(lost) = &lost {
        blocks = Some(content::with_text(blocks.as_ref(), lost));
    }
    let edit = edit.put("content", blocks.map(|blocks| content::blocks(to, &blocks)));
    if lost.is_some() { edit.remove("structuredContent") } else { edit }
}

fn prompt_message(to: Revision, at: usize, message: &Raw) -> Option<Raw> {
    if to.features().structured {
        return None;
    }
    let message = object(message)?;
    let block = content::block(to, at, &message.get("content")?)?;
    Some(message.edit().set("content", block).finish())
}

/// An error of a modern server or of the gateway for a client of this revision.
///
/// * -32602 that names a resource becomes -32002, the code for a resource that is not there up to 2025-11-25.
/// * -32022 and -32021 become -32602, which legacy revisions use for a version or capability that does not
///   fit.
/// * -32020 becomes -32603: a legacy client sends no headers that could be wrong, so it is not the one to
///   mend it.
///
/// Message and data stay, and so does every other code, the gateway's own included.
#[must_use]
pub fn error(method: &Method, to: Revision, error: Raw) -> Raw {
    if to.era() == Era::Modern {
        return error;
    }
    let Some(came) = object(&error) else { return error };
    let new = match came.get("code").and_then(|c| c.as_i64()) {
        Some(code::INVALID_PARAMS) if is_about_resource(method) && names_uri(&came) => {
            code::RESOURCE_NOT_FOUND_LEGACY
        }
        Some(code::UNSUPPORTED_VERSION | code::MISSING_CAPABILITY) => code::INVALID_PARAMS,
        Some(code::HEADER_MISMATCH) => code::INTERNAL,
        _ => return error,
    };
    came.edit().set("code", integer(new)).finish()
}

fn is_about_resource(method: &Method) -> bool {
    matches!(method, Method::ResourcesRead | Method::Subscribe | Method::Unsubscribe)
}

fn names_uri(error: &Object) -> bool {
    error.get("data").as_ref().and_then(object).is_some_and(|data| data.has("uri"))
}

/// The parameters of a notification for a client of this revision. `None`: it has no place there.
///
/// Absent parameters become `{}`, which means the same in every revision.
#[must_use]
pub fn notification(to: Revision, method: &Method, params: Option<&Raw>) -> Option<Raw> {
    let features = to.features();
    match method {
        // A modern server cancels nothing but its listen streams, and a legacy client has none.
        Method::Cancelled | Method::Acknowledged | Method::TaskChanged => return None,
        Method::Initialized | Method::RootsChanged => return None,
        Method::TaskStatus if !features.tasks => return None,
        Method::ElicitComplete if !features.url_elicitation => return None,
        _ => {}
    }
    let Some(params) = params else { return Some(empty()) };
    let Some(came) = object(params) else { return Some(params.clone()) };
    let mut edit = came.edit().put("_meta", meta_without(&came, &[meta::SUBSCRIPTION_ID]));
    if *method == Method::Progress && !features.progress_message {
        edit = edit.remove("message");
    }
    Some(edit.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::testing::{LEGACY, line};

    fn results(method: &Method, text: &'static str) -> [String; 4] {
        LEGACY.map(|to| result(method, to, Raw::literal(text)).to_string())
    }

    #[test]
    fn what_only_the_modern_revision_means_is_taken_out_of_every_result() {
        let list = line(
            r#"{"resultType":"complete","prompts":[],"nextCursor":"","ttlMs":5,
            "cacheScope":"public","x":1.0,
            "_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}}}"#,
        );
        let want = r#"{"prompts":[],"nextCursor":"","x":1.0}"#;
        for method in
            [Method::PromptsList, Method::ResourcesList, Method::TemplatesList, Method::ResourcesRead]
        {
            assert_eq!(results(&method, list), [want; 4]);
        }
        let call = line(
            r#"{"resultType":"complete","content":[],"ttlMs":5,"_meta":{"a.b/c":1,
            "io.modelcontextprotocol/serverInfo":{}}}"#,
        );
        let want = r#"{"content":[],"ttlMs":5,"_meta":{"a.b/c":1}}"#;
        assert_eq!(
            results(&Method::ToolsCall, call),
            [want; 4],
            "a call's result has no caching hints to lose"
        );
    }

    #[test]
    fn a_result_that_needs_no_change_is_the_same_memory() {
        let text = line(
            r#"{"content":[ {"type":"resource_link","uri":"a:b","name":"n"} ],
            "structuredContent":{"a" : 1.0},"_meta":{},"isError":false}"#,
        );
        for to in [Revision::V2025_06_18, Revision::V2025_11_25, Revision::V2026_07_28] {
            let raw = Raw::literal(text);
            let out = result(&Method::ToolsCall, to, raw.clone());
            assert_eq!(out.as_bytes().as_ptr(), raw.as_bytes().as_ptr(), "{to}");
        }
        for text in ["[]", "null", r#"{"a":1,"a":2,"resultType":"complete"}"#] {
            assert_eq!(results(&Method::ToolsCall, text), [text; 4]);
        }
    }

    #[test]
    fn structured_content_becomes_text_where_it_cannot_be_said() {
        let object = r#"{"content":[],"structuredContent":{"a": 1.0}}"#;
        let as_text = r#"{"content":[{"type":"text","text":"{\"a\": 1.0}"}]}"#;
        assert_eq!(results(&Method::ToolsCall, object), [as_text, as_text, object, object]);
        let list = r#"{"structuredContent":[1 , 2],"isError":true}"#;
        let as_text = r#"{"isError":true,"content":[{"type":"text","text":"[1 , 2]"}]}"#;
        assert_eq!(results(&Method::ToolsCall, list), [as_text; 4]);
        let null = r#"{"content":[{"type":"image","data":"","mimeType":"i/p"}],"structuredContent":null}"#;
        let as_text =
            r#"{"content":[{"type":"image","data":"","mimeType":"i/p"},{"type":"text","text":"null"}]}"#;
        assert_eq!(results(&Method::ToolsCall, null), [as_text; 4]);
    }

    #[test]
    fn text_that_the_server_gave_is_not_doubled_but_a_link_is_no_such_text() {
        let told = r#"{"content":[{"type":"text","text":"two"}],"structuredContent":[1,2]}"#;
        assert_eq!(results(&Method::ToolsCall, told), [r#"{"content":[{"type":"text","text":"two"}]}"#; 4]);
        let link =
            r#"{"content":[{"type":"resource_link","uri":"a:b","name":"n"}],"structuredContent":{"a":1}}"#;
        let want = r#"{"content":[{"type":"text","text":"n: a:b"},{"type":"text","text":"{\"a\":1}"}]}"#;
        assert_eq!(results(&Method::ToolsCall, link), [want, want, link, link]);
    }

    #[test]
    fn prompts_lose_the_kinds_of_blocks_that_the_revision_lacks() {
        let prompt = line(
            r#"{"messages":[{"role":"user","content":{"type":"text","text":"t"}},{"role":"user",
            "content":{"type":"audio","data":"","mimeType":"a/w"}},{"role":"user",
            "content":{"type":"resource_link","uri":"a:b","name":"n"}}]}"#,
        );
        let [first, second, third, fourth] = results(&Method::PromptsGet, prompt);
        let oldest = line(
            r#"{"messages":[{"role":"user","content":{"type":"text","text":"t"}},{"role":"user",
            "content":{"type":"resource","resource":{"uri":"tidegate:audio/1","mimeType":"a/w","blob":""}}},
            {"role":"user","content":{"type":"text","text":"n: a:b"}}]}"#,
        );
        assert_eq!(first, oldest);
        assert!(second.contains(r#""content":{"type":"audio""#) && second.contains("n: a:b"), "{second}");
        assert_eq!([third, fourth], [prompt; 2]);
    }

    #[test]
    fn tools_are_translated_one_by_one() {
        let list = line(
            r#"{"tools":[{"name":"a","inputSchema":{"type":"object"}},{"name":"b",
            "inputSchema":{"type":"object"},"outputSchema":{"type":"array"},"x":1}],"ttlMs":0,
            "cacheScope":"private"}"#,
        );
        let want = line(
            r#"{"tools":[{"name":"a","inputSchema":{"type":"object"}},{"name":"b",
            "inputSchema":{"type":"object"},"x":1}]}"#,
        );
        assert_eq!(results(&Method::ToolsList, list), [want; 4]);
    }

    #[test]
    fn errors_get_the_code_that_the_revision_has_for_them() {
        let missing = r#"{"code":-32602,"message":"m","data":{"uri":"a:b","x":1.0}}"#;
        for to in LEGACY {
            let told =
                |method: &Method, text: &'static str| error(method, to, Raw::literal(text)).to_string();
            let want = r#"{"code":-32002,"message":"m","data":{"uri":"a:b","x":1.0}}"#;
            assert_eq!(told(&Method::ResourcesRead, missing), want);
            assert_eq!(told(&Method::Subscribe, missing), want);
            assert_eq!(told(&Method::ToolsCall, missing), missing);
            let params = r#"{"code":-32602,"message":"m"}"#;
            assert_eq!(told(&Method::ResourcesRead, params), params);
            for (came, want) in [
                (r#"{"code":-32022,"message":"m","data":{}}"#, r#"{"code":-32602,"message":"m","data":{}}"#),
                (r#"{"code":-32021,"message":"m"}"#, r#"{"code":-32602,"message":"m"}"#),
                (r#"{"code":-32020,"message":"m"}"#, r#"{"code":-32603,"message":"m"}"#),
                (r#"{"code":-31001,"message":"m"}"#, r#"{"code":-31001,"message":"m"}"#),
                (r#"{"code":1e3}"#, r#"{"code":1e3}"#),
                ("7", "7"),
            ] {
                assert_eq!(told(&Method::ToolsCall, came), want);
            }
        }
        let modern = Raw::literal(missing);
        assert_eq!(error(&Method::ResourcesRead, Revision::V2026_07_28, modern.clone()), modern);
    }

    #[test]
    fn notifications_lose_the_subscription_and_what_the_revision_lacks() {
        let progress = Raw::literal(line(
            r#"{"progressToken":"t","progress": 1.0,"message":"m","x":1,
                "_meta":{"io.modelcontextprotocol/subscriptionId":7}}"#,
        ));
        let told =
            LEGACY.map(|to| notification(to, &Method::Progress, Some(&progress)).expect("told").to_string());
        let bare = r#"{"progressToken":"t","progress": 1.0,"x":1}"#;
        let with = r#"{"progressToken":"t","progress": 1.0,"message":"m","x":1}"#;
        assert_eq!(told, [bare, with, with, with]);
        let log = Raw::literal(r#"{"level":"info","message":"m","data":1,"_meta":{"a.b/c":1}}"#);
        for to in LEGACY {
            assert_eq!(notification(to, &Method::LogMessage, Some(&log)), Some(log.clone()));
            assert_eq!(notification(to, &Method::ToolsChanged, None), Some(empty()));
            let other = Method::Other("notifications/vendor".into());
            assert_eq!(notification(to, &other, Some(&log)), Some(log.clone()));
        }
    }

    #[test]
    fn notifications_without_a_place_in_the_revision_are_not_told() {
        let params = Raw::literal("{}");
        for to in LEGACY {
            for method in [
                Method::Acknowledged,
                Method::Cancelled,
                Method::TaskChanged,
                Method::RootsChanged,
                Method::Initialized,
            ] {
                assert_eq!(notification(to, &method, Some(&params)), None, "{to} {method}");
            }
        }
        for method in [Method::TaskStatus, Method::ElicitComplete] {
            let told = LEGACY.map(|to| notification(to, &method, Some(&params)).is_some());
            assert_eq!(told, [false, false, false, true], "{method}");
        }
    }
}
