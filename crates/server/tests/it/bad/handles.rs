//! Sessions, cursors, request states and task ids that were not given to this client, at this endpoint, for
//! this purpose, lately, or at all. All of them get the same answer.

use testkit::Revision;

use super::row::{From, Row, bare, good, request};

const SESSION: &str = "mcp-session-id";
const PARAMS: i64 = -32602;

/// Replaced by handles that are as their names say.
pub const HANDLES: [&str; 8] = [
    "OTHER_ENDPOINT",
    "OTHER_GATEWAY",
    "EXPIRED",
    "CHANGED",
    "CHANGED_AT_ITS_END",
    "CUT",
    "LENGTHENED",
    "IN_CAPITALS",
];

pub fn rows() -> Vec<Row> {
    let mut rows = sessions();
    rows.extend(streams());
    rows.extend(cursors());
    rows.extend(states());
    rows.extend(tasks());
    rows.extend(listens());
    rows
}

/// What is wrong with each of [`HANDLES`], for the name of a row.
fn wrong_with(handle: &str) -> &'static str {
    match handle {
        "OTHER_ENDPOINT" => "of another endpoint",
        "OTHER_GATEWAY" => "of another gateway",
        "EXPIRED" => "that has expired",
        "CHANGED" => "with one letter changed",
        "CHANGED_AT_ITS_END" => "with its last letter changed",
        "CUT" => "without its last letters",
        "LENGTHENED" => "with letters added",
        _ => "in capitals",
    }
}

fn sessions() -> Vec<Row> {
    let named = |what: String, value: &[u8]| {
        let what: &'static str = what.leak();
        good(what).from(From::Sessions).header(SESSION, value).error(404, -32000, "Session not found")
    };
    let mut rows: Vec<Row> = HANDLES
        .iter()
        .map(|handle| {
            named(format!("a session id {}", wrong_with(handle)), format!("$SESSION_{handle}$").as_bytes())
        })
        .collect();
    rows.extend([
        named("the id of a session that was ended".into(), b"$SESSION_ENDED$"),
        named("a session id that was made up".into(), b"6f1b7c52-8f43-4d0e-9d8a-1b2c3d4e5f60"),
        named("an empty session id".into(), b""),
        named("a session id that is a star".into(), b"*"),
        named("two session ids in one header".into(), b"$SESSION_OWN$, $SESSION_OWN$"),
        named("a session id in quotes".into(), b"\"$SESSION_OWN$\""),
        named("a session id of 8,000 letters".into(), &[b'a'; 8_000]),
        named("a session id of bytes".into(), b"\xff\xfe\xfd"),
        named("a cursor as session id".into(), b"$CURSOR_OWN$"),
        named("a request state as session id".into(), b"$STATE_OWN$"),
        good("the session id twice").from(From::Sessions).also(SESSION, "$SESSION_OWN$").error(
            400,
            -32000,
            "more than once",
        ),
        good("no session id and no revision")
            .from(From::Sessions)
            .without(SESSION)
            .without("mcp-protocol-version")
            .error(400, -32000, "initialize first"),
        bare("a stream of a session that was made up", "GET")
            .from(From::Sessions)
            .header(SESSION, "x")
            .error(404, -32000, "Session not found"),
        bare("a stream of a session that has expired", "GET")
            .from(From::Sessions)
            .header(SESSION, "$SESSION_EXPIRED$")
            .error(404, -32000, "Session not found"),
        bare("a stream without a session", "GET")
            .from(From::Sessions)
            .without(SESSION)
            .plain(405, "without a session"),
        bare("the end of a session that was made up", "DELETE")
            .from(From::Sessions)
            .header(SESSION, "x")
            .error(404, -32000, "Session not found"),
        bare("the end of somebody else's session", "DELETE")
            .from(From::Sessions)
            .header(SESSION, "$SESSION_OTHER_ENDPOINT$")
            .error(404, -32000, "Session not found"),
        bare("the end of no session", "DELETE")
            .from(From::Sessions)
            .without(SESSION)
            .plain(405, "without a session"),
    ]);
    rows
}

