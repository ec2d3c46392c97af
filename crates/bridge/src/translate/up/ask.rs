//! A legacy server's questions, and the answers to them.

use protocol::json::Object;
use protocol::latest::meta;
use protocol::{Era, Method, Raw, Revision, code};

use crate::translate::sampling;
use crate::translate::splice::{meta_without, object, says, without_null_content};

/// What 2025-11-25 marks the messages of a task with.
const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";

/// A legacy server's request as an entry of `inputRequests`. `None`: it is no question that a modern client
/// knows and the server's revision has, or its parameters are none.
///
/// `elicitationId`, `task` and what belongs to them and to progress go: the answer comes with the retry, and
/// nothing else is told about a question.
#[must_use]
pub fn question(from: Revision, method: &Method, params: Option<&Raw>) -> Option<Raw> {
    let features = from.features();
    let params = match (method, params) {
        (Method::RootsList, None) => return Some(entry(method, None)),
        (Method::Elicit | Method::Sample | Method::RootsList, Some(params)) => object(params)?,
        _ => return None,
    };
    let mut edit = params
        .edit()
        .remove("task")
        .put("_meta", meta_without(&params, &[meta::PROGRESS_TOKEN, RELATED_TASK]));
    if *method == Method::Elicit {
        let by_form = !params.has("mode") || says(&params, "mode", "form");
        if !features.elicitation || !(by_form || features.url_elicitation) {
            return None;
        }
        edit = edit.remove("elicitationId");
        if !params.has("mode") {
            edit = edit.set("mode", Raw::literal("\"form\""));
        }
    }
    Some(entry(method, Some(edit.finish())))
}

fn entry(method: &Method, params: Option<Raw>) -> Raw {
    Object::empty().edit().set("method", Raw::string(method.as_str())).put("params", params).finish()
}

/// The questions that an error -32042 of a 2025-11-25 server stands for, as entries of `inputRequests`.
///
/// The legacy call has ended with that error, so there is nothing to park: the client's retry is a new call.
/// `None`: it is another error, names no URL, or answers a request that cannot ask (`Method::may_ask`); then
/// [`super::error`] has the last word.
#[must_use]
pub fn url_questions(method: &Method, from: Revision, error: &Raw) -> Option<Vec<Raw>> {
    if from.era() == Era::Modern || !from.features().url_elicitation {
        return None;
    }
    let error = object(error)?;
    if !method.may_ask() || error.get("code")?.as_i64() != Some(code::URL_ELICITATION_LEGACY) {
        return None;
    }
    let asked = error.get("data")?.get("elicitations")?.items()?;
    let by_url = |params: &Raw| object(params).is_some_and(|p| says(&p, "mode", "url") && p.has("url"));
    if asked.is_empty() || !asked.iter().all(by_url) {
        return None;
    }
    asked.iter().map(|params| question(from, &Method::Elicit, Some(params))).collect()
}

