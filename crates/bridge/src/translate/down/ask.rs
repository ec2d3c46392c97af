//! Questions to a legacy client, and its answers.

use protocol::json::Object;
use protocol::latest::meta;
use protocol::{Method, Raw, Revision, RpcError, code};
use serde_json::json;

use crate::translate::splice::{meta_without, object, says, without_null_content};
use crate::translate::{Refusal, form, sampling};

/// An entry of a modern server's `inputRequests` as a request to a client of this revision.
///
/// Whether the client declared what the question needs is for the caller to see to
/// (`Capabilities::can_answer_question`). `id` becomes the `elicitationId` that 2025-11-25 wants of a
/// question by URL: a string or a number that is new to this client.
///
/// # Errors
/// [`Refusal::Malformed`] where this is no question, [`Refusal::Inexpressible`] where the revision lacks the
/// words: any elicitation before 2025-06-18; one by URL, or a form field with several choices, before
/// 2025-11-25; tools for the client's model before 2025-11-25.
pub fn question(to: Revision, request: &Raw, id: &Raw) -> Result<(Method, Raw), Refusal> {
    let malformed = |what| Refusal::Malformed { what };
    let Some(request) = object(request) else { return Err(malformed("it is no object")) };
    let method = request.get("method");
    let Some(method) = method.as_ref().and_then(Raw::as_str) else {
        return Err(malformed("it names no method"));
    };
    let method = Method::parse(&method);
    let params = match request.get("params") {
        None => Object::empty(),
        Some(params) => object(&params).ok_or(malformed("its params are no object"))?,
    };
    // A task of the client's would be one that nobody asks for again; progress of a question has nowhere to
    // go.
    let plain =
        params.edit().remove("task").put("_meta", meta_without(&params, &[meta::PROGRESS_TOKEN])).finish();
    let params = object(&plain).unwrap_or(params);
    let params = match method {
        Method::Elicit => elicitation(to, &params, id)?,
        Method::Sample => {
            sampling::question(to, &params).map_err(|what| Refusal::Inexpressible { what, revision: to })?
        }
        Method::RootsList => plain,
        _ => return Err(malformed("its method asks nothing of a client")),
    };
    Ok((method, params))
}

fn elicitation(to: Revision, params: &Object, id: &Raw) -> Result<Raw, Refusal> {
    let features = to.features();
    let inexpressible = |what| Refusal::Inexpressible { what, revision: to };
    if !features.elicitation {
        return Err(inexpressible("a question to the user"));
    }
    let by_url = says(params, "mode", "url");
    if by_url && !features.url_elicitation {
        return Err(inexpressible("a question by URL"));
    }
    if by_url {
        let id = id.as_str().map_or_else(|| Raw::string(id.as_text()), |_| id.clone());
        return Ok(params.edit().set("elicitationId", id).finish());
    }
    if features.url_elicitation {
        return Ok(params.raw());
    }
    let schema = params.get("requestedSchema").map(|schema| form::in_2025_06_18(&schema)).transpose();
    let schema = schema.map_err(inexpressible)?;
    Ok(params.edit().remove("mode").put("requestedSchema", schema).finish())
}

