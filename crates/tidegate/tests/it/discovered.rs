//! What is published is found, copied, added and called: `tidegate discover`, `registry` and `add`.

use serde_json::{Value, json};
use testkit::Revision;

use crate::program::{DEMO, Folder, Up, text};
use crate::terminal::Terminal;

/// A gateway that publishes one endpoint.
async fn publisher() -> (Folder, Up) {
    let folder = Folder::with(&format!(
        "upstreams: {{crm: {{command: {DEMO}}}}}\n\
         discovery: {{cards: {{crm: {{name: com.acme/crm, version: 1.2.0, description: The customers, \
         visibility: public}}}}}}\n"
    ));
    let up = folder.up(&[]).await;
    (folder, up)
}

fn schema_faults(schema: &str, definition: Option<&str>, document: &Value) -> Vec<String> {
    let mut schema: Value = serde_json::from_str(schema).unwrap();
    if let Some(definition) = definition {
        schema["$ref"] = json!(definition);
    }
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    validator.iter_errors(document).map(|error| error.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_gateway_publishes_another_one_finds_copies_adds_and_calls() {
    let (_there, publisher) = publisher().await;
    let origin = format!("http://{}", publisher.address);
    let here = Folder::with("# ours\nupstreams: {}\n");

    // Crawl: the catalog, the card, and the server itself.
    let told = here.run(&["discover", &origin, "--private", "--live", "--output", "json"]).await.json();
    assert_eq!(told["summary"]["answered"], 1, "{told}");
    assert_eq!((&told["summary"]["serious"], &told["summary"]["warnings"]), (&json!(0), &json!(0)), "{told}");
    let place = format!("{origin}/crm/mcp/server-card");
    assert_eq!(told["cards"][&place]["name"], "com.acme/crm", "{told}");
    let card = publisher.http.request(http::Method::GET, "/crm/mcp/server-card").send().await.json().await;
    let schema = include_str!("../../../discovery/tests/schemas/server-card.schema.json");
    assert_eq!(schema_faults(schema, Some("#/$defs/ServerCard"), &card), Vec::<String>::new());

    // Copy: its registry, twice, and nothing new the second time.
    let registry = format!("{origin}/registry");
    let sync = ["registry", "sync", &registry, "--folder", "copies", "--output", "json"];
    assert_eq!(here.run(&sync).await.json()["changed"], 1);
    assert_eq!(here.run(&sync).await.json()["changed"], 0);
    let found = here.run(&["registry", "search", "customers", "--folder", "copies"]).await.good();
    assert!(found.contains("com.acme/crm") && found.contains("remote"), "{found}");
    let shown =
        here.run(&["registry", "show", "com.acme/crm", "--folder", "copies", "--output", "json"]).await;
    let schema = include_str!("../../../discovery/tests/schemas/server-2025-12-11.schema.json");
    assert_eq!(schema_faults(schema, None, &shown.json()["server"]), Vec::<String>::new());

    // Add: the entry, as it is in the copy. A remote of this machine is taken only where that is said.
    let add = ["add", "com.acme/crm@1.2.0", "--registries", "copies", "--yes"];
    assert!(here.run(&add).await.bad(4).contains("is this machine"));
    let added = here.run(&[&add[..], &["--private", "--probe"]].concat()).await.good();
    assert!(added.contains("tool    echo pin1:"), "{added}");
    let written = here.read("tidegate.yaml");
    assert!(written.contains("# ours\n") && written.contains("  crm:\n    # Added on "), "{written}");

    // Call, in either era.
    let own = here.up(&[]).await;
    for revision in [Revision::V2025_11_25, Revision::V2026_07_28] {
        let client = own.client("/crm/mcp", revision).await;
        let said = client.call_tool("echo", json!({"text": "from afar"})).await;
        assert_eq!(text(said.result()), "from afar", "{revision}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_domains_is_gone_through_whatever_one_of_them_does() {
    let (_there, publisher) = publisher().await;
    let folder = Folder::new();
    let list = format!("# ours\nhttp://{}\nhttp://127.0.0.1:1\n", publisher.address);
    folder.write("list", &list);
    let words = ["discover", "list", "--private", "--keep", "kept", "--html", "page.html"];
    let said = folder.run(&words).await.good();
    assert!(said.contains("com.acme/crm") && said.contains("unreachable"), "{said}");
    assert!(said.contains("2 asked: 1 with something published"), "{said}");
    let page = folder.read("page.html");
    assert!(page.contains("com.acme/crm") && !page.contains("<script"), "{page}");
    let again = folder.run(&words).await.good();
    assert_eq!(again, said);
    // Without a word, nobody goes to a private address.
    let said = folder.run(&["discover", "list"]).await;
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.stdout.contains("not over https"), "{said:?}");
    folder.write("wrong", "acme.example\nno domain at all\n");
    assert!(folder.run(&["discover", "wrong"]).await.bad(2).contains("line 2"));
    assert!(folder.run(&["discover", "a b"]).await.bad(2).contains("a b"));
}

/// An entry of a registry with this package.
fn entry(package: Value) -> String {
    json!({"$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
        "name": "io.github.acme/notes", "description": "Notes", "version": "1.0.0", "packages": [package]})
    .to_string()
}

fn npm(more: &[(&str, Value)]) -> String {
    let mut package = json!({"registryType": "npm", "identifier": "@acme/notes", "version": "1.0.0",
        "transport": {"type": "stdio"}});
    for (name, value) in more {
        package[*name] = value.clone();
    }
    entry(package)
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_named_and_never_written_and_what_is_missing_is_told() {
    let folder = Folder::with("upstreams: {}\n");
    let level = json!({"choices": ["a", "b"], "isRequired": true});
    let variables = json!([
        {"name": "API_KEY", "description": "The key of your account", "isSecret": true, "isRequired": true},
        {"name": "LEVEL", "value": "{level}", "variables": {"level": level}},
    ]);
    folder.write("server.json", &npm(&[("environmentVariables", variables)]));
    let before = folder.read("tidegate.yaml");
    let said = folder.run(&["add", "server.json", "--yes"]).await.bad(4);
    assert!(said.contains("--secret API_KEY=env:…: The key of your account"), "{said}");
    assert!(said.contains("--set level=…"), "{said}");
    let said =
        folder.run(&["add", "server.json", "--set", "API_KEY=hunter2", "--set", "level=a"]).await.bad(4);
    assert!(said.contains("name where it is kept") && !said.contains("hunter2"), "{said}");
    let answers = ["--secret", "API_KEY=env:NOTES_KEY", "--set", "level=a"];
    let said = folder.run(&[&["add", "server.json", "--dry-run"], &answers[..]].concat()).await.good();
    assert!(said.contains("asks    API_KEY (secret, given) The key of your account"), "{said}");
    let asked = folder.run(&[&["add", "server.json"], &answers[..]].concat()).await;
    assert!(asked.code == 2 && asked.stderr.contains("--yes agrees"), "{asked:?}");
    assert_eq!(folder.read("tidegate.yaml"), before, "nobody has agreed");
    folder.run(&[&["add", "server.json", "--yes"], &answers[..]].concat()).await.good();
    let written = folder.read("tidegate.yaml");
    assert!(
        written.contains("API_KEY: {\"env\":\"NOTES_KEY\"}") && written.contains("LEVEL: \"a\""),
        "{written}"
    );
    assert!(written.contains(r#"command: ["npx","--yes","@acme/notes@1.0.0"]"#), "{written}");
    let twice = [&["add", "server.json", "--yes"], &answers[..]].concat();
    assert!(folder.run(&twice).await.bad(2).contains("give --name"));
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_mean_another_command_are_refused() {
    let folder = Folder::with("upstreams: {}\n");
    let before = folder.read("tidegate.yaml");
    let argument = |value: &str| json!([{"type": "positional", "value": value}]);
    let fill =
        json!([{"type": "positional", "valueHint": "path", "value": "{path}", "variables": {"path": {}}}]);
    for (package, answers, why) in [
        (npm(&[("identifier", json!("notes; rm -rf /"))]), vec![], "no name of a package"),
        (npm(&[("identifier", json!("--call=sh"))]), vec![], "no name of a package"),
        (npm(&[("version", json!("latest"))]), vec![], "names whatever is newest"),
        (npm(&[("runtimeArguments", argument("--call=id"))]), vec![], "is not passed on to npx"),
        (
            npm(&[("environmentVariables", json!([{"name": "LD_PRELOAD", "value": "/x"}]))]),
            vec![],
            "decides which code",
        ),
        (npm(&[("packageArguments", fill)]), vec!["--set", "path=--eval=1"], "could be taken for an option"),
        (npm(&[("registryBaseUrl", json!("https://evil.example"))]), vec![], "no registry that is let in"),
        (
            npm(&[("transport", json!({"type": "streamable-http", "url": "https://evil.example/mcp"}))]),
            vec![],
            "answers at",
        ),
    ] {
        folder.write("server.json", &package);
        let said = folder.run(&[&["add", "server.json", "--yes"], &answers[..]].concat()).await;
        assert_eq!(said.code, 4, "{package}: {said:?}");
        assert!(said.stderr.contains(why), "{why}: {said:?}");
    }
    // What a shell would act on is one argument like any other.
    folder.write("server.json", &npm(&[("packageArguments", argument("$(id); `id` | sh > x"))]));
    let said = folder.run(&["add", "server.json", "--dry-run"]).await.good();
    assert!(said.contains(r#""@acme/notes@1.0.0" "$(id); `id` | sh > x""#), "{said}");
    assert_eq!(folder.read("tidegate.yaml"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_at_a_terminal_is_asked_and_only_a_yes_is_one() {
    let folder = Folder::with("upstreams: {}\n");
    let before = folder.read("tidegate.yaml");
    for (answer, code) in [("\r", 4), ("n\r", 4), ("\u{4}", 4), ("y\r", 0)] {
        let mut terminal = Terminal::start(folder.command(&["add", "https://mcp.acme.example/mcp"]));
        terminal.find("Add it? [y/N]").await;
        terminal.press(answer);
        assert_eq!(terminal.ended().await.0, code, "{answer:?}");
        assert_eq!(folder.read("tidegate.yaml") == before, code != 0, "{answer:?}");
    }
    assert!(folder.read("tidegate.yaml").contains("mcp-acme-example:"));
    // Where there is no configuration, it is made.
    let empty = Folder::new();
    empty.run(&["add", "https://mcp.acme.example/mcp", "--name", "acme", "--yes"]).await.good();
    let made = empty.read("tidegate.yaml");
    let rest = made.strip_prefix("# yaml-language-server: $schema=./config.schema.json\n");
    assert!(rest.expect("where the schema is").trim_start().starts_with("upstreams:\n  acme:\n"), "{made:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_that_is_wrong_or_in_one_line_is_left_as_it_is() {
    for (yaml, code, why) in [
        ("upstreams: {a: {url: 'http://localhost:1/mcp'}}\n", 1, "add what is shown above by hand"),
        ("upstreams: {a: {url: 7}}\n", 3, "tidegate.yaml:2"),
    ] {
        let folder = Folder::with(yaml);
        let before = folder.read("tidegate.yaml");
        let said =
            folder.run(&["add", "https://mcp.acme.example/mcp", "--name", "b", "--yes"]).await.bad(code);
        assert!(said.contains(why), "{said}");
        assert_eq!(folder.read("tidegate.yaml"), before);
    }
}
