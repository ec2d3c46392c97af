//! `tidegate upstreams`, and what the protocol, the log and the metrics say of the same upstreams.
//!
//! Unreachable, speaking another revision, and having nothing are three answers, everywhere.

use demo::Server;
use serde_json::{Value, json};
use testkit::{Client, Demo, Revision};

use crate::operators::Office;
use crate::program::{Folder, names};

/// Upstreams in every state, and what keeps them there.
struct States {
    folder: Folder,
    _demos: Vec<Demo>,
}

/// A server that answers every request with a page for people.
async fn website() -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 65_536]).await;
                let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 4\r\n\
                            connection: close\r\n\r\n<h1>";
                let _ = stream.write_all(page.as_bytes()).await;
            });
        }
    });
    address
}

async fn states() -> States {
    let modern = Demo::speaking(Revision::V2026_07_28).await;
    let legacy = Demo::speaking(Revision::V2025_06_18).await;
    let bare = Demo::start(Server::builder().tools(false).resources(false).prompts(false)).await;
    let folder = Folder::with(&format!(
        "upstreams:\n  bare: {{url: '{}'}}\n  down: {{url: 'http://127.0.0.1:9/mcp'}}\n  \
         good: {{url: '{}'}}\n  newer: {{url: '{}', revision: 2026-07-28}}\n  \
         older: {{url: '{}', revision: 2025-11-25}}\n  page: {{url: 'http://{}/'}}\n",
        bare.url(),
        legacy.url(),
        legacy.url(),
        modern.url(),
        website().await,
    ));
    States { folder, _demos: vec![modern, legacy, bare] }
}

const EXPECTED: [(&str, &str); 6] = [
    ("bare", "up"),
    ("down", "unreachable"),
    ("good", "up"),
    ("newer", "other_revision"),
    ("older", "other_revision"),
    ("page", "invalid_answer"),
];

#[tokio::test]
async fn unreachable_another_revision_and_nothing_are_three_answers_in_the_table() {
    let states = states().await;
    let ran = states.folder.run(&["upstreams"]).await;
    assert_eq!((ran.code, &*ran.stderr), (4, ""), "some are not up");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let health = lines[0].find("HEALTH").unwrap();
    let row = |name: &str| {
        let line = lines.iter().find(|line| line.starts_with(&format!(" {name} "))).unwrap();
        let mut words: Vec<&str> = line[..health].split_whitespace().collect();
        // How long it took is another number each time.
        words.drain(7..);
        format!("{} | {}", words.join(" "), &line[health..])
    };
    assert_eq!(row("bare"), "bare http modern 2026-07-28 - - - | up");
    assert_eq!(row("good"), "good http legacy 2025-06-18 17 4 3 | up");
    assert_eq!(row("down"), "down http - - - - - | unreachable");
    assert_eq!(row("page"), "page http - - - - - | invalid answer");
    for name in ["newer", "older"] {
        assert_eq!(row(name), format!("{name} http - - - - - | other revision"));
    }
    // Beneath, after an empty line, are the causes.
    assert_eq!(lines[7], "");
    assert_eq!(lines[8], " down: connect to 127.0.0.1:9: Connection refused (os error 111)");
    let newer = " newer: 2026-07-28 is pinned: server/discover gave error -32000: ";
    assert!(lines[9].starts_with(newer), "{}", lines[9]);
    let older = " older: 2025-11-25 is pinned: the server gave error -32022: \
                 Unsupported protocol version: 2025-11-25 (it supports [\"2026-07-28\"])";
    assert_eq!(lines[10], older);
    assert_eq!(lines[11..], [" page: a 200 OK answer of type \"text/html\""]);

    let ran = states.folder.run(&["upstreams", "--output", "json"]).await;
    let rows: Value = serde_json::from_str(&ran.stdout).unwrap();
    let found: Vec<_> = rows.as_array().unwrap().iter().map(|row| (&row["name"], &row["state"])).collect();
    assert_eq!(json!(found), json!(EXPECTED));
    assert_eq!((&rows[0]["tools"], &rows[2]["tools"]), (&json!(null), &json!(17)));
    assert!(rows[1]["error"].is_string() && rows[2]["error"].is_null());
    assert!(rows[2]["latencyMs"].as_f64().unwrap() > 0.0);
}

#[tokio::test]
async fn all_of_them_up_is_a_success() {
    let ran = Folder::new().run(&["upstreams"]).await;
    assert_eq!((ran.code, &*ran.stderr), (0, ""));
}

