//! The handshake with a legacy client, and its requests.

use protocol::json::Object;
use protocol::latest::{self, meta};
use protocol::{Method, Raw, Revision};

use crate::translate::splice::{empty, meta_without, object, without_tasks};

/// What a modern request says about the client, and a legacy one leaves to its session.
#[derive(Debug, Clone, Copy)]
pub struct CallMeta<'a> {
    /// What the client can do, as [`client_capabilities`] gives it.
    pub capabilities: &'a Raw,
    /// Who the client said it is.
    pub client_info: Option<&'a Raw>,
    /// What it asked for with `logging/setLevel`; `None`: no log messages.
    pub log_level: Option<&'a Raw>,
}

/// The parameters of a legacy client's request as those of a modern one.
///
/// The same for every legacy revision: adds the entries of `_meta` that each modern request carries and keeps
/// the rest, the `task` of 2025-11-25 too. `inputResponses` and `requestState` mean nothing in a legacy
/// request and must not come to mean something on the way, so they go. Parameters that name a member twice
/// come back as they are, and `Call::read` refuses them.
#[must_use]
pub fn call(method: &Method, params: Option<&Raw>, about: CallMeta<'_>) -> Raw {
    let came = match params {
        None => Object::empty(),
        Some(params) => match object(params) {
            Some(came) => came,
            None => return params.clone(),
        },
    };
    let old = came.get("_meta");
    let entries = match old.as_ref().map(Raw::object) {
        Some(Err(_)) => return came.raw(),
        Some(Ok(Some(entries))) => entries,
        Some(Ok(None)) | None => Object::empty(),
    };
    let mut entries = entries
        .edit()
        .set(meta::PROTOCOL_VERSION, Raw::string(latest::DATE))
        .set(meta::CLIENT_CAPABILITIES, about.capabilities.clone());
    if let Some(info) = about.client_info {
        entries = entries.set(meta::CLIENT_INFO, info.clone());
    }
    if let Some(level) = about.log_level {
        entries = entries.set(meta::LOG_LEVEL, level.clone());
    }
    let mut edit = came.edit().set("_meta", entries.finish());
    if method.may_ask() {
        edit = edit.remove("inputResponses").remove("requestState");
    }
    edit.finish()
}

/// What a legacy client declared in `initialize`, as the capabilities of its modern requests.
///
/// Left out: what a server could use to ask for something that the client's revision cannot say (see
/// [`super::question`]), `tasks` (a client that hosts tasks), the Tasks extension (its results have no legacy
/// form), `roots.listChanged`. Everything else passes.
#[must_use]
pub fn client_capabilities(from: Revision, declared: &Raw) -> Raw {
    let features = from.features();
    let Some(came) = object(declared) else { return empty() };
    let inner = |name: &str| came.get(name).as_ref().and_then(object);
    let roots = inner("roots").map(|roots| roots.edit().remove("listChanged").finish());
    let sampling = inner("sampling").map(|sampling| match features.sampling_tools {
        true => sampling.raw(),
        false => sampling.edit().remove("tools").finish(),
    });
    let elicitation = inner("elicitation").filter(|_| features.elicitation);
    let elicitation = elicitation.map(|elicitation| match features.url_elicitation {
        true => elicitation.raw(),
        false => elicitation.edit().remove("url").finish(),
    });
    came.edit()
        .put("roots", roots)
        .put("sampling", sampling)
        .put("elicitation", elicitation)
        .put("extensions", without_tasks(&came))
        .remove("tasks")
        .finish()
}