/// A client's response to a question as a value of `inputResponses`.
///
/// An elicitation that the client answers with an error, or with what is no answer, is one that the user
/// left: `{"action":"cancel"}`.
///
/// # Errors
/// -31008 with the client's error as data, where sampling or roots were refused: `inputResponses` has no
/// shape for that, so the call cannot go on.
pub fn answer(method: &Method, from: Revision, response: Result<Raw, Raw>) -> Result<Raw, RpcError> {
    let given = response.and_then(|result| if object(&result).is_some() { Ok(result) } else { Err(result) });
    match (method, given) {
        (Method::Elicit, Ok(result)) => Ok(without_null_content(result)),
        (Method::Elicit, Err(_)) => Ok(Raw::literal(r#"{"action":"cancel"}"#)),
        (_, Ok(result)) => Ok(result),
        (_, Err(error)) => Err(refused(method, from, &error)),
    }
}

fn refused(method: &Method, from: Revision, error: &Raw) -> RpcError {
    let said = error.get("message").and_then(|m| m.as_str().map(|s| s.into_owned()));
    let said = said.unwrap_or_else(|| "an answer that is none".to_owned());
    let text = format!("The client refused {method}, and {from} has no way to tell the server so: {said}");
    RpcError::new(code::NOT_TRANSLATABLE, text)
        .with(json!({"question": method.as_str(), "clientError": error.to_value()}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::testing::{LEGACY, line};

    fn asked(to: Revision, text: &'static str) -> Result<String, Refusal> {
        question(to, &Raw::literal(text), &Raw::literal("7")).map(|(_, params)| params.to_string())
    }

    #[test]
    fn a_form_can_be_asked_from_2025_06_18_on() {
        let ask = line(
            r#"{"method":"elicitation/create","params":{"mode":"form","message":"?",
            "requestedSchema":{"type":"object","properties":{"c":{"type":"string",
            "oneOf":[{"const":"r","title":"Red"}]}}},"x":1.0,"task":{},
            "_meta":{"progressToken":1,"a.b/c":1}}}"#,
        );
        let old = line(
            r#"{"message":"?","requestedSchema":{"type":"object",
            "properties":{"c":{"type":"string","enum":["r"],"enumNames":["Red"]}}},"x":1.0,
            "_meta":{"a.b/c":1}}"#,
        );
        let new = line(
            r#"{"mode":"form","message":"?","requestedSchema":{"type":"object",
            "properties":{"c":{"type":"string","oneOf":[{"const":"r","title":"Red"}]}}},"x":1.0,
            "_meta":{"a.b/c":1}}"#,
        );
        let [first, second, third, fourth] = LEGACY.map(|to| asked(to, ask));
        for refused in [first, second] {
            let error = refused.expect_err("no elicitation").to_rpc();
            assert_eq!(error.code, code::NOT_TRANSLATABLE);
            assert!(error.message.contains("a question to the user"), "{}", error.message);
        }
        assert_eq!((third.as_deref(), fourth.as_deref()), (Ok(old), Ok(new)));
    }

    #[test]
    fn a_url_can_be_asked_in_2025_11_25_with_an_id_that_is_a_string() {
        let ask =
            r#"{"method":"elicitation/create","params":{"mode":"url","message":"?","url":"https://a.b"}}"#;
        let fits = LEGACY.map(|to| asked(to, ask).is_ok());
        assert_eq!(fits, [false, false, false, true]);
        let want = r#"{"mode":"url","message":"?","url":"https://a.b","elicitationId":"7"}"#;
        assert_eq!(asked(Revision::V2025_11_25, ask).as_deref(), Ok(want));
        let own = r#"{"method":"elicitation/create","params":{"mode":"url","elicitationId":"theirs"}}"#;
        let (_, params) =
            question(Revision::V2025_11_25, &Raw::literal(own), &Raw::string("ours")).expect("asked");
        assert_eq!(
            params.as_text(),
            r#"{"mode":"url","elicitationId":"ours"}"#,
            "the id is the gateway's to know"
        );
    }

    #[test]
    fn several_choices_can_be_asked_in_2025_11_25_alone() {
        let ask = line(
            r#"{"method":"elicitation/create","params":{"message":"?",
            "requestedSchema":{"type":"object","properties":{"c":{"type":"array",
            "items":{"type":"string","enum":["a"]}}}}}}"#,
        );
        assert_eq!(LEGACY.map(|to| asked(to, ask).is_ok()), [false, false, false, true]);
    }

    #[test]
    fn roots_and_the_model_can_be_asked_in_every_revision() {
        let sample = r#"{"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}"#;
        for to in LEGACY {
            assert_eq!(asked(to, r#"{"method":"roots/list"}"#).as_deref(), Ok("{}"));
            assert_eq!(
                asked(to, r#"{"method":"roots/list","params":{"_meta":{"progressToken":1}}}"#).as_deref(),
                Ok("{}")
            );
            assert_eq!(asked(to, sample).as_deref(), Ok(r#"{"messages":[],"maxTokens":1}"#));
        }
        let tools = r#"{"method":"sampling/createMessage","params":{"messages":[],"tools":[{}]}}"#;
        assert_eq!(LEGACY.map(|to| asked(to, tools).is_ok()), [false, false, false, true]);
    }

    #[test]
    fn what_is_no_question_is_the_servers_fault() {
        for text in [
            "7",
            r#"{"params":{}}"#,
            r#"{"method":1}"#,
            r#"{"method":"tools/call","params":{}}"#,
            r#"{"method":"roots/list","params":[]}"#,
            r#"{"method":"roots/list","params":{"a":1,"a":2}}"#,
        ] {
            for to in LEGACY {
                assert_eq!(asked(to, text).expect_err(text).to_rpc().code, code::UPSTREAM_INVALID);
            }
        }
    }

    #[test]
    fn answers_pass_and_an_elicitation_that_fails_was_left() {
        for from in LEGACY {
            let cancel = Raw::literal(r#"{"action":"cancel"}"#);
            let error = Raw::literal(r#"{"code":-1,"message":"no"}"#);
            let accepted = Raw::literal(r#"{"action":"accept","content":{"n":1.0},"x":1}"#);
            let elicit = |response| answer(&Method::Elicit, from, response);
            assert_eq!(elicit(Ok(accepted.clone())), Ok(accepted));
            assert_eq!(elicit(Err(error.clone())), Ok(cancel.clone()));
            assert_eq!(elicit(Ok(Raw::literal("null"))), Ok(cancel));
            let null = Raw::literal(r#"{"action":"decline","content":null}"#);
            assert_eq!(elicit(Ok(null)), Ok(Raw::literal(r#"{"action":"decline"}"#)));
            for method in [Method::Sample, Method::RootsList] {
                let given = Raw::literal(r#"{"roots":[],"role":"assistant"}"#);
                assert_eq!(answer(&method, from, Ok(given.clone())), Ok(given));
                let refused = answer(&method, from, Err(error.clone())).expect_err("no shape for it");
                assert_eq!(refused.code, code::NOT_TRANSLATABLE);
                assert!(refused.message.ends_with(": no"), "{}", refused.message);
                assert_eq!(refused.data.expect("data")["clientError"]["code"], -1);
                assert!(answer(&method, from, Ok(Raw::literal("[]"))).is_err());
            }
        }
    }
}
