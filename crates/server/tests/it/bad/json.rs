//! Bodies that are no JSON, or that two readers would read differently.

use super::row::{From, Row, post, request};

/// What stands for a message that nobody can read: no id, so none in the answer.
const PARSE: i64 = -32700;

pub fn rows() -> Vec<Row> {
    let mut rows = grammar();
    rows.extend(bytes());
    rows.extend(nesting());
    rows.extend(duplicates());
    rows
}

fn grammar() -> Vec<Row> {
    let unreadable = |what, body: &str| post(what, body).error(400, PARSE, "Parse error");
    vec![
        unreadable("an empty body", ""),
        unreadable("nothing but white space", " \r\n\t "),
        unreadable("an opening brace", "{"),
        unreadable("a closing brace", "}"),
        unreadable("a message that stops in a string", r#"{"jsonrpc":"2.0","id":7,"method":"tools/li"#),
        unreadable("a message that stops after a colon", r#"{"jsonrpc":"2.0","id":"#),
        unreadable("a message without its last brace", r#"{"jsonrpc":"2.0","id":7,"method":"tools/list""#),
        unreadable("a comma too many", r#"{"jsonrpc":"2.0","id":7,"method":"tools/list",}"#),
        unreadable("a comma too few", r#"{"jsonrpc":"2.0" "id":7,"method":"tools/list"}"#),
        unreadable("a colon too few", r#"{"jsonrpc" "2.0","id":7,"method":"tools/list"}"#),
        unreadable("single quotes", r"{'jsonrpc':'2.0','id':7,'method':'tools/list'}"),
        unreadable("a name without quotes", r#"{jsonrpc:"2.0","id":7,"method":"tools/list"}"#),
        unreadable("a comment", r#"{"jsonrpc":"2.0",/* hi */"id":7,"method":"tools/list"}"#),
        unreadable("brackets that do not match", r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"]"#),
        unreadable("something behind the message", r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"} x"#),
        unreadable(
            "two messages, one behind the other",
            r#"{"jsonrpc":"2.0","id":7,"method":"ping"}{"jsonrpc":"2.0","id":8,"method":"ping"}"#,
        ),
        unreadable(
            "two messages on two lines",
            "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}\n\
             {\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"ping\"}\n",
        ),
        unreadable("a form", "jsonrpc=2.0&id=7&method=tools/list"),
        unreadable("a page", "<html><body>tools/list</body></html>"),
        unreadable("an event", "data: {\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}\n\n"),
        unreadable("NaN", r#"{"jsonrpc":"2.0","id":NaN,"method":"tools/list"}"#),
        unreadable("Infinity", r#"{"jsonrpc":"2.0","id":-Infinity,"method":"tools/list"}"#),
        unreadable("a number with a plus", r#"{"jsonrpc":"2.0","id":+7,"method":"tools/list"}"#),
        unreadable("a number with a leading zero", r#"{"jsonrpc":"2.0","id":07,"method":"tools/list"}"#),
        unreadable(
            "a number without digits before its point",
            r#"{"jsonrpc":"2.0","id":.7,"method":"ping"}"#,
        ),
        unreadable(
            "a number without digits behind its point",
            r#"{"jsonrpc":"2.0","id":7.,"method":"ping"}"#,
        ),
        unreadable("a number without an exponent", r#"{"jsonrpc":"2.0","id":7e,"method":"tools/list"}"#),
        unreadable("a hexadecimal number", r#"{"jsonrpc":"2.0","id":0x7,"method":"tools/list"}"#),
        unreadable("a number with separators", r#"{"jsonrpc":"2.0","id":1_000,"method":"tools/list"}"#),
        unreadable("a lone minus", r#"{"jsonrpc":"2.0","id":-,"method":"tools/list"}"#),
        unreadable("True", r#"{"jsonrpc":"2.0","id":True,"method":"tools/list"}"#),
        unreadable("undefined", r#"{"jsonrpc":"2.0","id":undefined,"method":"tools/list"}"#),
        unreadable("an unknown escape", r#"{"jsonrpc":"2.0","id":"\x37","method":"tools/list"}"#),
        unreadable("an escape with too few digits", r#"{"jsonrpc":"2.0","id":"\u12","method":"tools/list"}"#),
        unreadable("an escape with wrong digits", r#"{"jsonrpc":"2.0","id":"\u12g4","method":"tools/list"}"#),
    ]
}

fn bytes() -> Vec<Row> {
    let around =
        |id: &[u8]| [br#"{"jsonrpc":"2.0","id":""#, id, br#"","method":"tools/list","params":{}}"#].concat();
    let unreadable = |what, body: Vec<u8>| post(what, body).error(400, PARSE, "Parse error");
    let utf16 = "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}";
    let little_endian: Vec<u8> = utf16.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        unreadable("a byte that no UTF-8 has", around(b"\xff")),
        unreadable("a continuation byte alone", around(b"\x80")),
        unreadable("a sequence that stops", around(b"\xe2\x82")),
        unreadable("a slash written overlong", around(b"\xc0\xaf")),
        unreadable("half of a surrogate pair in UTF-8", around(b"\xed\xa0\x80")),
        unreadable("a code point past the last", around(b"\xf4\x90\x80\x80")),
        unreadable("Latin-1", around(b"caf\xe9")),
        unreadable("UTF-16", little_endian),
        unreadable(
            "a byte order mark",
            format!("\u{feff}{}", r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#).into(),
        ),
        unreadable("a line break in a string", around(b"a\nb")),
        unreadable("a tab in a string", around(b"a\tb")),
        unreadable("a NUL in a string", around(b"a\0b")),
        unreadable(
            "a NUL behind the message",
            b"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}\0".to_vec(),
        ),
        unreadable(
            "a form feed as white space",
            b"\x0c{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"ping\"}".to_vec(),
        ),
        unreadable("a no-break space as white space", "{\u{a0}\"jsonrpc\":\"2.0\"}".into()),
        unreadable(
            "gzip",
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xabV\xca*.\x05\0\xf0\xe6\x9b\x7c\x05\0\0\0".to_vec(),
        ),
    ]
}

fn nesting() -> Vec<Row> {
    let around = |inner: String| {
        let params = format!(r#"{{"name":"crm_echo","arguments":{inner}}}"#);
        format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{params}}}"#)
    };
    let arrays = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let objects = |depth: usize| r#"{"a":"#.repeat(depth) + "1" + &"}".repeat(depth);
    let deep = |what, inner: String| post(what, around(inner)).error(400, PARSE, "nested too deeply");
    vec![
        deep("200 arrays in one another", arrays(200)),
        deep("200 objects in one another", objects(200)),
        deep("10,000 arrays that are never closed", "[".repeat(10_000)),
        deep("10,000 objects that are never closed", r#"{"a":"#.repeat(10_000)),
        post("10,000 arrays and no message", arrays(10_000)).error(400, PARSE, "nested too deeply"),
        post("an id of 200 arrays", format!(r#"{{"jsonrpc":"2.0","id":{},"method":"ping"}}"#, arrays(200)))
            .error(400, PARSE, "nested too deeply"),
    ]
}

fn duplicates() -> Vec<Row> {
    let twin = |what, body: &str| post(what, body).error(400, PARSE, "duplicate member name");
    let in_params = |what, params: &str| {
        request(what, "tools/call", params)
            .header("mcp-name", "crm_echo")
            .error(400, -32602, "duplicate member name")
            .legacy(200, -32602, "duplicate member name")
    };
    let many: String = (0..20).map(|n| format!(r#""x{n}":{n},"#)).collect();
    vec![
        twin("two ids", r#"{"jsonrpc":"2.0","id":7,"id":8,"method":"tools/list","params":{"_meta":META}}"#),
        twin("the same id twice", r#"{"jsonrpc":"2.0","id":7,"id":7,"method":"tools/list"}"#),
        twin("two methods", r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","method":"ping"}"#),
        twin("two versions of JSON-RPC", r#"{"jsonrpc":"2.0","jsonrpc":"1.0","id":7,"method":"tools/list"}"#),
        twin("two params", r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{},"params":{"a":1}}"#),
        twin("two ids, one of them escaped", r#"{"jsonrpc":"2.0","id":7,"\u0069d":8,"method":"tools/list"}"#),
        twin("two methods, both escaped", r#"{"jsonrpc":"2.0","id":7,"m\u0065thod":"a","meth\u006Fd":"b"}"#),
        twin("an unknown member twice", r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","x":1,"x":1}"#),
        twin("two results", r#"{"jsonrpc":"2.0","id":7,"result":{},"result":{}}"#),
        twin(
            "two methods among many members",
            &format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/list",{many}"method":"ping"}}"#),
        ),
        in_params("two names of a tool", r#""name":"crm_echo","name":"crm_add""#),
        in_params("two names, one of them escaped", r#""name":"crm_echo","n\u0061me":"crm_add""#),
        in_params("two sets of arguments", r#""name":"crm_echo","arguments":{},"arguments":{"text":"x"}"#),
        in_params("two _meta", r#""name":"crm_echo","_meta":{}"#),
        in_params("two _meta, one of them escaped", r#""name":"crm_echo","\u005fmeta":{}"#),
        post(
            "two versions of the protocol",
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{"_meta":{
                "io.modelcontextprotocol/protocolVersion":"2026-07-28",
                "io.modelcontextprotocol/protocolVersion":"2025-11-25",
                "io.modelcontextprotocol/clientCapabilities":{}}}}"#,
        )
        .error(400, -32602, "duplicate member name")
        .legacy(200, -32602, "duplicate member name"),
        post(
            "two progress tokens, one of them escaped",
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{"_meta":{
                "io.modelcontextprotocol/protocolVersion":"2026-07-28",
                "io.modelcontextprotocol/clientCapabilities":{},
                "progressToken":1,"progress\u0054oken":2}}}"#,
        )
        .from(From::Modern)
        .error(400, -32602, "duplicate member name"),
    ]
}
