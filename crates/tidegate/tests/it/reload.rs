//! Hot reload.

use rustix::process::Signal;
use serde_json::json;
use testkit::{Demo, Revision};

use crate::program::{Folder, text};

/// A demo server that no gateway of a test has met before.
async fn demo() -> Demo {
    Demo::start(demo::Server::builder()).await
}

fn upstreams(all: &[(&str, &Demo)]) -> String {
    let line = |(name, demo): &(&str, &Demo)| format!("  {name}: {{url: '{}'}}\n", demo.url());
    format!("upstreams:\n{}", all.iter().map(line).collect::<String>())
}

const TOOLS_CHANGED: &str = "notifications/tools/list_changed";

#[tokio::test]
async fn a_changed_file_is_put_in_force_and_listeners_are_told() {
    let (a, b) = (demo().await, demo().await);
    let folder = Folder::with(&upstreams(&[("a", &a)]));
    let mut up = folder.up(&[]).await;
    let mut listeners = Vec::new();
    for revision in Revision::ALL {
        let client = up.client("/mcp", revision).await;
        client.watch(&[]).await.unwrap();
        listeners.push(client);
    }
    folder.configure(&upstreams(&[("a", &a), ("b", &b)]));
    up.program.stderr.find("the new configuration is in force").await;
    for client in &listeners {
        while client.next_change().await["method"] != TOOLS_CHANGED {}
        let outcome = client.request("tools/list", json!({})).await;
        let tools = outcome.result()["tools"].as_array().unwrap();
        assert!(tools.iter().any(|tool| tool["name"] == "b_echo"), "{}", client.revision());
    }
    folder.configure(&upstreams(&[("b", &b)]));
    up.program.stderr.find("the new configuration is in force").await;
    for client in &listeners {
        while client.next_change().await["method"] != TOOLS_CHANGED {}
        let outcome = client.request("tools/list", json!({})).await;
        let tools = outcome.result()["tools"].as_array().unwrap();
        assert!(tools.iter().all(|tool| tool["name"] != "a_echo"), "{}", client.revision());
        // What is new is listened to as well.
        let told = client.call_tool("b_toggle", json!({"what": "prompts"})).await;
        assert!(text(told.result()).starts_with("The extra entry"), "{told:?}");
        while client.next_change().await["method"] != "notifications/prompts/list_changed" {}
    }
    assert_eq!(up.call("/a/mcp", "echo", json!({"text": "x"})).send().await.status, 404);
    assert!(up.metrics().await.contains("tidegate_config_reloads_total 2"));
    assert_eq!(up.stop().await, 0);
}

#[tokio::test]
async fn a_wrong_file_is_refused_with_its_place_and_the_old_one_stays() {
    let a = demo().await;
    let good = upstreams(&[("a", &a)]);
    let folder = Folder::with(&good);
    let mut up = folder.up(&[]).await;
    folder.configure(&format!("{good}    revsion: 2025-11-25\n"));
    let said = up.program.stderr.find("was refused").await;
    assert!(said.contains("the new configuration was refused; the old one stays"), "{said}");
    assert!(said.contains("tidegate.yaml:4:5: "), "{said}");
    folder.configure(&format!("{good}  b: {{url: 'http://127.0.0.1:9/mcp', revsion: 2025-11-25}}\n"));
    let said = up.program.stderr.find("was refused").await;
    assert!(said.contains("tidegate.yaml:4:38: upstreams.b.revsion: unknown key; did you mean"), "{said}");
    assert!(up.tools("/mcp").await.contains(&"a_echo".to_owned()));
    // One that is well written and cannot be put in force is refused as well, whole.
    folder.configure(&format!("{good}  c: {{url: 'http://127.0.0.1:9/', headers: {{x: {{file: gone}}}}}}\n"));
    let said = up.program.stderr.find("was refused").await;
    assert!(said.contains("upstreams.c: read the value of headers.x"), "{said}");
    std::fs::remove_file(folder.path("tidegate.yaml")).unwrap();
    let said = up.program.stderr.find("was refused").await;
    assert!(said.contains("read tidegate.yaml: No such file"), "{said}");
    assert!(up.tools("/mcp").await.contains(&"a_echo".to_owned()));
    folder.configure(&upstreams(&[("z", &a)]));
    up.program.stderr.find("the new configuration is in force").await;
    assert!(up.tools("/mcp").await.contains(&"z_echo".to_owned()));
    assert_eq!(up.stop().await, 0);
}