/// The answer to a legacy client's `initialize`, out of the answer to `server/discover`.
///
/// `instructions` replaces the server's own. `tasks` is the capability of 2025-11-25 where the server behind
/// has it; no other revision is told. `logging` is always offered: `logging/setLevel` is the gateway's to
/// answer. Of `extensions` only Tasks goes: its results have no legacy form, and the others are no
/// business of ours.
#[must_use]
pub fn initialize_result(
    to: Revision,
    discover: &Raw,
    server_info: &Raw,
    instructions: Option<&str>,
    tasks: Option<&Raw>,
) -> Raw {
    let features = to.features();
    let came = object(discover).unwrap_or_else(Object::empty);
    let offered = came.get("capabilities").as_ref().and_then(object).unwrap_or_else(Object::empty);
    let tasks = tasks.filter(|_| features.tasks).cloned();
    let mut capabilities = offered.edit().put("extensions", without_tasks(&offered)).put("tasks", tasks);
    if !features.completions_capability {
        capabilities = capabilities.remove("completions");
    }
    if !offered.has("logging") {
        capabilities = capabilities.set("logging", empty());
    }
    let mut edit = came
        .edit()
        .set("protocolVersion", Raw::string(to.as_str()))
        .set("capabilities", capabilities.finish())
        .set("serverInfo", server_info.clone())
        .put("_meta", meta_without(&came, &[meta::SERVER_INFO]));
    if let Some(text) = instructions {
        edit = edit.set("instructions", Raw::string(text));
    }
    for member in ["resultType", "supportedVersions", "ttlMs", "cacheScope"] {
        edit = edit.remove(member);
    }
    edit.finish()
}

#[cfg(test)]
mod tests {
    use protocol::Call;

    use super::*;
    use crate::translate::testing::{LEGACY, line};

