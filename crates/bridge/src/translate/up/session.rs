//! The handshake with a legacy server, and the requests that it gets.

use protocol::json::Object;
use protocol::latest::{self, TASKS_EXTENSION, meta};
use protocol::{Capabilities, Era, Method, Raw, Revision};

use crate::translate::splice::{empty, integer, meta_without, object, without_tasks};

/// The parameters of a modern request for a server of this revision.
///
/// Takes out what each modern request says about itself and a legacy one leaves to the session, what belongs
/// to questions, and the `context` of a completion before 2025-06-18. The progress token, the trace context
/// and every entry of `_meta` that the core does not reserve stay.
#[must_use]
pub fn params(to: Revision, method: &Method, params: &Object) -> Raw {
    if to.era() == Era::Modern {
        return params.raw();
    }
    let said = [meta::PROTOCOL_VERSION, meta::CLIENT_CAPABILITIES, meta::CLIENT_INFO, meta::LOG_LEVEL];
    let mut edit = params.edit().put("_meta", meta_without(params, &said));
    if method.may_ask() {
        edit = edit.remove("inputResponses").remove("requestState");
    }
    if *method == Method::Complete && !to.features().structured {
        edit = edit.remove("context");
    }
    edit.finish()
}

/// The parameters of `initialize`, for a server of this revision and on behalf of a client with these
/// capabilities.
///
/// Declares what both the revision knows and the gateway can relay: elicitation, sampling and roots as the
/// client declared them, in a fixed order, so that equal declarations are equal bytes. Extensions pass,
/// but for Tasks. `roots.listChanged` is not declared: a modern client never says that its roots changed.
#[must_use]
pub fn initialize_params(to: Revision, capabilities: &Raw, client_info: &Raw) -> Raw {
    let features = to.features();
    let read = Capabilities::read(Some(capabilities));
    let part = |group: &str, name: &str| capabilities.get(group).and_then(|g| g.get(name));
    let roots = read.roots.then(empty);
    let sampling = read.sampling.then(|| {
        let part = |name| part("sampling", name).filter(|_| features.sampling_tools);
        Object::empty().edit().put("context", part("context")).put("tools", part("tools")).finish()
    });
    let elicitation = if features.url_elicitation {
        (read.elicit_form || read.elicit_url).then(|| {
            let part = |name| part("elicitation", name);
            Object::empty().edit().put("form", part("form")).put("url", part("url")).finish()
        })
    } else {
        (features.elicitation && read.elicit_form).then(empty)
    };
    let declared = Object::empty()
        .edit()
        .put("roots", roots)
        .put("sampling", sampling)
        .put("elicitation", elicitation)
        .put("extensions", object(capabilities).as_ref().and_then(without_tasks))
        .finish();
    Object::empty()
        .edit()
        .set("protocolVersion", Raw::string(to.as_str()))
        .set("capabilities", declared)
        .set("clientInfo", client_info.clone())
        .finish()
}

