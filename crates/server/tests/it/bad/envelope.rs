//! JSON that is no JSON-RPC 2.0 message, and messages that mean nothing here.

use testkit::Revision;

use super::row::{From, Row, good, post, request};

const INVALID: i64 = -32600;

pub fn rows() -> Vec<Row> {
    let mut rows = values();
    rows.extend(members());
    rows.extend(ids());
    rows.extend(responses());
    rows.extend(methods());
    rows.extend(batches());
    rows
}

fn values() -> Vec<Row> {
    let no_object = |what, body: &str| post(what, body).error(400, INVALID, "expected an object");
    vec![
        no_object("null", "null"),
        no_object("a number", "7"),
        no_object("a string", r#""tools/list""#),
        no_object("true", "true"),
        post("an empty object", "{}").error(400, INVALID, "\"jsonrpc\" must be \"2.0\""),
    ]
}

fn members() -> Vec<Row> {
    let no_version = |what, body: &str| post(what, body).error(400, INVALID, "\"jsonrpc\" must be \"2.0\"");
    let no_method = |what, body: &str| post(what, body).error(400, INVALID, "\"method\" must be a string");
    let no_params = |what, body: &str| post(what, body).error(400, INVALID, "\"params\" must be an object");
    vec![
        no_version("no version of JSON-RPC", r#"{"id":7,"method":"tools/list","params":{"_meta":META}}"#),
        no_version("JSON-RPC 1.0", r#"{"jsonrpc":"1.0","id":7,"method":"tools/list","params":{}}"#),
        no_version("JSON-RPC 2", r#"{"jsonrpc":"2","id":7,"method":"tools/list","params":{}}"#),
        no_version("JSON-RPC 2.0 as a number", r#"{"jsonrpc":2.0,"id":7,"method":"tools/list","params":{}}"#),
        no_version("JSON-RPC 2.0 with a space", r#"{"jsonrpc":"2.0 ","id":7,"method":"tools/list"}"#),
        no_version("JSON-RPC null", r#"{"jsonrpc":null,"id":7,"method":"tools/list","params":{}}"#),
        no_version("JSON-RPC in an array", r#"{"jsonrpc":["2.0"],"id":7,"method":"tools/list"}"#),
        no_version("JSONRPC in capitals", r#"{"JSONRPC":"2.0","id":7,"method":"tools/list"}"#),
        no_method("a method that is null", r#"{"jsonrpc":"2.0","id":7,"method":null,"params":{}}"#),
        no_method("a method that is a number", r#"{"jsonrpc":"2.0","id":7,"method":1,"params":{}}"#),
        no_method("a method that is true", r#"{"jsonrpc":"2.0","id":7,"method":true,"params":{}}"#),
        no_method("a method in an array", r#"{"jsonrpc":"2.0","id":7,"method":["tools/list"]}"#),
        no_method("a method in an object", r#"{"jsonrpc":"2.0","id":7,"method":{"a":"tools/list"}}"#),
        no_params("params that are null", r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":null}"#),
        no_params(
            "params that are an array",
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":[1]}"#,
        ),
        no_params(
            "params that are a string",
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":"x"}"#,
        ),
        no_params("params that are a number", r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":0}"#),
        no_params(
            "params that are false",
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":false}"#,
        ),
        no_params(
            "a notification with params that are an array",
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":[]}"#,
        ),
    ]
}

fn ids() -> Vec<Row> {
    let no_id = |what, id: &str| {
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list","params":{{"_meta":META}}}}"#);
        post(what, body).error(400, INVALID, "\"id\" must be a string or an integer")
    };
    let fine = |what, id: &str| {
        post(
            what,
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list","params":{{"_meta":META}}}}"#),
        )
    };
    vec![
        no_id("an id that is null", "null"),
        no_id("an id that is true", "true"),
        no_id("an id that is an array", "[7]"),
        no_id("an id that is an object", r#"{"a":7}"#),
        no_id("an id that is a fraction", "7.5"),
        no_id("an id that is an integer with a point", "7.0"),
        no_id("an id with an exponent", "7e2"),
        fine("an id past 64 bits", "340282366920938463463374607431768211456"),
        fine("an id of a hundred digits", &"9".repeat(100)),
        fine("a negative id", "-9223372036854775809"),
        fine("an empty id", r#""""#),
        fine("an id with escapes", r#""\u0061\n\u20ac""#),
        fine("a long id", &format!(r#""{}""#, "x".repeat(2_000))),
    ]
}

fn responses() -> Vec<Row> {
    vec![
        post("neither question nor answer", r#"{"jsonrpc":"2.0","id":7}"#).error(400, INVALID, "neither"),
        post("neither, and no id", r#"{"jsonrpc":"2.0"}"#).error(400, INVALID, "neither"),
        post("a question with a result", r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","result":{}}"#)
            .error(400, INVALID, "ask and answer at once"),
        post("a question with an error", r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","error":{}}"#)
            .error(400, INVALID, "ask and answer at once"),
        post("a result and an error", r#"{"jsonrpc":"2.0","id":7,"result":{},"error":{}}"#).error(
            400,
            INVALID,
            "a result and an error",
        ),
        post("a result without an id", r#"{"jsonrpc":"2.0","result":{}}"#).error(
            400,
            INVALID,
            "needs an \"id\"",
        ),
        post("a result for null", r#"{"jsonrpc":"2.0","id":null,"result":{}}"#).error(
            400,
            INVALID,
            "needs an \"id\"",
        ),
        post("a result with an id that is none", r#"{"jsonrpc":"2.0","id":[],"result":{}}"#).error(
            400,
            INVALID,
            "\"id\" must be",
        ),
        post("an error that is a string", r#"{"jsonrpc":"2.0","id":7,"error":"no"}"#).error(
            400,
            INVALID,
            "\"error\" must be an object",
        ),
        post("an error that is null", r#"{"jsonrpc":"2.0","id":7,"error":null}"#).error(
            400,
            INVALID,
            "\"error\" must be an object",
        ),
        post("an answer that nobody waits for", r#"{"jsonrpc":"2.0","id":"tidegate-1","result":{}}"#)
            .error(400, INVALID, "sends no responses")
            .legacy_status(202),
        post(
            "an error that nobody waits for",
            r#"{"jsonrpc":"2.0","id":99,"error":{"code":-1,"message":"x"}}"#,
        )
        .error(400, INVALID, "sends no responses")
        .legacy_status(202),
        post("an error for nobody", r#"{"jsonrpc":"2.0","error":{"code":-1,"message":"x"}}"#)
            .error(400, INVALID, "sends no responses")
            .legacy_status(202),
        post(
            "the cancellation of what does not run",
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99,"_meta":META}}"#,
        )
        .status(202),
        post(
            "a cancellation of nothing",
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{},"_meta":META}}"#,
        )
        .status(202),
        post(
            "an unknown notification",
            r#"{"jsonrpc":"2.0","method":"notifications/x","params":{"_meta":META}}"#,
        )
        .status(202),
    ]
}

fn methods() -> Vec<Row> {
    let unknown = |what, method: &str| {
        request(what, method, "").error(404, -32601, "Method not found").legacy(
            200,
            -32601,
            "Method not found",
        )
    };
    let mut rows = vec![
        unknown("an empty method", ""),
        unknown("an unknown method", "tools/destroy"),
        unknown("a method in capitals", "Tools/List"),
        unknown("a method with a space", "tools/list "),
        unknown("a method with a NUL", r"tools/list\u0000"),
        unknown("a method with a homoglyph", "t\u{43e}ols/list"),
        unknown("a method of 1,000 letters", &"x".repeat(1_000)),
        unknown("a notification with an id", "notifications/initialized"),
        unknown("a question of servers to the user", "elicitation/create"),
        unknown("a question of servers to the model", "sampling/createMessage"),
        unknown("a question of servers for roots", "roots/list"),
        unknown("a method of JSON-RPC itself", "rpc.discover"),
    ];
    for (what, method) in [
        ("initialize in the modern revision", "initialize"),
        ("ping in the modern revision", "ping"),
        ("logging/setLevel in the modern revision", "logging/setLevel"),
        ("resources/subscribe in the modern revision", "resources/subscribe"),
        ("resources/unsubscribe in the modern revision", "resources/unsubscribe"),
        ("tasks/list in the modern revision", "tasks/list"),
        ("tasks/result in the modern revision", "tasks/result"),
    ] {
        rows.push(request(what, method, "").from(From::Modern).error(404, -32601, "Method not found"));
    }
    for (what, method) in [
        ("server/discover in a session", "server/discover"),
        ("subscriptions/listen in a session", "subscriptions/listen"),
        ("tasks/update in a session", "tasks/update"),
    ] {
        rows.push(request(what, method, "").from(From::Legacy).error(200, -32601, "Method not found"));
    }
    rows.push(good("an unknown member beside the others").header("x-unknown", "1"));
    rows
}

fn batches() -> Vec<Row> {
    let only = From::Only(Revision::V2025_03_26);
    let one = r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":{"_meta":META}}"#;
    let mut rows: Vec<Row> = [
        (From::Modern, "no batches"),
        (From::Only(Revision::V2025_06_18), "no batches"),
        (From::Only(Revision::V2025_11_25), "no batches"),
        (From::Only(Revision::V2024_11_05), "expected an object"),
    ]
    .into_iter()
    .map(|(from, why)| {
        post("a batch in a revision without", format!("[{one}]")).from(from).error(400, INVALID, why)
    })
    .collect();
    let many = vec![one; 65].join(",");
    rows.extend([
        post("an empty batch", "[]").from(only).error(400, INVALID, "1 to 64 messages"),
        post("a batch of 65", format!("[{many}]")).from(only).error(400, INVALID, "1 to 64 messages"),
        post("a batch in a batch", format!("[[{one}]]")).from(only).error(400, INVALID, "expected an object"),
        post("a batch of numbers", "[1,2]").from(only).error(400, INVALID, "expected an object"),
        post("a batch with one that is no message", format!("[{one},{{}}]")).from(only).error(
            400,
            INVALID,
            "\"jsonrpc\" must be",
        ),
        post(
            "a batch with an id twice in one message",
            r#"[{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}]"#,
        )
        .from(only)
        .error(400, -32700, "duplicate member name"),
        post(
            "a batch with initialize in it",
            format!(r#"[{one},{{"jsonrpc":"2.0","id":8,"method":"initialize","params":{{}}}}]"#),
        )
        .from(only)
        .error(400, INVALID, "initialize cannot be part of a batch"),
        post("a batch that is never closed", format!("[{one},")).from(only).error(400, -32700, "Parse error"),
        post("a batch and more", format!("[{one}][{one}]")).from(only).error(400, -32700, "Parse error"),
    ]);
    rows
}
