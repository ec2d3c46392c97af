//! `_meta` of 2026-07-28 and what must be in it; parameters of wrong types.

use super::row::{From, Row, post, request};

const PARAMS: i64 = -32602;

pub fn rows() -> Vec<Row> {
    let mut rows = required();
    rows.extend(optional());
    rows.extend(parameters());
    rows.extend(legacy_parameters());
    rows
}

/// A modern request with this `_meta`.
fn with_meta(what: &'static str, meta: &str) -> Row {
    post(what, format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{{"_meta":{meta}}}}}"#))
        .from(From::Modern)
}

/// A modern request with these entries in `_meta`.
fn entries(what: &'static str, entries: &[(&str, &str)]) -> Row {
    let entries: Vec<String> = entries
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!(r#""{name}":{value}"#))
        .collect();
    with_meta(what, &format!("{{{}}}", entries.join(",")))
}

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const NOW: &str = r#""2026-07-28""#;

fn required() -> Vec<Row> {
    let version =
        |what, value| entries(what, &[(VERSION, value), (CAPABILITIES, "{}")]).error(400, PARAMS, VERSION);
    let capabilities = |what, value| {
        entries(what, &[(VERSION, NOW), (CAPABILITIES, value)]).error(400, PARAMS, CAPABILITIES)
    };
    vec![
        post("no params", r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#)
            .from(From::Modern)
            .error(400, PARAMS, VERSION),
        post("no _meta", r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{}}"#)
            .from(From::Modern)
            .error(400, PARAMS, VERSION),
        with_meta("an empty _meta", "{}").error(400, PARAMS, VERSION),
        with_meta("_meta that is null", "null").error(400, PARAMS, VERSION),
        with_meta("_meta that is an array", "[]").error(400, PARAMS, VERSION),
        with_meta("_meta that is a string", r#""2026-07-28""#).error(400, PARAMS, VERSION),
        version("no version", ""),
        version("a version that is null", "null"),
        version("a version that is a number", "20260728"),
        version("a version that is true", "true"),
        version("a version in an array", r#"["2026-07-28"]"#),
        version("a version in an object", r#"{"v":"2026-07-28"}"#),
        entries(
            "the version's key in capitals",
            &[("io.modelcontextprotocol/ProtocolVersion", NOW), (CAPABILITIES, "{}")],
        )
        .error(400, PARAMS, VERSION),
        entries("the version's key without its prefix", &[("protocolVersion", NOW), (CAPABILITIES, "{}")])
            .error(400, PARAMS, VERSION),
        entries(
            "the version's key with a slash escaped",
            &[(r"io.modelcontextprotocol\/protocolVersion", NOW), (CAPABILITIES, "{}")],
        ),
        post(
            "the version beside _meta",
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{
                "io.modelcontextprotocol/protocolVersion":"2026-07-28",
                "io.modelcontextprotocol/clientCapabilities":{}}}"#,
        )
        .from(From::Modern)
        .error(400, PARAMS, VERSION),
        capabilities("no capabilities", ""),
        capabilities("capabilities that are null", "null"),
        capabilities("capabilities that are an array", r#"["elicitation"]"#),
        capabilities("capabilities that are a string", r#""all""#),
        capabilities("capabilities that are a number", "1"),
        capabilities("capabilities that are true", "true"),
    ]
}

fn optional() -> Vec<Row> {
    let extra = |what, name, value| entries(what, &[(VERSION, NOW), (CAPABILITIES, "{}"), (name, value)]);
    let info = |what, value| {
        extra(what, "io.modelcontextprotocol/clientInfo", value).error(
            400,
            PARAMS,
            "clientInfo must be an object",
        )
    };
    let level = |what, value| {
        extra(what, "io.modelcontextprotocol/logLevel", value).error(400, PARAMS, "logLevel must be one of")
    };
    let token = |what, value| {
        extra(what, "progressToken", value).error(400, PARAMS, "progressToken must be a string or an integer")
    };
    vec![
        info("clientInfo that is null", "null"),
        info("clientInfo that is a string", r#""me""#),
        info("clientInfo that is an array", "[]"),
        info("clientInfo that is a number", "3"),
        level("an unknown log level", r#""verbose""#),
        level("a log level in capitals", r#""DEBUG""#),
        level("an empty log level", r#""""#),
        level("a log level that is a number", "3"),
        level("a log level that is null", "null"),
        level("a log level in an array", r#"["debug"]"#),
        token("a progress token that is null", "null"),
        token("a progress token that is a fraction", "1.5"),
        token("a progress token that is true", "true"),
        token("a progress token that is an object", "{}"),
        token("a progress token that is an array", "[1]"),
        extra("a trace parent that is a number", "traceparent", "7"),
        extra("a trace parent that is none", "traceparent", r#""00-zz""#),
        extra("an unknown key", "com.example/x", "[[]]"),
        entries(
            "capabilities of wrong types",
            &[
                (VERSION, NOW),
                (CAPABILITIES, r#"{"elicitation":7,"roots":"yes","sampling":[],"extensions":null}"#),
            ],
        ),
    ]
}

fn parameters() -> Vec<Row> {
    let wrong = |what, method: &str, params: &str, why| request(what, method, params).error(200, PARAMS, why);
    let name = |what, method: &str, params: &str| {
        wrong(what, method, params, "\"name\" must be a string").header("mcp-name", "=?base64??=")
    };
    let uri = |what, params: &str| {
        wrong(what, "resources/read", params, "\"uri\" must be a string").header("mcp-name", "=?base64??=")
    };
    let reference = |what, params: &str| wrong(what, "completion/complete", params, "\"ref\" must name");
    vec![
        name("a tool without a name", "tools/call", r#""arguments":{}"#),
        name("a tool whose name is null", "tools/call", r#""name":null"#),
        name("a tool whose name is a number", "tools/call", r#""name":7"#),
        name("a tool whose name is an array", "tools/call", r#""name":["crm_echo"]"#),
        name("a tool whose name is an object", "tools/call", r#""name":{"name":"crm_echo"}"#),
        name("a prompt without a name", "prompts/get", ""),
        name("a prompt whose name is true", "prompts/get", r#""name":true"#),
        wrong("a tool of no upstream", "tools/call", r#""name":"nobody_echo""#, "Unknown tool: nobody_echo"),
        wrong("a tool without its prefix", "tools/call", r#""name":"echo""#, "Unknown tool: echo"),
        wrong("a tool with an empty name", "tools/call", r#""name":"""#, "Unknown tool: "),
        wrong("a tool in capitals", "tools/call", r#""name":"CRM_echo""#, "Unknown tool: CRM_echo"),
        wrong("a tool that is hidden", "tools/call", r#""name":"crm_toggle""#, "Unknown tool: crm_toggle"),
        wrong("a tool by a path", "tools/call", r#""name":"../crm_echo""#, "Unknown tool: ../crm_echo"),
        wrong("a prompt of no upstream", "prompts/get", r#""name":"greet""#, "Unknown prompt: greet"),
        wrong("an unknown tool of an upstream", "tools/call", r#""name":"crm_nope""#, "Unknown tool: nope")
            .reaches(),
        wrong(
            "arguments that are an array",
            "tools/call",
            r#""name":"crm_echo","arguments":[]"#,
            "arguments",
        )
        .reaches(),
        wrong(
            "arguments that are a string",
            "tools/call",
            r#""name":"crm_echo","arguments":"x""#,
            "arguments",
        )
        .reaches(),
        uri("a resource without a URI", ""),
        uri("a resource whose URI is a number", r#""uri":7"#),
        uri("a resource whose URI is null", r#""uri":null"#),
        reference("a completion of nothing", r#""argument":{"name":"a","value":"b"}"#),
        reference("a completion of null", r#""ref":null,"argument":{"name":"a","value":"b"}"#),
        reference("a completion of a number", r#""ref":7,"argument":{"name":"a","value":"b"}"#),
        reference("a completion of something unknown", r#""ref":{"type":"ref/tool","name":"crm_echo"}"#),
        reference("a completion of a type that is a number", r#""ref":{"type":1,"name":"crm_greet"}"#),
        reference("a completion without a name", r#""ref":{"type":"ref/prompt"}"#),
        reference("a completion with a name that is a number", r#""ref":{"type":"ref/prompt","name":1}"#),
        reference("a completion with a URI that is true", r#""ref":{"type":"ref/resource","uri":true}"#),
        wrong(
            "a completion of an unknown prompt",
            "completion/complete",
            r#""ref":{"type":"ref/prompt","name":"greet"},"argument":{"name":"a","value":"b"}"#,
            "Unknown prompt: greet",
        ),
    ]
}

fn legacy_parameters() -> Vec<Row> {
    let wrong = |what, method: &str, params: &str, why| {
        request(what, method, params).from(From::Legacy).error(200, PARAMS, why)
    };
    let level = |what, params| wrong(what, "logging/setLevel", params, "\"level\" must be one of");
    let uri = |what, method, params| wrong(what, method, params, "\"uri\" must be a string");
    let start = |what, params: &str, why| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"initialize","params":{params}}}"#);
        post(what, body).from(From::Sessions).without("mcp-session-id").error(200, PARAMS, why)
    };
    vec![
        level("a level without a name", ""),
        level("a level that is null", r#""level":null"#),
        level("a level that is a number", r#""level":7"#),
        level("an unknown level", r#""level":"loud""#),
        level("a level in capitals", r#""level":"ERROR""#),
        uri("a subscription to nothing", "resources/subscribe", ""),
        uri("a subscription to null", "resources/subscribe", r#""uri":null"#),
        uri("a subscription to a number", "resources/subscribe", r#""uri":7"#),
        uri("the end of a subscription to an array", "resources/unsubscribe", r#""uri":[]"#),
        start("initialize with nothing", "{}", "protocolVersion"),
        start("initialize with a version that is null", r#"{"protocolVersion":null}"#, "protocolVersion"),
        start(
            "initialize with a version that is a number",
            r#"{"protocolVersion":20251125}"#,
            "protocolVersion",
        ),
        start(
            "initialize with a version in an array",
            r#"{"protocolVersion":["2025-11-25"]}"#,
            "protocolVersion",
        ),
        start(
            "initialize with a version twice",
            r#"{"protocolVersion":"a","protocolVersion":"b"}"#,
            "duplicate",
        ),
        start(
            "initialize with capabilities that are a string",
            r#"{"protocolVersion":"2025-11-25","capabilities":"all","clientInfo":{"name":"a"}}"#,
            "capabilities",
        ),
        start(
            "initialize with clientInfo that is null",
            r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":null}"#,
            "clientInfo",
        ),
    ]
}
