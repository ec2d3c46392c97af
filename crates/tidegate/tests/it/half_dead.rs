//! `tidegate migrate check` and another gateway that is slow, half dead or hostile: it ends in time, says
//! what was wrong, and never takes it for a gateway that is the same.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::program::{DEMO, Folder, Ran};

/// The longest that a command may take whose time for an answer is a second: several requests, each of which
/// may be made once more, and what starts and stops around them.
const LONGEST: Duration = Duration::from_secs(30);

/// What comes of a request.
#[derive(Debug, Clone)]
enum Does {
    /// It is answered.
    Answer(Value),
    /// Nothing, ever.
    Nothing,
    /// The connection ends without an answer.
    Ends,
    /// Half an answer, and nothing more.
    Half,
    /// Half an answer, and the connection ends.
    HalfAndEnds,
    /// A stream of events that goes on for ever and has no answer in it.
    Dribbles,
    /// An answer that never ends, as fast as it is taken.
    Huge,
    /// What is no answer.
    Garbage,
}

/// What another gateway does, by the method and the parameters.
type Way = dyn Fn(&str, &Value) -> Does + Send + Sync;

/// A gateway of 2025-11-25 without sessions that does, beyond the handshake, what `way` says. Gives its URL.
async fn gateway(way: impl Fn(&str, &Value) -> Does + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let way: Arc<Way> = Arc::new(way);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(connection(tcp, Arc::clone(&way)));
        }
    });
    url
}