#[tokio::test]
async fn a_call_under_way_finishes_under_the_configuration_it_began_with() {
    let (a, b) = (demo().await, demo().await);
    let folder = Folder::with(&upstreams(&[("a", &a)]));
    let mut up = folder.up(&[]).await;
    let slow = json!({"seconds": 3, "steps": 30});
    let mut modern = up.call("/a/mcp", "slow", slow.clone()).send().await;
    modern.event().await.unwrap();
    let legacy = up.client("/a/mcp", Revision::V2025_06_18).await;
    let running = legacy.start("tools/call", json!({"name": "slow", "arguments": slow}));
    folder.configure(&upstreams(&[("b", &b)]));
    up.program.stderr.find("the new configuration is in force").await;
    let mut last = String::new();
    while let Some(event) = testkit::within(modern.event()).await {
        last = event.data;
    }
    assert!(last.contains("Done after 3 s"), "{last}");
    let outcome = running.outcome().await;
    assert!(text(outcome.result()).contains("Done after 3 s"), "{outcome:?}");
    assert_eq!(up.stop().await, 0);
}

#[tokio::test]
async fn a_hang_up_reads_secrets_again() {
    let demo = demo().await;
    let folder = Folder::new();
    folder.write("key", "first");
    folder.configure(&format!(
        "upstreams: {{a: {{url: '{}', headers: {{x-key: {{file: key}}}}}}}}",
        demo.url()
    ));
    let mut up = folder.up(&[]).await;
    folder.write("key", "");
    up.program.signal(Signal::HUP);
    let said = up.program.stderr.find("was refused").await;
    assert!(said.contains("headers.x-key: it is empty"), "{said}");
    folder.write("key", "second");
    up.program.signal(Signal::HUP);
    up.program.stderr.find("the new configuration is in force").await;
    up.tools("/mcp").await;
    let log = up.program.stderr.seen.join("\n");
    assert!(!log.contains("first") && !log.contains("second"), "{log}");
    assert_eq!(up.stop().await, 0);
}

#[tokio::test]
async fn what_only_a_start_can_change_is_named() {
    let demo = demo().await;
    let folder = Folder::with(&upstreams(&[("a", &demo)]));
    let mut up = folder.up(&[]).await;
    folder.configure(&format!(
        "listen: 127.0.0.1:1\ntelemetry: {{log_level: debug}}\n{}",
        upstreams(&[("b", &demo)])
    ));
    let said = up.program.stderr.find("takes effect at the next start only").await;
    assert!(said.contains("only: listen, telemetry.log_level\""), "{said}");
    assert!(up.tools("/mcp").await.contains(&"b_echo".to_owned()), "the rest is in force");
    assert_eq!(up.stop().await, 0);
}

#[tokio::test]
async fn a_file_that_appears_takes_the_demo_servers_place() {
    let a = demo().await;
    let folder = Folder::new();
    let mut up = folder.up(&["--listen", "127.0.0.1:0"]).await;
    assert!(up.tools("/mcp").await.contains(&"demo_echo".to_owned()));
    folder.configure(&upstreams(&[("a", &a)]));
    up.program.stderr.find("the new configuration is in force").await;
    let tools = up.tools("/mcp").await;
    assert!(tools.contains(&"a_echo".to_owned()) && !tools.contains(&"demo_echo".to_owned()));
    folder.configure("upstreams: {}");
    up.program.stderr.find("the new configuration is in force").await;
    assert!(up.tools("/mcp").await.contains(&"demo_echo".to_owned()), "as at a start with this file");
    assert_eq!(up.stop().await, 0);
}

#[tokio::test]
async fn a_clients_file_is_followed_too() {
    let a = demo().await;
    let file = |name: &str| json!({"mcpServers": {name: {"url": a.url()}}}).to_string();
    let folder = Folder::new();
    folder.write("mcp.json", &file("one"));
    let mut up = folder.up(&["--mcp-json", "mcp.json", "--listen", "127.0.0.1:0"]).await;
    assert!(up.tools("/mcp").await.contains(&"one_echo".to_owned()));
    folder.write("mcp.json", &file("second"));
    up.program.stderr.find("the new configuration is in force").await;
    assert!(up.tools("/mcp").await.contains(&"second_echo".to_owned()));
    assert_eq!(up.stop().await, 0);
}