/// A value of `inputResponses` as the result that a legacy server waits for.
#[must_use]
pub fn answer(to: Revision, method: &Method, value: &Raw) -> Raw {
    let Some(came) = object(value) else { return value.clone() };
    match method {
        Method::Sample => sampling::answer(to, &came),
        Method::Elicit => without_null_content(came.raw()),
        _ => came.raw(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::testing::{LEGACY, line};

    #[test]
    fn a_question_loses_what_belongs_to_sessions_and_tasks() {
        for (method, params, want) in [
            (
                Method::Elicit,
                line(
                    r#"{"message":"?","requestedSchema":{"type":"object","properties":{"a":{"enum":["r"],
                    "enumNames":["R"],"default": 1.0}}},"task":{"ttl":1},"_meta":{"progressToken":1,
                    "io.modelcontextprotocol/related-task":{"taskId":"t"}}}"#,
                ),
                line(
                    r#"{"method":"elicitation/create","params":{"message":"?",
                    "requestedSchema":{"type":"object","properties":{"a":{"enum":["r"],
                    "enumNames":["R"],"default": 1.0}}},"mode":"form"}}"#,
                ),
            ),
            (
                Method::Elicit,
                r#"{"mode":"url","message":"?","url":"https://a.b","elicitationId":"e","_meta":{"a.b/c":1}}"#,
                line(
                    r#"{"method":"elicitation/create","params":{"mode":"url","message":"?",
                    "url":"https://a.b","_meta":{"a.b/c":1}}}"#,
                ),
            ),
            (
                Method::Elicit,
                r#"{"message":"?","mode":"form"}"#,
                r#"{"method":"elicitation/create","params":{"message":"?","mode":"form"}}"#,
            ),
            (
                Method::Sample,
                line(
                    r#"{"messages":[ ],"maxTokens":1.0e2,"tools":[],"elicitationId":"x",
                    "_meta":{"progressToken":1}}"#,
                ),
                line(
                    r#"{"method":"sampling/createMessage","params":{"messages":[ ],"maxTokens":1.0e2,
                    "tools":[],"elicitationId":"x"}}"#,
                ),
            ),
            (Method::RootsList, "{}", r#"{"method":"roots/list","params":{}}"#),
        ] {
            for from in LEGACY {
                let asked = question(from, &method, Some(&Raw::literal(params)));
                let known = match method {
                    Method::Elicit if params.contains("url") => from == Revision::V2025_11_25,
                    Method::Elicit => from >= Revision::V2025_06_18,
                    _ => true,
                };
                assert_eq!(asked, known.then(|| Raw::literal(want)), "{from}");
            }
        }
    }

    #[test]
    fn what_a_modern_client_cannot_be_asked_is_no_question() {
        for from in LEGACY {
            assert_eq!(
                question(from, &Method::RootsList, None).expect("asked").as_text(),
                r#"{"method":"roots/list"}"#
            );
            assert_eq!(question(from, &Method::Elicit, None), None);
            assert_eq!(question(from, &Method::Sample, Some(&Raw::literal(r#"{"a":1,"a":2}"#))), None);
            for method in [Method::Ping, Method::TasksGet, Method::ToolsCall, Method::Other("v/x".into())] {
                assert_eq!(question(from, &method, Some(&Raw::literal("{}"))), None);
            }
        }
    }

    #[test]
    fn a_demand_for_a_url_becomes_questions() {
        let error = Raw::literal(line(
            r#"{"code":-32042,"message":"m","data":{"elicitations":[{"mode":"url",
                "elicitationId":"e","url":"https://a.b","message":"?"}]}}"#,
        ));
        let asked = LEGACY.map(|from| url_questions(&Method::ToolsCall, from, &error));
        let want = Raw::literal(
            r#"{"method":"elicitation/create","params":{"mode":"url","url":"https://a.b","message":"?"}}"#,
        );
        assert_eq!(asked, [None, None, None, Some(vec![want])]);
        assert_eq!(url_questions(&Method::ToolsList, Revision::V2025_11_25, &error), None);
        for odd in [
            r#"{"code":-32041,"data":{"elicitations":[{"mode":"url","url":"u"}]}}"#,
            r#"{"code":-32042}"#,
            r#"{"code":-32042,"data":{"elicitations":[]}}"#,
            r#"{"code":-32042,"data":{"elicitations":[{"mode":"url","url":"u"},7]}}"#,
            r#"{"code":-32042,"data":{"elicitations":[{"mode":"form","url":"u"}]}}"#,
        ] {
            assert_eq!(
                url_questions(&Method::ToolsCall, Revision::V2025_11_25, &Raw::literal(odd)),
                None,
                "{odd}"
            );
        }
    }

    #[test]
    fn answers_reach_the_server_as_they_are_but_for_several_blocks() {
        let given = Raw::literal(r#"{"action":"accept","content":{"n": 1.0},"x":1}"#);
        let roots = Raw::literal(r#"{"roots":[ {"uri":"file:///a"}]}"#);
        let blocks =
            Raw::literal(r#"{"role":"assistant","model":"m","content":[{"type":"text","text":"a"}]}"#);
        let null = Raw::literal(r#"{"action":"cancel","content":null}"#);
        for to in LEGACY {
            assert_eq!(answer(to, &Method::Elicit, &given), given);
            assert_eq!(answer(to, &Method::Elicit, &null).as_text(), r#"{"action":"cancel"}"#);
            assert_eq!(answer(to, &Method::RootsList, &roots), roots);
            assert_eq!(answer(to, &Method::Sample, &roots), roots);
            assert_eq!(answer(to, &Method::Sample, &Raw::literal("7")), Raw::literal("7"));
        }
        let sampled =
            LEGACY.map(|to| answer(to, &Method::Sample, &blocks).get("content").expect("content").kind());
        use protocol::json::Kind::{Array, Object};
        assert_eq!(sampled, [Object, Object, Object, Array]);
    }
}
