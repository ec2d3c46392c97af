//! Headers that do not say what the body says, and revisions that nobody speaks.

use super::row::{From, Row, good, post, request};

const MISMATCH: i64 = -32020;
const UNSUPPORTED: i64 = -32022;
const NAME: &str = "mcp-name";
const METHOD: &str = "mcp-method";
const VERSION: &str = "mcp-protocol-version";
const REGION: &str = "mcp-param-region";

pub fn rows() -> Vec<Row> {
    let mut rows = version_header();
    rows.extend(versions());
    rows.extend(legacy_versions());
    rows.extend(method_header());
    rows.extend(name_header());
    rows.extend(param_header());
    rows
}

fn mismatch(row: Row, why: &'static str) -> Row {
    row.from(From::Modern).error(400, MISMATCH, why)
}

fn version_header() -> Vec<Row> {
    let differs = |what, value: &[u8]| mismatch(good(what).header(VERSION, value), "differs from the body");
    vec![
        mismatch(good("no version header").without(VERSION), "header is missing"),
        mismatch(good("the version header twice").also(VERSION, "2026-07-28"), "more than once"),
        mismatch(good("two version headers that differ").also(VERSION, "2025-11-25"), "more than once"),
        differs("an empty version header", b""),
        differs("the header of an older revision", b"2025-11-25"),
        differs("the header of a revision to come", b"2027-01-01"),
        differs("two versions in one header", b"2026-07-28, 2026-07-28"),
        differs("a version header in quotes", b"\"2026-07-28\""),
        differs("a version header in Base64", b"=?base64?MjAyNi0wNy0yOA==?="),
        mismatch(
            good("a version header with a dash that is none").header(VERSION, b"2026\xe2\x80\x9107-28"),
            "is not text",
        ),
        differs("a version header of 4,000 letters", &[b'2'; 4_000]),
    ]
}