/// 2024-11-05: the stream is the session.
fn streams() -> Vec<Row> {
    let named = |what, path| {
        let row = good(what).from(From::Only(Revision::V2024_11_05)).at(path);
        row.error(404, -32000, "Session not found")
    };
    vec![
        named(
            "a message for a stream that was made up",
            "/messages?sessionId=0123456789abcdef0123456789abcdef",
        ),
        named("a message for no stream", "/messages"),
        named("a message for a stream without a name", "/messages?sessionId="),
        named("a message for a stream of another endpoint", "/messages?sessionId=$STREAM_OTHER_ENDPOINT$"),
        named("a message at another endpoint", "/crm/messages?sessionId=$STREAM_OWN$"),
        named("a message for a stream that has ended", "/messages?sessionId=$STREAM_ENDED$"),
        named("a message for a stream in capitals", "/messages?SESSIONID=$STREAM_OWN$"),
        named("a message for a stream by percent escapes", "/messages?session%49d=$STREAM_OWN$"),
        named("a message for a stream with another behind it", "/messages?sessionId=$STREAM_OWN$x"),
        named("a message with a session id in place of a stream", "/messages?sessionId=$CURSOR_OWN$"),
    ]
}

fn cursors() -> Vec<Row> {
    let cursor = |what: String, value: &str| {
        let what: &'static str = what.leak();
        request(what, "tools/list", &format!(r#""cursor":{value}"#)).error(200, PARAMS, "Invalid cursor")
    };
    let mut rows: Vec<Row> = HANDLES
        .iter()
        .map(|handle| cursor(format!("a cursor {}", wrong_with(handle)), &format!(r#""$CURSOR_{handle}$""#)))
        .collect();
    rows.extend([
        cursor("a cursor of another list".into(), r#""$CURSOR_OTHER_LIST$""#),
        cursor("a request state as cursor".into(), r#""$STATE_OWN$""#),
        cursor("a session id as cursor".into(), r#""$SESSION_OWN$""#),
        cursor("a cursor that was made up".into(), r#""100""#),
        cursor("an empty cursor".into(), r#""""#),
        cursor("a cursor that is a number".into(), "1"),
        cursor("a cursor that is true".into(), "true"),
        cursor("a cursor that is an object".into(), r#"{"at":1}"#),
        cursor("a cursor that is an array".into(), r#"["$CURSOR_OWN$"]"#),
        request("the same cursor for another list", "prompts/list", r#""cursor":"$CURSOR_OWN$""#).error(
            200,
            PARAMS,
            "Invalid cursor",
        ),
        request("a cursor with escapes", "tools/list", r#""cursor":"$CURSOR_ESCAPED$""#),
    ]);
    rows
}

/// `STATE` belongs to `crm_confirm_order` with the item `a`.
fn states() -> Vec<Row> {
    let retry = |what: String, name: &str, arguments: &str, state: &str| {
        let what: &'static str = what.leak();
        let params = format!(
            r#""name":"{name}","arguments":{arguments},"inputResponses":{{}},"requestState":{state}"#
        );
        let row = request(what, "tools/call", &params).from(From::Modern);
        row.error(200, PARAMS, "Invalid requestState")
    };
    let order = |what: String, state: &str| retry(what, "crm_confirm_order", r#"{"item":"a"}"#, state);
    let mut rows: Vec<Row> = HANDLES
        .iter()
        .map(|handle| {
            order(format!("a request state {}", wrong_with(handle)), &format!(r#""$STATE_{handle}$""#))
        })
        .collect();
    let own = r#""$STATE_OWN$""#;
    rows.extend([
        retry("a request state of another tool".into(), "crm_ask_model", r#"{"item":"a"}"#, own),
        retry("a request state of other arguments".into(), "crm_confirm_order", r#"{"item":"b"}"#, own),
        retry("a request state of fewer arguments".into(), "crm_confirm_order", "{}", own),
        retry(
            "a request state of more arguments".into(),
            "crm_confirm_order",
            r#"{"item":"a","rounds":2}"#,
            own,
        ),
        order("a cursor as request state".into(), r#""$CURSOR_OWN$""#),
        order("a session id as request state".into(), r#""$SESSION_OWN$""#),
        order("the upstream's own request state".into(), r#""$STATE_OF_THE_UPSTREAM$""#),
        order("a request state that was made up".into(), r#""eyJhIjoxfQ""#),
        order("an empty request state".into(), r#""""#),
        order("a request state that is null".into(), "null"),
        order("a request state that is a number".into(), "7"),
        order("a request state that is an object".into(), r#"{"state":"$STATE_OWN$"}"#),
        order("a request state in an array".into(), &format!("[{own}]")),
        request(
            "a request state for a prompt",
            "prompts/get",
            &format!(r#""name":"crm_plan","inputResponses":{{}},"requestState":{own}"#),
        )
        .from(From::Modern)
        .error(200, PARAMS, "Invalid requestState"),
    ]);
    rows
}

fn tasks() -> Vec<Row> {
    let task = |what, id: &str| {
        let capabilities = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tasks/get","params":{{"taskId":{id},"_meta":{{
                "io.modelcontextprotocol/protocolVersion":"2026-07-28",
                "io.modelcontextprotocol/clientCapabilities":{capabilities}}}}}}}"#
        );
        super::row::post(what, body).from(From::Modern)
    };
    vec![
        request("a task without the extension", "tasks/get", r#""taskId":"t""#).from(From::Modern).error(
            400,
            -32021,
            "needs the Tasks extension",
        ),
        task("a task that was made up", r#""t-1""#).error(200, PARAMS, "Unknown task"),
        task("a request state as task", r#""$STATE_OWN$""#).error(200, PARAMS, "Unknown task"),
        task("a task that is a number", "7").header("mcp-name", "=?base64??=").error(200, PARAMS, "taskId"),
        task("a task that is null", "null").header("mcp-name", "=?base64??=").error(200, PARAMS, "taskId"),
        task("another task in the header", r#""t-1""#).header("mcp-name", "t-2").error(
            400,
            -32020,
            "differs from the body",
        ),
    ]
}

fn listens() -> Vec<Row> {
    let listen = |what, filter: &str| {
        request(what, "subscriptions/listen", &format!(r#""notifications":{filter}"#))
            .from(From::Modern)
            .error(200, PARAMS, "Invalid params")
    };
    let uris: Vec<String> = (0..1_001).map(|n| format!(r#""demo://notes/{n}""#)).collect();
    vec![
        listen("a listen to null", "null"),
        listen("a listen to an array", r#"["toolsListChanged"]"#),
        listen("a listen to a number", "7"),
        listen("a listen to resources that are a string", r#"{"resourceSubscriptions":"demo://clock"}"#),
        listen("a listen to resources that are an object", r#"{"resourceSubscriptions":{}}"#),
        listen("a listen to resources that are numbers", r#"{"resourceSubscriptions":[7]}"#),
        listen("a listen to lists that are a string", r#"{"toolsListChanged":"yes"}"#),
        listen("a listen to lists that are a number", r#"{"promptsListChanged":1}"#),
        listen(
            "a listen to 1,001 resources",
            &format!(r#"{{"resourceSubscriptions":[{}]}}"#, uris.join(",")),
        ),
        request(
            "a listen to tasks without the extension",
            "subscriptions/listen",
            r#""notifications":{"taskIds":["t"]}"#,
        )
        .from(From::Modern)
        .error(400, -32021, "taskIds needs the Tasks extension"),
        request("a listen by a client that takes no events", "subscriptions/listen", r#""notifications":{}"#)
            .from(From::Modern)
            .header("accept", "application/json")
            .error(400, -32600, "text/event-stream"),
    ]
}
