//! `tidegate up`.

use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::{Demo, Revision};

use crate::program::{DEMO, Folder, PROGRAM, Up, text};

async fn get(up: &Up, path: &str) -> (u16, String) {
    let reply = up.http.request(Method::GET, path).send().await;
    (reply.status, reply.text().await)
}

#[tokio::test]
async fn with_nothing_configured_a_demo_server_is_served_and_everything_about_it_is_said() {
    let folder = Folder::new();
    let mut up = folder.up(&["--listen", "127.0.0.1:0"]).await;
    let address = up.address;
    let seen = up.program.stdout.seen.clone();
    assert!(seen[0].ends_with("serves its built-in demo server (write a tidegate.yaml to serve your own)"));
    assert_eq!(
        seen[2],
        " UPSTREAM  TRANSPORT  ERA     REVISION    TOOLS  RESOURCES  PROMPTS  LATENCY  HEALTH"
    );
    let row: Vec<&str> = seen[3].split_whitespace().collect();
    assert_eq!(row[..7], ["demo", "http", "modern", "2026-07-28", "17", "4", "3"]);
    assert_eq!(row[8..], ["ms", "up"]);
    let rest = [
        "",
        &format!("endpoint  http://{address}/mcp"),
        &format!("endpoint  http://{address}/demo/mcp"),
        &format!("metrics   http://{address}/metrics"),
        &format!("store     sqlite:{}", folder.path("tidegate/demo.db").display()),
        "",
    ];
    assert_eq!(seen[4..10], rest);
    let entry: Value = serde_json::from_str(seen[10].strip_prefix("for a client:").unwrap()).unwrap();
    let server = json!({"type": "http", "url": format!("http://{address}/mcp")});
    assert_eq!(entry, json!({"mcpServers": {"tidegate": server}}));

    for revision in Revision::ALL {
        for (path, tool) in [("/mcp", "demo_echo"), ("/demo/mcp", "echo")] {
            let outcome = up.client(path, revision).await.call_tool(tool, json!({"text": "hi"})).await;
            assert_eq!(text(outcome.result()), "hi", "{revision} {path}");
        }
    }
    assert_eq!(get(&up, "/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(get(&up, "/readyz").await, (200, "ok\n".to_owned()));
    assert_eq!(get(&up, "/elsewhere").await.0, 404);
    let (status, metrics) = get(&up, "/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.contains(r#"tidegate_upstream_up{upstream="demo"} 1"#), "{metrics}");
    assert!(metrics.contains(r#"mcp_server_operation_duration_seconds_count{mcp_method_name="tools/call""#));

    assert_eq!(up.stop().await, 0);
    for line in up.program.stderr.rest().await {
        let line: Value = serde_json::from_str(line).expect("without a terminal every line is JSON");
        assert!(line["message"].is_string() && line["level"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn a_call_under_way_finishes_before_the_gateway_stops() {
    let mut up = Folder::new().up(&["--listen", "127.0.0.1:0"]).await;
    let slow = json!({"seconds": 2, "steps": 2});
    let mut reply = up.call("/mcp", "demo_slow", slow).send().await;
    let first = reply.event().await.unwrap().data;
    assert!(first.contains("notifications/progress"), "{first}");
    up.program.signal(Signal::TERM);
    up.program.stderr.find("stopping: calls under way have 30s to finish").await;
    let new = testkit::http::Http::new(up.address);
    testkit::within(async { while new.request(Method::GET, "/healthz").try_send().await.is_ok() {} }).await;
    let mut last = String::new();
    while let Some(event) = testkit::within(reply.event()).await {
        last = event.data;
    }
    assert!(last.contains("Done after 2 s in 2 steps."), "{last}");
    assert_eq!(up.program.ended().await, 0);
}

#[tokio::test]
async fn streams_that_only_listen_do_not_hold_the_stop_up() {
    let mut up = Folder::with("drain_timeout: 50s").up(&[]).await;
    let modern = up.client("/mcp", Revision::V2026_07_28).await;
    let legacy = up.client("/mcp", Revision::V2025_06_18).await;
    let oldest = up.client("/mcp", Revision::V2024_11_05).await;
    for client in [&modern, &legacy, &oldest] {
        client.watch(&[]).await.unwrap();
    }
    let begun = tokio::time::Instant::now();
    assert_eq!(up.stop().await, 0);
    assert!(begun.elapsed().as_secs() < 40, "it waited for streams that never end");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut up = Folder::new().up(&["--listen", "127.0.0.1:0"]).await;
    let mut reply = up.call("/mcp", "demo_slow", json!({"seconds": 3600, "steps": 100_000})).send().await;
    reply.event().await.unwrap();
    up.program.signal(Signal::TERM);
    up.program.stderr.find("stopping").await;
    up.program.signal(Signal::INT);
    assert_eq!(up.program.ended().await, 1);
    // Parts that are cut off with it may have a last word.
    let said = up.program.stderr.rest().await;
    assert!(said.iter().any(|line| line.contains("told twice to stop")), "{said:#?}");
}

#[tokio::test]
async fn the_file_in_the_folder_is_served_with_its_endpoints() {
    let demo = Demo::speaking(Revision::V2025_11_25).await;
    let folder = Folder::with(&format!(
        "upstreams:\n  crm: {{url: '{}'}}\n  files: {{command: {DEMO}}}\n\
         endpoints:\n  support: {{upstreams: [crm, files], expose: ['crm_*', 'files_echo']}}\n",
        demo.url()
    ));
    let mut up = folder.up(&[]).await;
    let seen = up.program.stdout.seen.join("\n");
    assert!(seen.contains("serves tidegate.yaml"), "{seen}");
    for part in [" crm       http       legacy  2025-11-25 ", " files     stdio      modern  2026-07-28 "] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    for path in ["/mcp", "/crm/mcp", "/files/mcp", "/support/mcp"] {
        assert!(seen.contains(&format!("endpoint  http://{}{path}\n", up.address)), "{path}: {seen}");
    }
    let support = up.tools("/support/mcp").await;
    assert!(support.contains(&"crm_add".to_owned()) && support.contains(&"files_echo".to_owned()));
    assert_eq!(support.iter().filter(|name| name.starts_with("files_")).count(), 1);
    assert!(up.tools("/crm/mcp").await.contains(&"add".to_owned()));
    assert_eq!(up.tools("/mcp").await.len(), 34);
    assert_eq!(up.stop().await, 0);
}

#[tokio::test]
async fn a_named_file_is_served_and_the_address_given_beside_it_counts() {
    let demo = Demo::speaking(Revision::V2026_07_28).await;
    let folder = Folder::with("upstreams: {unwanted: {url: 'http://127.0.0.1:9/mcp'}}");
    std::fs::create_dir(folder.path("etc")).unwrap();
    folder.write("etc/key", "sesame\n");
    // The address is nobody's here, so that it must not be listened on; the key's file is beside the file.
    folder.write(
        "etc/gate.yaml",
        &format!(
            "listen: 192.0.2.1:1\nauth: {{allow: [anonymous]}}\n\
             upstreams: {{a: {{url: '{}', headers: {{x-key: {{file: key}}}}}}}}",
            demo.url()
        ),
    );
    let mut up = folder.up(&["--config", "etc/gate.yaml", "--listen", "127.0.0.1:0"]).await;
    assert!(up.program.stdout.seen[0].ends_with("serves etc/gate.yaml"));
    assert!(up.tools("/mcp").await.contains(&"a_echo".to_owned()));
    assert_eq!(up.stop().await, 0);
}

#[tokio::test]
async fn a_clients_file_is_served_as_it_is() {
    let demo = Demo::speaking(Revision::V2025_06_18).await;
    let folder = Folder::new();
    let script = format!("env > seen.env; exec '{PROGRAM}' stdio --endpoint demo");
    let file = json!({
        "globalShortcut": "Ctrl+Space",
        "mcpServers": {
            "files": {
                "command": "sh",
                "args": ["-c", script],
                "env": {"ROOT_OF_ALL": "/srv/data"},
                "cwd": ".",
            },
            "My CRM": {"type": "http", "url": demo.url(), "headers": {"X-Api-Key": "sesame"}},
        },
    });
    folder.write("claude_desktop_config.json", &file.to_string());
    let mut up = folder.up(&["--mcp-json", "claude_desktop_config.json", "--listen", "127.0.0.1:0"]).await;
    let tools = up.tools("/mcp").await;
    assert!(tools.contains(&"files_echo".to_owned()) && tools.contains(&"my-crm_echo".to_owned()));
    assert!(folder.read("seen.env").lines().any(|line| line == "ROOT_OF_ALL=/srv/data"));
    assert_eq!(up.stop().await, 0);
    let log = up.program.stderr.rest().await.join("\n");
    assert!(log.contains("claude_desktop_config.json:1:2: globalShortcut: unknown key, left out"), "{log}");
    assert!(log.contains(r#"My CRM\": called \"my-crm\" here"#), "{log}");
    assert!(!log.contains("sesame"), "{log}");
}

#[tokio::test]
async fn an_address_that_is_taken_says_so() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = Folder::new().run(&["up", "--listen", &address]).await.bad(1);
    assert!(
        said.starts_with(&format!("tidegate: failed to listen on {address}: Address already in use")),
        "{said}"
    );
    assert!(
        said.ends_with("another program has it, maybe another gateway; choose one with --listen\n"),
        "{said}"
    );
}

#[tokio::test]
async fn an_upstream_that_hangs_does_not_keep_the_start_waiting() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", silent.local_addr().unwrap());
    let folder = Folder::with(&format!("upstreams: {{silent: {{url: '{url}'}}}}"));
    let begun = tokio::time::Instant::now();
    let mut up = folder.up(&[]).await;
    assert!(begun.elapsed().as_secs() < 30, "its own deadline is a minute");
    let seen = up.program.stdout.seen.join("\n");
    assert!(seen.contains("no answer yet"), "{seen}");
    assert_eq!(get(&up, "/readyz").await.0, 200);
    assert_eq!(up.stop().await, 0);
}
