//! What spans say, and how they hang together across the hops.

use demo::Revision;
use serde_json::{Value, json};
use testkit::within;

use crate::collector::{Collector, Seen};
use crate::{World, watched};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn parent() -> String {
    format!("00-{TRACE}-{SPAN}-01")
}

fn call(tool: &str, arguments: Value, meta: Value) -> Value {
    json!({ "name": tool, "arguments": arguments, "_meta": meta })
}

/// The spans of one call, its server side and its client side.
async fn sides(collector: &Collector, method: &str, trace: &str) -> (Seen, Seen) {
    let is = |s: &Seen| s.trace_id == trace && s.get("mcp.method.name") == Some(method);
    let server = |s: &[Seen]| s.iter().find(|s| is(s) && s.is_server()).cloned();
    let client = |s: &[Seen]| s.iter().find(|s| is(s) && s.is_client()).cloned();
    let spans = collector.wait(|s| server(s).is_some() && client(s).is_some()).await;
    (server(&spans).expect("a server span"), client(&spans).expect("a client span"))
}

fn sent_context(seen: &demo::Seen) -> Value {
    seen.message["params"]["_meta"]["traceparent"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_call_is_one_trace_from_the_client_to_the_server_in_every_pair_of_eras() {
    for upstream in [Revision::V2026_07_28, Revision::V2025_11_25, Revision::V2024_11_05] {
        for revision in [Revision::V2026_07_28, Revision::V2025_06_18] {
            let (world, collector) = watched(upstream).await;
            let client = world.client(revision).await;
            let meta = json!({ "traceparent": parent(), "tracestate": "a=1,b=2", "baggage": "user=alice" });
            let outcome = client.request("tools/call", call("crm_echo", json!({ "text": "x" }), meta)).await;
            assert_eq!(outcome.text(), "x");
            let (server, client) = sides(&collector, "tools/call", TRACE).await;
            assert_eq!(server.parent, SPAN, "{upstream} {revision}");
            assert_eq!(client.parent, server.span_id, "{upstream} {revision}");
            let seen = world.demo.server.stats().last("tools/call").expect("a call");
            let ours = format!("00-{TRACE}-{}-01", client.span_id);
            assert_eq!(sent_context(&seen), json!(ours), "{upstream} {revision}");
            assert_eq!(seen.message["params"]["_meta"]["tracestate"], "a=1,b=2");
            assert_eq!(seen.message["params"]["_meta"]["baggage"], Value::Null, "baggage stays here");
            if upstream != Revision::V2024_11_05 {
                let header =
                    |name: &str| seen.headers.get(name).map(|v| v.to_str().expect("text").to_owned());
                assert_eq!(header("traceparent"), Some(ours));
                assert_eq!(header("tracestate").as_deref(), Some("a=1,b=2"));
                assert_eq!(header("baggage"), None);
            }
            world.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_are_named_and_described_as_the_conventions_say() {
    let (world, collector) = watched(Revision::V2025_11_25).await;
    // The tool's name is in the catalog: the client has listed it.
    let client = world.client(Revision::V2026_07_28).await;
    client.request("tools/list", json!({})).await;
    let meta = json!({ "traceparent": parent(), "tracestate": "a=1" });
    client.request("tools/call", call("crm_echo", json!({ "text": "hunter2" }), meta)).await;
    let (server, sent) = sides(&collector, "tools/call", TRACE).await;
    assert_eq!((server.name.as_str(), sent.name.as_str()), ("tools/call crm_echo", "tools/call echo"));
    assert_eq!((server.service.as_str(), server.state.as_str()), ("gate", "a=1"));
    for (name, of_server, of_client) in [
        ("mcp.method.name", Some("tools/call"), Some("tools/call")),
        ("mcp.protocol.version", Some("2026-07-28"), Some("2025-11-25")),
        ("gen_ai.operation.name", Some("execute_tool"), Some("execute_tool")),
        ("gen_ai.tool.name", Some("crm_echo"), Some("echo")),
        ("network.transport", Some("tcp"), Some("tcp")),
        ("network.protocol.name", Some("http"), Some("http")),
        ("tidegate.endpoint", Some("mcp"), None),
        ("tidegate.upstream", Some("crm"), Some("crm")),
        ("server.address", None, Some("127.0.0.1")),
        ("error.type", None, None),
        ("rpc.response.status_code", None, None),
    ] {
        assert_eq!((server.get(name), sent.get(name)), (of_server, of_client), "{name}");
    }
    let seen = world.demo.server.stats().last("tools/call").expect("a call");
    assert_eq!(sent.get("jsonrpc.request.id"), Some(seen.message["id"].to_string().as_str()));
    assert!(server.get("jsonrpc.request.id").is_some());
    assert_eq!(sent.get("server.port"), Some(world.demo.address().port().to_string().as_str()));
    assert_eq!((server.status, sent.status), (0, 0));
    assert!(collector.paths().iter().all(|path| path == "/v1/traces"));
    let told = format!("{:?}", collector.spans());
    assert!(!told.contains("hunter2"), "arguments are nobody's business");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_told_apart_on_both_sides() {
    let (world, collector) = watched(Revision::V2026_07_28).await;
    let client = world.client(Revision::V2026_07_28).await;
    let trace = |n: u8| format!("{n:032x}");
    let meta = |n: u8| json!({ "traceparent": format!("00-{}-{SPAN}-01", trace(n)) });
    client.request("tools/call", call("crm_fail", json!({}), meta(1))).await;
    let (server, sent) = sides(&collector, "tools/call", &trace(1)).await;
    for span in [&server, &sent] {
        assert_eq!((span.get("error.type"), span.status), (Some("tool_error"), 2), "{span:?}");
        assert_eq!(span.get("rpc.response.status_code"), None);
    }
    // Whoever asks makes a mistake: an error for who asked, and none for who answers.
    client.request("tools/call", call("crm_nothing", json!({}), meta(2))).await;
    let (server, sent) = sides(&collector, "tools/call", &trace(2)).await;
    assert_eq!((server.name.as_str(), server.status, server.get("error.type")), ("tools/call", 0, None));
    assert_eq!((sent.name.as_str(), sent.status, sent.get("error.type")), ("tools/call", 2, Some("-32602")));
    assert_eq!(server.get("rpc.response.status_code"), Some("-32602"));
    assert!(sent.message.contains("Unknown tool"), "{sent:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_fetched_is_a_part_of_the_call_that_needed_it() {
    let (world, collector) = watched(Revision::V2026_07_28).await;
    let client = world.client(Revision::V2026_07_28).await;
    client.request("tools/list", json!({ "_meta": { "traceparent": parent() } })).await;
    let (server, sent) = sides(&collector, "tools/list", TRACE).await;
    assert_eq!((server.parent.as_str(), sent.parent.as_str()), (SPAN, server.span_id.as_str()));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_recorded_upstream_is_not_recorded_here_and_says_so_further_on() {
    let (world, collector) = watched(Revision::V2026_07_28).await;
    let client = world.client(Revision::V2026_07_28).await;
    let unrecorded = json!({ "traceparent": format!("00-{TRACE}-{SPAN}-00") });
    client.request("tools/call", call("crm_echo", json!({ "text": "x" }), unrecorded)).await;
    let seen = sent_context(&world.demo.server.stats().last("tools/call").expect("a call"));
    let seen = seen.as_str().expect("text");
    assert!(seen.starts_with(&format!("00-{TRACE}-")) && seen.ends_with("-00"), "{seen}");
    assert!(!seen.contains(SPAN), "the hop has a span id of its own: {seen}");
    world.stop().await;
    assert!(collector.spans().iter().all(|s| s.trace_id != TRACE), "{:?}", collector.spans());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_a_context_begins_a_trace_unless_none_are_to_begin() {
    let (world, collector) = watched(Revision::V2026_07_28).await;
    let client = world.client(Revision::V2026_07_28).await;
    client.call_tool("crm_echo", json!({ "text": "x" })).await;
    let is = |s: &Seen| s.is_server() && s.get("mcp.method.name") == Some("tools/call");
    let spans = collector.wait(|s| s.iter().any(is)).await;
    let root = spans.iter().find(|s| is(s)).expect("a span");
    assert_eq!(root.parent, "");
    world.stop().await;

    let collector = Collector::start().await;
    let world = World::start(&collector.url(), Revision::V2026_07_28, |o| o.sample_ratio = 0.0).await;
    let client = world.client(Revision::V2026_07_28).await;
    client.call_tool("crm_echo", json!({ "text": "x" })).await;
    let meta = json!({ "traceparent": parent() });
    client.request("tools/call", call("crm_echo", json!({ "text": "x" }), meta)).await;
    sides(&collector, "tools/call", TRACE).await;
    world.stop().await;
    assert!(collector.spans().iter().all(|s| s.trace_id == TRACE), "only what came in is recorded");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_http_request_counts_where_the_message_is_silent_and_is_linked_where_it_is_not() {
    let (world, collector) = watched(Revision::V2026_07_28).await;
    let http = testkit::http::Http::new(world.gateway.address());
    let other = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let send = async |meta: Value| {
        let mut meta = meta;
        meta["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
        meta["io.modelcontextprotocol/clientCapabilities"] = json!({});
        let params = call("crm_echo", json!({ "text": "x" }), meta);
        let body = json!({ "jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": params });
        let request = http.post("/mcp", body).header("mcp-protocol-version", "2026-07-28");
        let request = request.header("mcp-method", "tools/call").header("mcp-name", "crm_echo");
        request.header("traceparent", other).send().await.json().await
    };
    assert_eq!(within(send(json!({}))).await["id"], "a");
    let (server, _) = sides(&collector, "tools/call", "0af7651916cd43dd8448eb211c80319c").await;
    assert_eq!((server.parent.as_str(), server.links.len()), ("b7ad6b7169203331", 0));
    assert_eq!(server.get("jsonrpc.request.id"), Some("a"));
    within(send(json!({ "traceparent": parent() }))).await;
    let (server, _) = sides(&collector, "tools/call", TRACE).await;
    assert_eq!(
        (server.parent.as_str(), server.links.as_slice()),
        (SPAN, &["b7ad6b7169203331".to_owned()][..])
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_streams_lasts_until_its_result_and_one_that_is_given_up_says_so() {
    let (world, collector) = watched(Revision::V2026_07_28).await;
    let client = world.client(Revision::V2026_07_28).await;
    let meta = json!({ "traceparent": parent(), "progressToken": "p" });
    let running = client.start("tools/call", call("crm_slow", json!({ "steps": 1_000_000 }), meta));
    world.demo.server.stats().wait_until(|stats| stats.requests("tools/call") == 1).await;
    assert!(collector.spans().iter().all(|s| s.trace_id != TRACE), "it has not ended");
    within(running.cancel()).await;
    let (server, sent) = sides(&collector, "tools/call", TRACE).await;
    for span in [&server, &sent] {
        assert_eq!((span.get("error.type"), span.status), (Some("cancelled"), 2), "{span:?}");
    }
    world.stop().await;
}
