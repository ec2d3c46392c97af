//! `tidegate call`.

use demo::Server;
use serde_json::{Value, json};
use testkit::{Demo, Revision};

use crate::program::{DEMO, Folder};
use crate::terminal::Terminal;

#[tokio::test]
async fn arguments_are_what_the_tool_wants_them_to_be() {
    let folder = Folder::new();
    let run = async |arguments: &[&str]| folder.run(&[&["call"], arguments].concat()).await;
    assert_eq!(run(&["demo_echo", "--arg", "text=5"]).await.good(), "5\n");
    assert_eq!(run(&["demo_echo", "--arg", "text=a=b c"]).await.good(), "a=b c\n");
    assert_eq!(run(&["echo", "--endpoint", "demo", "--json", r#"{"text": "x"}"#]).await.good(), "x\n");
    assert_eq!(run(&["demo_add", "--arg", "a=1.5", "--arg", "b=2"]).await.good(), "{\"sum\":3.5}\n");
    let result = run(&["demo_add", "--json", r#"{"a": 1, "b": 2}"#, "--output", "json"]).await.json();
    assert_eq!(result["structuredContent"], json!({"sum": 3}));
}

#[tokio::test]
async fn every_kind_of_content_is_shown_for_what_it_is() {
    let shown = Folder::new().run(&["call", "demo_attach"]).await.good();
    let start = "The readme, and a logo:\n[image image/png]\n[resource_link demo://logo]\n";
    assert!(shown.starts_with(start), "{shown}");
    assert!(shown.contains("[resource demo://readme]\n# A demo server\n"), "{shown}");
}

#[tokio::test]
async fn progress_is_shown_beside_the_result() {
    for revision in [Revision::V2024_11_05, Revision::V2025_11_25, Revision::V2026_07_28] {
        let demo = Demo::speaking(revision).await;
        let folder = Folder::with(&format!("upstreams: {{a: {{url: '{}'}}}}", demo.url()));
        let ran = folder.run(&["call", "a_slow", "--json", r#"{"seconds": 0.2, "steps": 2}"#]).await;
        assert_eq!((ran.code, &*ran.stdout), (0, "Done after 0.2 s in 2 steps.\n"), "{revision}");
        // The first revision has no message beside the numbers.
        let expected = match revision {
            Revision::V2024_11_05 => "progress 1 of 2\nprogress 2 of 2\n",
            _ => "progress 1 of 2: Step 1 of 2\nprogress 2 of 2: Step 2 of 2\n",
        };
        assert_eq!(ran.stderr, expected, "{revision}");
    }
}

#[tokio::test]
async fn a_tool_that_fails_has_a_code_of_its_own() {
    let folder = Folder::new();
    let ran = folder.run(&["call", "demo_fail"]).await;
    let failed = (5, "It failed, as it was asked to.\n", "");
    assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), failed);
    let ran = folder.run(&["call", "demo_fail", "--output", "json"]).await;
    assert_eq!(ran.code, 5);
    assert_eq!(serde_json::from_str::<Value>(&ran.stdout).unwrap()["isError"], true);
}

#[tokio::test]
async fn an_error_of_the_server_is_shown_with_its_code_and_data() {
    let said = Folder::new().run(&["call", "demo_rpc_error"]).await.bad(4);
    let expected = "tidegate: failed to call demo_rpc_error: An error, as it was asked for (code 1001)\n  \
                    data: {\"tool\":\"rpc_error\"}\n";
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_tool_that_is_unknown_is_told_with_the_one_that_was_meant() {
    let folder = Folder::new();
    for (name, meant) in [("echo", "demo_echo"), ("demo_ehco", "demo_echo")] {
        let said = folder.run(&["call", name]).await.bad(4);
        assert!(said.starts_with(&format!("tidegate: failed to call {name}: Unknown tool: ")), "{said}");
        assert!(said.contains(&format!("; did you mean \"{meant}\"? (code -32602)\n")), "{said}");
    }
    let said = folder.run(&["call", "something_else"]).await.bad(4);
    assert!(said.ends_with("Unknown tool: something_else (code -32602)\n"), "{said}");
}

#[tokio::test]
async fn an_upstream_that_cannot_be_used_is_told_with_its_cause() {
    let folder = Folder::with(&format!(
        "upstreams:\n  down: {{url: 'http://127.0.0.1:9/mcp'}}\n  \
         gone: {{command: [tidegate-test-no-such-program]}}\n  \
         ends: {{command: [sh, -c, 'echo no licence >&2; exit 3']}}\n  files: {{command: {DEMO}}}\n"
    ));
    let causes = [
        ("down_x", "connect to 127.0.0.1:9: Connection refused (os error 111)"),
        ("gone_x", "start tidegate-test-no-such-program: No such file or directory (os error 2)"),
        ("ends_x", "the process ended: exit code 3; stderr: no licence"),
    ];
    for (tool, cause) in causes {
        let said = folder.run(&["call", tool]).await.bad(4);
        let upstream = tool.trim_end_matches("_x");
        let expected = format!(
            "tidegate: failed to call {tool}: Upstream {upstream} cannot be reached (code -31001)\n  \
             cause: {cause}\n  nothing ran: it can be repeated\n"
        );
        assert_eq!(said, expected);
    }
    assert_eq!(folder.run(&["call", "files_echo", "--arg", "text=fine"]).await.good(), "fine\n");
}

#[tokio::test]
async fn wrong_arguments_are_refused_before_anything_is_started() {
    let folder = Folder::with("upstreams: {a: {command: [sh, -c, 'touch started']}}");
    let cases: [(&[&str], &str); 6] = [
        (
            &["--json", "{"],
            "tidegate: failed to read --json: EOF while parsing an object at line 1 column 1\n",
        ),
        (&["--json", "[1]"], "tidegate: failed to read --json: it must be an object\n"),
        (&["--arg", "text"], "tidegate: failed to read --arg \"text\": write NAME=VALUE\n"),
        (&["--arg", "a=1", "--arg", "a=2"], "tidegate: failed to read --arg \"a=2\": a was given before\n"),
        (&["--json", "{}", "--arg", "a=1"], "error: the argument '--json <JSON>' cannot be used with '--arg"),
        (&["--endpoint", "b"], "tidegate: failed to find the endpoint \"b\"; there are: a, mcp\n"),
    ];
    for (arguments, expected) in cases {
        let said = folder.run(&[&["call", "a_x"], arguments].concat()).await.bad(2);
        assert!(said.starts_with(expected), "{arguments:?}: {said}");
    }
    assert!(!folder.path("started").exists());
}

#[tokio::test]
async fn a_question_needs_a_terminal() {
    let said = Folder::new().run(&["call", "demo_confirm_order"]).await.bad(4);
    assert!(said.contains("it asks questions, and standard input is no terminal (code -32021)"), "{said}");
}

/// A call on a terminal, of a server of each era.
async fn on_terminal(revision: Revision, arguments: &[&str]) -> (Folder, Demo, Terminal) {
    let demo = Demo::start(Server::builder().revisions(&[revision])).await;
    let folder = Folder::with(&format!("upstreams: {{a: {{url: '{}'}}}}", demo.url()));
    let terminal = Terminal::start(folder.command(&[&["call"], arguments].concat()));
    (folder, demo, terminal)
}

#[tokio::test]
async fn questions_are_asked_and_answered_on_the_terminal_in_both_eras() {
    for revision in [Revision::V2025_11_25, Revision::V2026_07_28] {
        let (_folder, _demo, mut terminal) =
            on_terminal(revision, &["a_confirm_order", "--arg", "item=lamps"]).await;
        terminal.find("The server asks: How many lamps shall be ordered?  (Ctrl-D cancels)").await;
        terminal.find("Quantity - How many (integer):").await;
        terminal.press("many\n");
        terminal.find("a whole number, please").await;
        terminal.find("(integer):").await;
        terminal.press("500\n");
        terminal.find("at most 100, please").await;
        terminal.find("(integer):").await;
        terminal.press("\n");
        terminal.find("this one is required").await;
        terminal.find("(integer):").await;
        terminal.press("3\n");
        terminal.find("Order - Really order (boolean, default false):").await;
        terminal.press("yes\n");
        terminal.find("Send? [Y]es, [d]ecline, [c]ancel").await;
        terminal.press("\n");
        let (code, screen) = terminal.ended().await;
        assert_eq!(code, 0, "{screen}");
        assert!(screen.ends_with("{\"ordered\":true,\"quantity\":3}\n"), "{revision}: {screen}");
    }
}

#[tokio::test]
async fn one_call_may_ask_more_than_once() {
    for revision in [Revision::V2025_11_25, Revision::V2026_07_28] {
        let (_folder, _demo, mut terminal) =
            on_terminal(revision, &["a_confirm_order", "--arg", "rounds=2"]).await;
        terminal.find("How many cups of tea?").await;
        terminal.find("(integer):").await;
        terminal.press("7\n");
        terminal.find("Send?").await;
        terminal.press("y\n");
        terminal.find("Order 7 cups of tea?").await;
        terminal.find("default false):").await;
        terminal.press("y\n");
        terminal.find("Send?").await;
        terminal.press("y\n");
        let (code, screen) = terminal.ended().await;
        assert_eq!(code, 0, "{screen}");
        assert!(screen.ends_with("{\"ordered\":true,\"quantity\":7}\n"), "{revision}: {screen}");
    }
}

#[tokio::test]
async fn a_question_can_be_declined_or_left() {
    for keys in ["3\ny\nd\n", "3\ny\nc\n", "\u{4}"] {
        let (_folder, _demo, mut terminal) = on_terminal(Revision::V2026_07_28, &["a_confirm_order"]).await;
        terminal.find("(integer):").await;
        terminal.press(keys);
        let (code, screen) = terminal.ended().await;
        assert_eq!(code, 0, "{screen}");
        assert!(screen.ends_with("{\"ordered\":false,\"quantity\":0}\n"), "{keys:?}: {screen}");
    }
}

#[tokio::test]
async fn a_page_is_shown_and_never_opened() {
    let (_folder, _demo, mut terminal) = on_terminal(Revision::V2026_07_28, &["a_open_page"]).await;
    terminal.find("Open this only if you trust it: http").await;
    terminal.find("Done? [y/N]").await;
    terminal.press("y\n");
    let (code, screen) = terminal.ended().await;
    assert_eq!(code, 0, "{screen}");
}

#[tokio::test]
async fn what_a_server_says_cannot_command_the_terminal() {
    let text = "text=\u{1b}]0;owned\u{7}harmless";
    let (folder, _demo, terminal) = on_terminal(Revision::V2026_07_28, &["a_echo", "--arg", text]).await;
    let (code, screen) = terminal.ended().await;
    assert_eq!((code, &*screen), (0, "\\u{1b}]0;owned\\u{7}harmless\n"));
    let ran = folder.run(&["call", "a_echo", "--arg", text]).await;
    assert_eq!(ran.good(), "\u{1b}]0;owned\u{7}harmless\n", "a program gets what was said");
}