#[tokio::test]
async fn they_are_three_answers_in_the_protocol_the_log_and_the_metrics_too() {
    let states = states().await;
    let mut up = states.folder.up(&[]).await;
    for revision in Revision::ALL {
        for (name, state) in EXPECTED {
            let client = up.client("/mcp", revision).await;
            let outcome = client.call_tool(&format!("{name}_echo"), json!({"text": "x"})).await;
            let code = match state {
                "unreachable" => Some(-31001),
                "other_revision" => Some(-31002),
                "invalid_answer" => Some(-31005),
                _ if name == "good" => None,
                // What the server itself says.
                _ => Some(-32601),
            };
            assert_eq!(outcome.code(), code, "{name} for a client of {revision}: {outcome:?}");
        }
    }
    // An endpoint of one upstream that cannot be used is an error, and never an empty list.
    for (name, code) in [("down", -31001), ("newer", -31002), ("older", -31002), ("page", -31005)] {
        let path = format!("/{name}/mcp");
        let refused = Client::try_with(up.address, &path, Revision::V2026_07_28, Default::default()).await;
        let outcome = match refused {
            Ok(client) => client.request("tools/list", json!({})).await,
            Err(outcome) => outcome,
        };
        assert_eq!(outcome.code(), Some(code), "{name}: {outcome:?}");
    }
    // A server without tools has none of their methods; its endpoint says the same as the server would.
    let bare = up.client("/bare/mcp", Revision::V2026_07_28).await;
    assert!(bare.opening()["capabilities"]["tools"].is_null());
    assert_eq!(bare.request("tools/list", json!({})).await.code(), Some(-32601));

    let client = up.client("/mcp", Revision::V2026_07_28).await;
    assert!(names(&client).await.iter().all(|name| name.starts_with("good_")));
    let outcome = client.request("tools/list", json!({})).await;
    let missing = outcome.result()["_meta"]["io.tidegate/missing"].as_array().unwrap();
    let missing: Vec<_> = missing.iter().map(|one| (&one["upstream"], &one["reason"])).collect();
    let unusable: Vec<_> = EXPECTED.iter().filter(|(_, state)| *state != "up").collect();
    assert_eq!(json!(missing), json!(unusable));

    let metrics = up.metrics().await;
    for (name, state) in EXPECTED {
        let line = format!("tidegate_upstream_state{{upstream=\"{name}\",state=\"{state}\"");
        assert!(metrics.contains(&line), "{line}");
        let line = format!("tidegate_upstream_up{{upstream=\"{name}\"}} {}", u8::from(state == "up"));
        assert!(metrics.contains(&line), "{line}");
    }
    assert_eq!(up.stop().await, 0);
    let log = up.program.stderr.rest().await.join("\n");
    assert!(log.contains("cannot be reached (upstream down: connect to 127.0.0.1:9"), "{log}");
    assert!(log.contains("speaks no revision that the gateway can use (upstream newer: "), "{log}");
}

/// An upstream with three addresses, of which one is gone, as operators and the command line see it.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_gateway_that_runs_has_seen_of_its_upstreams_is_shown() {
    let (one, two) =
        (Demo::speaking(Revision::V2026_07_28).await, Demo::speaking(Revision::V2026_07_28).await);
    let gone = Demo::speaking(Revision::V2026_07_28).await.url();
    let folder = Folder::with(&format!(
        "store: {{url: 'sqlite:a.db'}}\nadmin: {{listen: 'localhost:0', token: {{file: token}}}}\n\
         upstreams:\n  geo:\n    url: '{}'\n    urls: ['{}', '{gone}']\n    revision: 2026-07-28\n    \
         resilience:\n      breaker: {{}}\n      budget_min: 7\n      \
         health: {{interval: 200ms, timeout: 200ms, down_after: 1}}\n  \
         plain: {{url: '{}'}}\n",
        one.url(),
        two.url(),
        one.url(),
    ));
    let office = Office::open(&folder).await;
    let client = Client::connect(office.up.http.address(), "/geo/mcp", Revision::V2026_07_28).await;
    let _ = client.call_tool("echo", json!({"text": "x"})).await.result();
    let found = testkit::within(async {
        loop {
            let found = office.get("/v1/upstreams").await;
            let addresses = found["upstreams"][0]["addresses"].as_array().expect("addresses");
            if addresses.iter().filter(|address| address["health"] == "down").count() == 1
                && addresses.iter().all(|address| address["health"] != "unknown")
            {
                return found;
            }
        }
    })
    .await;
    let [geo, plain] = [&found["upstreams"][0], &found["upstreams"][1]];
    let said = [&geo["name"], &geo["state"], &geo["circuit"], &geo["health"]];
    assert_eq!(said, ["geo", "up", "closed", "up"], "{geo}");
    assert_eq!((&geo["retryBudget"], &geo["inFlight"]), (&json!(7), &json!(0)));
    let place = gone.trim_start_matches("http://").trim_end_matches("/mcp");
    let down = geo["addresses"].as_array().unwrap().iter().find(|address| address["health"] == "down");
    assert_eq!(down.unwrap()["address"], place);
    assert_eq!(
        (&plain["circuit"], &plain["health"], &plain["addresses"]),
        (&Value::Null, &Value::Null, &json!([]))
    );
    let admin = office.http.address().to_string();
    let table = folder.run(&["upstreams", "--running", "--admin", &admin]).await.good();
    assert!(table.contains("2 of 3") && table.contains(&format!("geo: {place} is down")), "{table}");
    let shown: Value =
        folder.run(&["upstreams", "--running", "--admin", &admin, "--output", "json"]).await.json();
    assert_eq!(shown[0]["addresses"].as_array().map(Vec::len), Some(3), "{shown}");
    folder.write("token", "not-the-one-that-the-gateway-was-started-with\n");
    let said = folder.run(&["upstreams", "--running", "--admin", &admin]).await.bad(1);
    assert!(said.contains("401"), "{said}");
}