    fn made(method: &Method, params: Option<&'static str>, level: Option<&'static str>) -> String {
        let (info, level) = (Raw::literal(r#"{"name":"c"}"#), level.map(Raw::literal));
        let about = CallMeta { capabilities: &empty(), client_info: Some(&info), log_level: level.as_ref() };
        let params = params.map(Raw::literal);
        call(method, params.as_ref(), about).to_string()
    }

    #[test]
    fn a_legacy_request_gets_the_meta_of_a_modern_one_and_keeps_its_own() {
        let bare = line(
            r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",
            "io.modelcontextprotocol/clientCapabilities":{},
            "io.modelcontextprotocol/clientInfo":{"name":"c"}}}"#,
        );
        assert_eq!(made(&Method::ToolsList, None, None), bare);
        let params = line(
            r#"{"name":"t","arguments":{"n": 1.0},"task":{"ttl":1},"_meta":{"progressToken":7,
            "a.b/c":null},"x":[ 1 ]}"#,
        );
        let want = line(
            r#"{"name":"t","arguments":{"n": 1.0},"task":{"ttl":1},"_meta":{"progressToken":7,
            "a.b/c":null,"io.modelcontextprotocol/protocolVersion":"2026-07-28",
            "io.modelcontextprotocol/clientCapabilities":{},
            "io.modelcontextprotocol/clientInfo":{"name":"c"},
            "io.modelcontextprotocol/logLevel":"info"},"x":[ 1 ]}"#,
        );
        assert_eq!(made(&Method::ToolsCall, Some(params), Some("\"info\"")), want);
    }

    #[test]
    fn a_legacy_client_cannot_speak_of_a_modern_state() {
        let params = r#"{"name":"t","inputResponses":{"q":{}},"requestState":"s"}"#;
        let out = made(&Method::ToolsCall, Some(params), None);
        assert!(!out.contains("inputResponses") && !out.contains("requestState"), "{out}");
        let out = made(&Method::Other("vendor/do".into()), Some(params), None);
        assert!(out.contains("inputResponses"), "elsewhere these are names like any other: {out}");
    }

    #[test]
    fn params_that_name_a_member_twice_are_left_to_be_refused() {
        for params in [r#"{"a":1,"a":2}"#, r#"{"_meta":{"a":1,"a":2}}"#] {
            assert_eq!(made(&Method::ToolsCall, Some(params), None), params);
            assert!(Call::read(Method::ToolsCall, Some(&Raw::literal(params))).is_err());
        }
        let out = made(&Method::ToolsCall, Some(r#"{"_meta":null}"#), None);
        assert!(out.starts_with(r#"{"_meta":{"io.model"#), "{out}");
    }

    #[test]
    fn a_server_is_told_only_what_the_revision_can_answer() {
        let declared = Raw::literal(line(
            r#"{"roots":{"listChanged":true},"sampling":{"tools":{},"context":{}},
                "elicitation":{"form":{},"url":{}},"tasks":{},"experimental":{"x":{}},"vendor":1,
                "extensions":{"io.modelcontextprotocol/tasks":{},"io.modelcontextprotocol/ui":{}}}"#,
        ));
        let rest = r#""experimental":{"x":{}},"vendor":1,"extensions":{"io.modelcontextprotocol/ui":{}}}"#;
        let plain = format!(r#"{{"roots":{{}},"sampling":{{"context":{{}}}},{rest}"#);
        let forms =
            format!(r#"{{"roots":{{}},"sampling":{{"context":{{}}}},"elicitation":{{"form":{{}}}},{rest}"#);
        let all = line(&format!(
            r#"{{"roots":{{}},"sampling":{{"tools":{{}},"context":{{}}}},
                "elicitation":{{"form":{{}},"url":{{}}}},{rest}"#
        ));
        let told = LEGACY.map(|from| client_capabilities(from, &declared).to_string());
        assert_eq!(told, [plain.clone(), plain, forms, all.to_owned()]);
        let odd = Raw::literal(
            r#"{"roots":null,"sampling":true,"extensions":{"io.modelcontextprotocol/tasks":{}}}"#,
        );
        for from in LEGACY {
            assert_eq!(client_capabilities(from, &odd).as_text(), "{}");
            assert_eq!(client_capabilities(from, &Raw::literal("null")).as_text(), "{}");
        }
    }

    #[test]
    fn initialize_is_answered_from_discover_as_the_revision_knows_it() {
        let discover = Raw::literal(line(
            r#"{"resultType":"complete","supportedVersions":["2026-07-28"],
                "capabilities":{"tools":{"listChanged":true},"completions":{},
                
                "experimental":{"x":{"n":1.0}},"extensions":{"a.b/c":{},
                "io.modelcontextprotocol/tasks":{}},"tasks":{"list":{}}},
                "instructions":"old","ttlMs":1,"cacheScope":"public","x":1.0,
                "_meta":{"io.modelcontextprotocol/serverInfo":{},"a.b/c":1}}"#,
        ));
        let info = Raw::literal(r#"{"name":"gw","version":"1"}"#);
        let tasks = Raw::literal(r#"{"cancel":{}}"#);
        for (to, (middle, end)) in LEGACY.into_iter().zip([
            ("", ""),
            (r#""completions":{},"#, ""),
            (r#""completions":{},"#, ""),
            (r#""completions":{},"#, r#","tasks":{"cancel":{}}"#),
        ]) {
            let want = line(&format!(
                r#"{{"capabilities":{{"tools":{{"listChanged":true}},
                    {middle}"experimental":{{"x":{{"n":1.0}}}},
                    "extensions":{{"a.b/c":{{}}}}{end},"logging":{{}}}},
                    "instructions":"old","x":1.0,"_meta":{{"a.b/c":1}},"protocolVersion":"{to}",
                    "serverInfo":{{"name":"gw","version":"1"}}}}"#
            ));
            assert_eq!(initialize_result(to, &discover, &info, None, Some(&tasks)).as_text(), want);
        }
        let told = initialize_result(Revision::V2025_11_25, &discover, &info, Some("new"), None);
        assert!(!told.as_text().contains("tasks"), "no tasks unless told: {told}");
        assert_eq!(told.get("instructions").expect("instructions").as_text(), "\"new\"");
        let logs = Raw::literal(r#"{"capabilities":{"logging":{"x":1.0}}}"#);
        let told = initialize_result(Revision::V2025_06_18, &logs, &info, None, None);
        assert_eq!(told.get("capabilities").expect("some").as_text(), r#"{"logging":{"x":1.0}}"#);
        let nothing = initialize_result(Revision::V2024_11_05, &Raw::literal("[]"), &info, None, None);
        let want = line(
            r#"{"protocolVersion":"2024-11-05","capabilities":{"logging":{}},
            "serverInfo":{"name":"gw","version":"1"}}"#,
        );
        assert_eq!(nothing.as_text(), want);
    }
}