/// A legacy server's answer to `initialize` as an answer to `server/discover`.
///
/// `tasks` goes: what it means in 2025-11-25 is not the Tasks extension. A server of 2024-11-05 has no way to
/// say that it completes arguments, so one with prompts or resources is taken to; if it does not, its own
/// -32601 says so.
#[must_use]
pub fn discover(from: Revision, initialize_result: &Raw) -> Raw {
    let came = object(initialize_result).unwrap_or_else(Object::empty);
    let offered = came.get("capabilities").as_ref().and_then(object).unwrap_or_else(Object::empty);
    let mut capabilities = offered.edit().remove("tasks");
    let completes = offered.has("prompts") || offered.has("resources");
    if from == Revision::V2024_11_05 && completes && !offered.has("completions") {
        capabilities = capabilities.set("completions", empty());
    }
    if let Some(extensions) = offered.get("extensions").as_ref().and_then(object) {
        capabilities = capabilities.set("extensions", extensions.edit().remove(TASKS_EXTENSION).finish());
    }
    let info = came.get("serverInfo").filter(|info| object(info).is_some());
    let old = came.get("_meta").as_ref().and_then(object).unwrap_or_else(Object::empty);
    let entries = old.edit().put(meta::SERVER_INFO, info).finish();
    came.edit()
        .remove("protocolVersion")
        .remove("serverInfo")
        .set("resultType", Raw::literal("\"complete\""))
        .set("supportedVersions", protocol::json::array([&Raw::string(latest::DATE)]))
        .set("capabilities", capabilities.finish())
        .set("ttlMs", integer(0))
        .set("cacheScope", Raw::literal("\"private\""))
        .put("_meta", (entries.as_bytes() != b"{}").then_some(entries))
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::translate::testing::{LEGACY, line};

    fn sent(method: &Method, text: &'static str) -> [String; 4] {
        let came = object(&Raw::literal(text)).expect("an object");
        LEGACY.map(|to| params(to, method, &came).to_string())
    }

    #[test]
    fn a_request_loses_what_the_session_says_and_keeps_everything_else() {
        let call = line(
            r#"{"name":"t","arguments":{"n": 1.0},"inputResponses":{"q":{}},"requestState":"s",
            "x":[ 1 ],"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
            "io.modelcontextprotocol/clientCapabilities":{},
            "io.modelcontextprotocol/clientInfo":{},"io.modelcontextprotocol/logLevel":"info",
            "progressToken":7,"traceparent":"00-","io.modelcontextprotocol/related-task":{},
            "a.b/c":1}}"#,
        );
        let want = line(
            r#"{"name":"t","arguments":{"n": 1.0},"x":[ 1 ],"_meta":{"progressToken":7,
            "traceparent":"00-","io.modelcontextprotocol/related-task":{},"a.b/c":1}}"#,
        );
        assert_eq!(sent(&Method::ToolsCall, call), [want; 4]);
        let list = line(
            r#"{"cursor":"","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
            "io.modelcontextprotocol/clientCapabilities":{}}}"#,
        );
        assert_eq!(sent(&Method::ToolsList, list), [r#"{"cursor":""}"#; 4]);
        let kept = r#"{"requestState":"a vendor's","_meta":{}}"#;
        assert_eq!(sent(&Method::Other("v/x".into()), kept), [kept; 4]);
    }

    #[test]
    fn a_modern_server_gets_what_came() {
        let came =
            object(&Raw::literal(r#"{ "_meta":{"io.modelcontextprotocol/clientInfo":{}}}"#)).expect("object");
        assert_eq!(params(Revision::V2026_07_28, &Method::ToolsCall, &came), came.raw());
    }

    #[test]
    fn completions_have_a_context_from_2025_06_18_on() {
        let came = r#"{"ref":{},"argument":{},"context":{"arguments":{}}}"#;
        let bare = r#"{"ref":{},"argument":{}}"#;
        assert_eq!(sent(&Method::Complete, came), [bare, bare, came, came]);
        assert_eq!(sent(&Method::ToolsCall, came), [came; 4]);
    }

    #[test]
    fn initialize_declares_what_the_client_declared_and_the_revision_knows() {
        let info = Raw::literal(r#"{"name":"c","version":"1"}"#);
        let declared = |capabilities: &'static str| {
            LEGACY.map(|to| {
                let params = initialize_params(to, &Raw::literal(capabilities), &info);
                assert_eq!(params.get("protocolVersion").expect("version"), Raw::string(to.as_str()));
                assert_eq!(params.get("clientInfo"), Some(info.clone()));
                params.get("capabilities").expect("capabilities").to_string()
            })
        };
        let all = line(
            r#"{"elicitation":{"url":{},"form":{"applyDefaults":true}},"sampling":{"tools":{},
            "context":{}},"roots":{"listChanged":true},"experimental":{"x":{}},
            "extensions":{"io.modelcontextprotocol/tasks":{},"a.b/c":{}},"tasks":{}}"#,
        );
        let first = r#"{"roots":{},"sampling":{},"extensions":{"a.b/c":{}}}"#;
        let forms = r#"{"roots":{},"sampling":{},"elicitation":{},"extensions":{"a.b/c":{}}}"#;
        let last = line(
            r#"{"roots":{},"sampling":{"context":{},"tools":{}},
            "elicitation":{"form":{"applyDefaults":true},"url":{}},"extensions":{"a.b/c":{}}}"#,
        );
        assert_eq!(declared(all), [first, first, forms, last]);
        assert_eq!(declared("{}"), ["{}"; 4]);
        let form = r#"{"elicitation":{}}"#;
        assert_eq!(declared(form), ["{}", "{}", form, form], "an empty object means forms");
        let url = r#"{"elicitation":{"url":{}}}"#;
        assert_eq!(declared(url), ["{}", "{}", "{}", url], "a client without forms gets none");
    }

    #[test]
    fn initialize_is_discover_in_other_words() {
        let initialize = Raw::literal(line(
            r#"{"protocolVersion":"2025-11-25","capabilities":{"prompts":{},"logging":{},
                "tasks":{"list":{}},"vendor":{"n":1.0},
                "extensions":{"io.modelcontextprotocol/tasks":{},"a.b/c":{}}},
                "serverInfo":{"name":"s","version":"1"},"instructions":"i","x":1.0,
                "_meta":{"a.b/c":1}}"#,
        ));
        for from in LEGACY {
            let completes = if from == Revision::V2024_11_05 { r#","completions":{}"# } else { "" };
            let want = line(&format!(
                r#"{{"capabilities":{{"prompts":{{}},"logging":{{}},"vendor":{{"n":1.0}},
                    "extensions":{{"a.b/c":{{}}}}{completes}}},"instructions":"i","x":1.0,
                    "_meta":{{"a.b/c":1,"io.modelcontextprotocol/serverInfo":{{"name":"s",
                    "version":"1"}}}},"resultType":"complete","supportedVersions":["2026-07-28"],
                    "ttlMs":0,"cacheScope":"private"}}"#
            ));
            assert_eq!(discover(from, &initialize).as_text(), want);
            let tools = Raw::literal(r#"{"capabilities":{"tools":{}}}"#);
            assert_eq!(
                discover(from, &tools).get("capabilities").expect("some").as_text(),
                r#"{"tools":{}}"#
            );
            let told = r#"{"resources":{},"completions":{"x":1}}"#;
            let completing = Raw::parse(format!(r#"{{"capabilities":{told}}}"#).into()).expect("JSON");
            assert_eq!(discover(from, &completing).get("capabilities").expect("some").as_text(), told);
            let resources = discover(from, &Raw::literal(r#"{"capabilities":{"resources":{}}}"#));
            assert_eq!(resources.as_text().contains("completions"), from == Revision::V2024_11_05);
            let nothing = discover(from, &Raw::literal("7"));
            let want = line(
                r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{},
                "ttlMs":0,"cacheScope":"private"}"#,
            );
            assert_eq!(nothing.as_text(), want);
        }
    }
}