/// The header and the body agree on a revision that is not spoken this way.
fn versions() -> Vec<Row> {
    [
        ("the last legacy revision in modern clothes", "2025-11-25"),
        ("the first revision in modern clothes", "2024-11-05"),
        ("a revision before the first", "1999-01-01"),
        ("a revision one day late", "2026-07-29"),
        ("a revision to come", "2099-12-31"),
        ("a revision by name", "draft"),
        ("a release candidate", "2026-07-28-RC"),
        ("a revision without zeros", "2026-7-28"),
        ("a revision in another order", "28-07-2026"),
        ("a revision that is a star", "*"),
        ("two revisions", "2026-07-28,2025-11-25"),
    ]
    .into_iter()
    .map(|(what, version)| {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{{"_meta":{{
                "io.modelcontextprotocol/protocolVersion":"{version}",
                "io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
        );
        let row = post(what, body).from(From::Modern).header(VERSION, version);
        row.error(400, UNSUPPORTED, "Unsupported protocol version")
    })
    .collect()
}

fn legacy_versions() -> Vec<Row> {
    let unsupported = |what, value: &[u8]| {
        let row = good(what).from(From::Sessions).header(VERSION, value);
        row.error(400, -32000, "unsupported MCP-Protocol-Version")
    };
    vec![
        unsupported("a session with a version header before the first", b"1999-01-01"),
        unsupported("a session with an empty version header", b""),
        unsupported("a session with a version header that is a number", b"1"),
        unsupported("a session with two versions in one header", b"2025-06-18, 2025-11-25"),
        unsupported("a session with a version header of bytes", b"\xff\xfe"),
        good("a session with a version header to come")
            .from(From::Sessions)
            .header(VERSION, "2099-01-01")
            .error(400, -32602, "_meta lacks"),
        good("a session with the modern version header")
            .from(From::Sessions)
            .header(VERSION, "2026-07-28")
            .error(400, -32602, "_meta lacks"),
    ]
}

fn method_header() -> Vec<Row> {
    let differs = |what, value: &[u8]| mismatch(good(what).header(METHOD, value), "mcp-method");
    vec![
        mismatch(good("no method header").without(METHOD), "mcp-method header is missing"),
        mismatch(good("the method header twice").also(METHOD, "tools/list"), "more than once"),
        mismatch(good("two method headers that differ").also(METHOD, "tools/call"), "more than once"),
        differs("an empty method header", b""),
        differs("another method in the header", b"tools/call"),
        differs("the method in capitals", b"TOOLS/LIST"),
        differs("the method with a capital", b"Tools/list"),
        differs("the method with a slash behind it", b"tools/list/"),
        differs("the method and another", b"tools/list, tools/call"),
        differs("the method in bytes that are no text", b"tools/list\xff"),
        mismatch(
            request("a harmless method in the header", "tools/call", r#""name":"crm_counter""#)
                .header(METHOD, "tools/list"),
            "mcp-method differs",
        ),
    ]
}

fn name_header() -> Vec<Row> {
    let call = |what| request(what, "tools/call", r#""name":"crm_counter""#);
    let differs = |what, value: &[u8]| mismatch(call(what).header(NAME, value), "differs from the body");
    let garbled = |what, value: &[u8]| mismatch(call(what).header(NAME, value), "not properly encoded");
    vec![
        mismatch(call("no name header").without(NAME), "mcp-name header is missing"),
        mismatch(call("the name header twice").also(NAME, "crm_counter"), "more than once"),
        mismatch(call("two name headers that differ").also(NAME, "crm_echo"), "more than once"),
        differs("an empty name header", b""),
        differs("another name in the header", b"crm_echo"),
        differs("the name in capitals", b"CRM_COUNTER"),
        differs("the name without its prefix", b"counter"),
        differs("the name in quotes", b"\"crm_counter\""),
        differs("the name with percent escapes", b"crm%5Fcounter"),
        differs("the name and another", b"crm_counter, crm_echo"),
        differs("another name in Base64", b"=?base64?Y3JtX2VjaG8=?="),
        differs("the name in Base64 with a marker in capitals", b"=?BASE64?Y3JtX2NvdW50ZXI=?="),
        differs("the name in Base64 as RFC 2047 has it", b"=?utf-8?B?Y3JtX2NvdW50ZXI=?="),
        differs("the name in Base64, twice", b"=?base64?PT9iYXNlNjQ/WTNKdFgyTnZkVzUwWlhJPT89?="),
        differs("the name in Base64 without its end", b"=?base64?Y3JtX2NvdW50ZXI="),
        garbled("the name in Base64 without padding", b"=?base64?Y3JtX2NvdW50ZXI?="),
        garbled("the name in Base64 with other letters", b"=?base64?****?="),
        garbled("the name in Base64 with spaces", b"=?base64?Y3Jt X2Nv dW50 ZXI=?="),
        garbled("the name in Base64 of the URL's alphabet", b"=?base64?_-_-?="),
        garbled("a name in Base64 that is no UTF-8", b"=?base64?//8=?="),
        garbled("a name in bytes that are no ASCII", "crm_c\u{f6}unter".as_bytes()),
        call("the name in Base64").from(From::Modern).header(NAME, "=?base64?Y3JtX2NvdW50ZXI=?=").reaches(),
        mismatch(
            request("a harmless prompt in the header", "prompts/get", r#""name":"crm_greet""#)
                .header(NAME, "crm_plan"),
            "differs from the body",
        ),
        mismatch(
            request("another resource in the header", "resources/read", r#""uri":"demo://readme""#)
                .header(NAME, "demo://logo"),
            "differs from the body",
        ),
        mismatch(
            request("no resource in the header", "resources/read", r#""uri":"demo://readme""#).without(NAME),
            "mcp-name header is missing",
        ),
        mismatch(
            request("a name in the header that the body lacks", "tools/call", "").header(NAME, "crm_counter"),
            "differs from the body",
        ),
    ]
}

/// `lookup_region` repeats its argument in `Mcp-Param-Region`.
fn param_header() -> Vec<Row> {
    let lookup = |what, argument: &str| {
        request(what, "tools/call", &format!(r#""name":"crm_lookup_region","arguments":{{{argument}}}"#))
    };
    let eu = r#""region":"eu""#;
    let differs =
        |what, value: &[u8]| mismatch(lookup(what, eu).header(REGION, value), "differs from the argument");
    vec![
        mismatch(lookup("no header for an argument", eu), "mcp-param-region header is missing"),
        mismatch(
            lookup("an argument's header twice", eu).header(REGION, "eu").also(REGION, "eu"),
            "more than once",
        ),
        differs("an empty header for an argument", b""),
        differs("another value in an argument's header", b"us"),
        differs("an argument's value in capitals", b"EU"),
        differs("an argument's value in quotes", b"\"eu\""),
        differs("an argument's values in a list", b"eu, us"),
        differs("another value in Base64", b"=?base64?dXM=?="),
        mismatch(
            lookup("an argument in Base64 that is none", eu).header(REGION, "=?base64?eu?="),
            "not properly encoded",
        ),
        mismatch(
            lookup("a header for an argument that is null", r#""region":null"#).header(REGION, "eu"),
            "repeats no",
        ),
        mismatch(
            lookup("a header for an argument that is not there", "").header(REGION, "eu"),
            "repeats no argument",
        ),
        mismatch(
            lookup("a header for an argument that stands twice", r#""region":"eu","region":"us""#)
                .header(REGION, "eu"),
            "stands twice",
        ),
        mismatch(
            lookup("an argument that stands twice, without a header", r#""region":"eu","region":"us""#),
            "stands twice",
        ),
        mismatch(
            lookup("a header for an argument that is an array", r#""region":["eu"]"#).header(REGION, "eu"),
            "repeats no argument",
        ),
        lookup("an argument in Base64", eu).from(From::Modern).header(REGION, "=?base64?ZXU=?=").reaches(),
    ]
}