async fn connection(mut tcp: TcpStream, way: Arc<Way>) {
    let mut read = Vec::new();
    loop {
        let Some((head, body)) = request(&mut tcp, &mut read).await else { return };
        let message: Value = serde_json::from_str(&body).unwrap_or_default();
        let method = message["method"].as_str().unwrap_or_default();
        let empty = |status: &str| format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        let does = match method {
            _ if head.starts_with("GET ") => {
                let _ = tcp.write_all(empty("405 Method Not Allowed").as_bytes()).await;
                continue;
            }
            _ if message["id"].is_null() => {
                let _ = tcp.write_all(empty("202 Accepted").as_bytes()).await;
                continue;
            }
            "initialize" => Does::Answer(json!({"result": {"protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}}, "serverInfo": {"name": "other", "version": "1"}}})),
            "tools/list" | "tools/call" => way(method, &message["params"]),
            _ => Does::Answer(json!({"error": {"code": -32601, "message": "no such method"}})),
        };
        if !answer(&mut tcp, &message["id"], does).await {
            return;
        }
    }
}

/// The next request: its head and its body. `None`: there is no more.
async fn request(tcp: &mut TcpStream, read: &mut Vec<u8>) -> Option<(String, String)> {
    loop {
        let text = String::from_utf8_lossy(read).into_owned();
        if let Some((head, rest)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
            let length: usize = length.parse().unwrap();
            if let Some(body) = rest.get(..length) {
                read.drain(..head.len() + 4 + length);
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        if tcp.read_buf(read).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

/// Whether the connection goes on.
async fn answer(tcp: &mut TcpStream, id: &Value, does: Does) -> bool {
    let head = |kind: &str, length: usize| {
        format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n")
    };
    let text = format!("{{\"jsonrpc\": \"2.0\", \"id\": {id}, \"result\": {{\"content\": [");
    match does {
        Does::Answer(mut message) => {
            message["jsonrpc"] = json!("2.0");
            message["id"] = id.clone();
            let body = message.to_string();
            let whole = head("application/json", body.len()) + &body;
            tcp.write_all(whole.as_bytes()).await.is_ok()
        }
        Does::Garbage => {
            let whole = head("text/html", 14) + "<h1>Hello</h1>";
            tcp.write_all(whole.as_bytes()).await.is_ok()
        }
        Does::Nothing => until_it_goes(tcp).await,
        Does::Ends => false,
        Does::HalfAndEnds => {
            let _ = tcp.write_all((head("application/json", 5000) + &text).as_bytes()).await;
            false
        }
        Does::Half => {
            let _ = tcp.write_all((head("application/json", 5000) + &text).as_bytes()).await;
            until_it_goes(tcp).await
        }
        Does::Dribbles => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
            let _ = tcp.write_all(head.as_bytes()).await;
            let mut beat = tokio::time::interval(Duration::from_millis(50));
            while tcp.write_all(b": still here\n\n").await.is_ok() {
                beat.tick().await;
            }
            false
        }
        Does::Huge => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
            let piece = "{\"type\": \"text\", \"text\": \"more\"},".repeat(2000);
            let _ = tcp.write_all((head.to_owned() + &text).as_bytes()).await;
            while tcp.write_all(piece.as_bytes()).await.is_ok() {}
            false
        }
    }
}

async fn until_it_goes(tcp: &mut TcpStream) -> bool {
    let mut rest = [0; 64];
    while tcp.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    false
}

/// The one tool that all have.
fn tools() -> Value {
    json!({"result": {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}})
}

/// Compares what is at the URL with the demo server, with one call.
async fn check(url: &str, more: &[&str]) -> Ran {
    let folder = Folder::with(&format!("upstreams: {{shop: {{command: {DEMO}, expose: [echo]}}}}"));
    let calls = folder.write("calls", "{\"tool\": \"echo\", \"arguments\": {\"text\": \"a\"}}\n");
    let calls = calls.display().to_string();
    let ignored =
        ["title", "description", "icons", "inputSchema", "outputSchema", "annotations", "execution"];
    let ignored = ignored.iter().flat_map(|member| ["--ignore", member]);
    let mut arguments = vec!["migrate", "check", "--url", url, "--calls", &calls, "--timeout", "1s"];
    arguments.extend(ignored);
    arguments.extend(more);
    tokio::time::timeout(LONGEST, folder.run(&arguments)).await.expect("it comes to an end")
}

#[tokio::test]
async fn the_gateway_of_these_tests_is_the_same_where_it_answers_as_it_should() {
    let url = gateway(|method, _| match method {
        "tools/list" => Does::Answer(tools()),
        _ => Does::Answer(json!({"result": {"content": [{"type": "text", "text": "a"}]}})),
    });
    let ran = check(&url.await, &[]).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("0 of 1 answer differ"), "{}", ran.stdout);
}

#[tokio::test]
async fn a_list_of_tools_that_never_comes_ends_in_time_and_says_of_whom_it_was() {
    for (does, why) in [
        (Does::Nothing, "did not answer in time"),
        (Does::Half, "did not answer in time"),
        (Does::Dribbles, "did not answer in time"),
        (Does::Ends, "broke off"),
        (Does::HalfAndEnds, "broke off"),
        (Does::Garbage, "no answer"),
        (Does::Huge, "a list larger than"),
    ] {
        let way = does.clone();
        let url = gateway(move |_, _| way.clone()).await;
        let said = check(&url, &[]).await.bad(4);
        assert!(said.contains("list the tools of the other gateway"), "{does:?}: {said}");
        assert!(said.contains(why), "{does:?}: {said}");
    }
}

#[tokio::test]
async fn an_answer_that_never_comes_is_a_difference_and_the_tools_are_told_all_the_same() {
    for (does, why) in [
        (Does::Nothing, "did not answer in time"),
        (Does::Half, "did not answer in time"),
        (Does::Dribbles, "did not answer in time"),
        (Does::Ends, "broke off"),
        (Does::HalfAndEnds, "broke off"),
        (Does::Garbage, "no answer"),
        // Whichever comes first: the time, or the size.
        (Does::Huge, "did not answer in time"),
    ] {
        let way = does.clone();
        let url = gateway(move |method, _| match method {
            "tools/list" => Does::Answer(tools()),
            _ => way.clone(),
        });
        let ran = check(&url.await, &["--output", "json"]).await;
        assert_eq!((ran.code, &*ran.stderr), (4, ""), "{does:?}: {ran:?}");
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(report["same"], false, "{does:?}");
        assert_eq!(report["tools"][0]["differences"], json!([]), "{does:?}: {}", ran.stdout);
        let error = &report["calls"][0]["answers"]["old"]["error"]["message"];
        let is_told = |error: &str| error.contains(why) || error.contains("too large");
        assert!(error.as_str().is_some_and(is_told), "{does:?}: {error}");
        assert_eq!(report["calls"][0]["answers"]["new"]["result"]["content"][0]["text"], "a", "{does:?}");
        assert_eq!(report["calls"][0]["differences"].as_array().unwrap().len(), 1, "{does:?}");
    }
}

#[tokio::test]
async fn two_that_both_do_not_answer_are_not_the_same() {
    for does in [Does::Nothing, Does::Ends, Does::Garbage] {
        let way = move |method: &str, _: &Value| match method {
            "tools/list" => Does::Answer(tools()),
            _ => does.clone(),
        };
        let (old, new) = (gateway(way.clone()).await, gateway(way).await);
        let folder = Folder::new();
        let calls = folder.write("calls", "{\"tool\": \"echo\"}\n").display().to_string();
        let sides = ["--url", &old, "--new-url", &new, "--calls", &calls, "--timeout", "1s"];
        let ran = folder.run(&[&["migrate", "check"], &sides[..]].concat()).await;
        assert_eq!(ran.code, 4, "{ran:?}");
        assert!(ran.stdout.contains("1 of 1 answer differ"), "{}", ran.stdout);
    }
}

#[tokio::test]
async fn a_list_that_has_always_one_more_page_has_an_end() {
    let url = gateway(|_, params| {
        let page = params["cursor"].as_str().and_then(|cursor| cursor.parse::<u64>().ok()).unwrap_or(0);
        let name = format!("tool-{page}");
        let tools = json!([{"name": name, "inputSchema": {"type": "object"}}]);
        Does::Answer(json!({"result": {"tools": tools, "nextCursor": (page + 1).to_string()}}))
    });
    // By time, or by the most pages of a list, whichever comes first: the same it is never.
    let ran = check(&url.await, &[]).await;
    assert!(matches!(ran.code, 2 | 4) && ran.stdout.is_empty(), "{ran:?}");
}
