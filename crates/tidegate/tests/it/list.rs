//! `tidegate tools`, `resources` and `prompts`.

use demo::Server;
use testkit::{Demo, Revision};

use crate::program::{DEMO, Folder};

#[tokio::test]
async fn lists_are_tables_for_people() {
    let folder = Folder::new();
    let tools = folder.run(&["tools"]).await.good();
    let lines: Vec<&str> = tools.lines().collect();
    assert_eq!(lines[0], " NAME                TITLE             DESCRIPTION");
    assert_eq!(lines[1], " demo_echo           Echo              Answers with the text it was given");
    assert_eq!(lines.len(), 18);
    assert!(lines.iter().all(|line| !line.ends_with(' ')), "nothing but text at the ends of lines");
    let tools = folder.run(&["tools", "--endpoint", "demo"]).await.good();
    assert!(tools.contains("\n echo "), "one upstream alone keeps its names: {tools}");
    let resources = folder.run(&["resources"]).await.good();
    assert!(resources.contains("\n demo://readme      Read me  What this server offers\n"), "{resources}");
    assert!(resources.contains("\n demo://notes/{id}  Notes "), "templates are among them: {resources}");
    let prompts = folder.run(&["prompts"]).await.good();
    assert!(prompts.contains("\n demo_greet   Greet somebody "), "{prompts}");
}

#[tokio::test]
async fn lists_are_json_for_programs_and_have_all_pages() {
    let demo = Demo::start(Server::builder().extra_tools(120).page_size(50)).await;
    let folder =
        Folder::with(&format!("limits: {{page_size: 7}}\nupstreams: {{many: {{url: '{}'}}}}", demo.url()));
    let tools = folder.run(&["tools", "--output", "json"]).await.json();
    let tools = tools.as_array().unwrap();
    assert_eq!(tools.len(), 137);
    assert_eq!(tools[0]["name"], "many_echo");
    assert_eq!(tools[0]["inputSchema"]["required"][0], "text");
    let resources = folder.run(&["resources", "--output", "json"]).await.json();
    assert_eq!(resources[4]["uriTemplate"], "demo://notes/{id}");
    let prompts = folder.run(&["prompts", "--output", "json", "--endpoint", "many"]).await.json();
    assert_eq!(prompts[0]["name"], "greet");
}

#[tokio::test]
async fn what_is_missing_from_a_list_is_said_beside_it() {
    let folder = Folder::with(&format!(
        "upstreams:\n  down: {{url: 'http://127.0.0.1:9/mcp'}}\n  files: {{command: {DEMO}}}\n"
    ));
    let ran = folder.run(&["resources", "--output", "json"]).await;
    let warning = "warning: the list is not whole: Upstream down cannot be reached \
                   (`tidegate upstreams` says more)\n";
    assert_eq!((ran.code, &*ran.stderr), (0, warning), "once for all kinds");
    assert!(ran.stdout.contains("demo://readme"));
    let said = folder.run(&["tools", "--endpoint", "down"]).await.bad(4);
    assert_eq!(
        said,
        "tidegate: failed to list tools: Upstream down cannot be reached (code -31001)\n  \
         cause: connect to 127.0.0.1:9: Connection refused (os error 111)\n  \
         nothing ran: it can be repeated\n"
    );
}

#[tokio::test]
async fn an_endpoint_without_any_says_so_and_one_that_is_unknown_says_which_there_are() {
    let demo = Demo::start(Server::builder().tools(false).revisions(&[Revision::V2026_07_28])).await;
    let folder = Folder::with(&format!("upstreams: {{bare: {{url: '{}'}}}}", demo.url()));
    let ran = folder.run(&["tools"]).await;
    assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (0, "", "the endpoint \"mcp\" offers no tools\n"));
    assert_eq!(folder.run(&["tools", "--output", "json"]).await.good(), "[]\n");
    let said = folder.run(&["tools", "--endpoint", "bear"]).await.bad(2);
    assert_eq!(said, "tidegate: failed to find the endpoint \"bear\"; there are: bare, mcp\n");
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_ends_the_program_quietly() {
    let folder = Folder::new();
    let mut command = folder.command(&["tools"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = testkit::within(child.wait_with_output()).await.unwrap();
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(0), ""));
}

#[tokio::test]
async fn a_list_over_a_limit_names_it() {
    let demo = Demo::start(Server::builder().extra_tools(100)).await;
    let folder = Folder::with(&format!(
        "limits: {{list_items_max: 100}}\nupstreams: {{many: {{url: '{}'}}}}",
        demo.url()
    ));
    let said = folder.run(&["tools", "--endpoint", "many"]).await.bad(4);
    assert!(said.contains("\n  cause: more items than limits.list_items_max\n"), "{said}");
    let ran = folder.run(&["upstreams"]).await;
    assert_eq!(ran.code, 4);
    let told = "invalid answer\n\n many: more items than limits.list_items_max\n";
    assert!(ran.stdout.ends_with(told), "{}", ran.stdout);
}
