//! Texts that are there: what is not ours stays.

use portable::{Deployment, Format as _, Origin, Server, Target, Text, Tidegate};

use crate::matrix::formats;

fn ours() -> Deployment {
    let mut deployment = Deployment::default();
    deployment.servers.insert("gateway".to_owned(), Server::at("http://127.0.0.1:7400/mcp"));
    deployment
}

fn export(name: &str, existing: &str, remove: &[&str]) -> String {
    let remove: Vec<String> = remove.iter().map(|name| (*name).to_owned()).collect();
    let format = formats().into_iter().find(|format| format.name() == name).expect("a format");
    let target = Target { file: "f", existing: Some(existing), remove: &remove };
    format.export(&ours(), &target).expect("written").text
}

#[test]
fn comments_and_settings_of_an_editor_stay() {
    let old = "// Zed settings\n{\n  \"theme\": \"One Dark\", // dark\n  \"context_servers\": {\n    \
               // the files\n    \"files\": { \"command\": \"x\" },\n    \"b\": { \"url\": \
               \"https://b.example\" }\n  \
               },\n  \"vim_mode\": true,\n}\n";
    let new = export("zed", old, &["files"]);
    assert_eq!(
        new,
        "// Zed settings\n{\n  \"theme\": \"One Dark\", // dark\n  \"context_servers\": {\n    // \
         the files\n    \
         \"b\": { \"url\": \"https://b.example\" },\n    \"gateway\": {\n      \"url\": \
         \"http://127.0.0.1:7400/mcp\"\n    }\n  },\n  \"vim_mode\": true,\n}\n"
    );
}

#[test]
fn comments_and_tables_of_a_toml_file_stay() {
    let old = "# mine\nmodel = \"o\"\r\n\r\n[mcp_servers.files] # files\r\ncommand = \
     \"x\"\r\n\r\n[tui]\r\na = 1\r\n";
    let new = export("codex", old, &[]);
    assert!(new.starts_with("# mine") && new.contains("[mcp_servers.files] # files"), "{new}");
    assert!(new.contains("[mcp_servers.gateway]\r\nurl = \"http://127.0.0.1:7400/mcp\"\r\n"), "{new}");
    assert!(new.contains("[tui]\r\na = 1\r\n"), "{new}");
    let gone = export("codex", old, &["files"]);
    assert!(!gone.contains("files") && gone.contains("[tui]"), "{gone}");
}

#[test]
fn what_is_part_of_goose_itself_stays() {
    let old = "GOOSE_MODEL: m # mine\nextensions:\n  developer:\n    enabled: true\n    type: \
     builtin\n  # files\n  \
               files:\n    type: stdio\n    cmd: x\n    enabled: true\n";
    let new = export("goose", old, &["files"]);
    assert_eq!(
        new,
        "GOOSE_MODEL: m # mine\nextensions:\n  developer:\n    enabled: true\n    type: builtin\n  \
         gateway:\n    enabled: true\n    name: \"gateway\"\n    type: \"streamable_http\"\n    uri: \
         \"http://127.0.0.1:7400/mcp\"\n  # files\n"
    );
}

#[test]
fn a_server_that_was_excluded_is_let_in_where_it_is_written() {
    let old = "{\"mcp\": {\"allowed\": [\"a\"], \"excluded\": [\"gateway\", \"b\"]}, \"mcpServers\": {}}";
    let new = export("gemini-cli", old, &[]);
    let read: serde_json::Value = serde_json::from_str(&new).expect("JSON");
    assert_eq!(read["mcp"], serde_json::json!({"allowed": ["a", "gateway"], "excluded": ["b"]}));
    assert_eq!(read["mcpServers"]["gateway"]["httpUrl"], "http://127.0.0.1:7400/mcp");
}

#[test]
fn a_text_that_cannot_be_changed_by_itself_is_left_alone() {
    for (name, old) in [
        ("zed", "{\"context_servers\": []}"),
        ("cursor", "{\"mcpServers\": {\"a\": 1, \"a\": 2}}"),
        ("goose", "extensions: {files: {type: stdio, cmd: x}}\n"),
        ("goose", "extensions: &a\n  files: {type: stdio, cmd: x}\n"),
        ("codex", "mcp_servers = 1\n"),
        ("codex", "[mcp_servers.a\n"),
        ("tidegate", "upstreams: {a: {command: [x]}}\n"),
    ] {
        let format = formats().into_iter().find(|format| format.name() == name).expect("a format");
        let target = Target { file: "f", existing: Some(old), remove: &[] };
        assert!(format.export(&ours(), &target).is_err(), "{name}: {old}");
    }
}

#[test]
fn servers_of_a_client_become_a_configuration_of_the_gateway() {
    use portable::Format as _;
    let text = r#"{"mcpServers": {
        "My Files": {"command": "npx", "args": ["-y", "files", "/a b/../c"], "env": {"KEY": "${KEY}"}},
        "remote": {"type": "http", "url": "https://r.example/mcp",
                   "headers": {"Authorization": "Bearer ${T}"}},
        "where": {"command": "${BIN}/x"}
    }}"#;
    let claude = formats().into_iter().find(|format| format.name() == "claude-code").expect("a format");
    let read = claude.import(text, &Origin { file: "f", ..Origin::default() }).expect("read");
    let written = Tidegate.export(&read.deployment, &Target::default()).expect("written");
    assert_eq!(
        written.text,
        "# yaml-language-server: $schema=./config.schema.json\n\n\
         upstreams:\n  my-files:\n    command: [\"npx\",\"-y\",\"files\",\"/a b/../c\"]\n    env:\n      \
         KEY: {\"env\":\"KEY\"}\n  remote:\n    url: \"https://r.example/mcp\"\n    transport: \
         \"streamable-http\"\n    headers:\n      Authorization: {\"env\":\"T\",\"prefix\":\"Bearer \"}\n"
    );
    let config = config::load_str(&written.text, "f").expect("a configuration");
    assert_eq!(config.upstreams.len(), 2);
    let lost: Vec<_> = written.report.changed().map(|loss| loss.path.as_str()).collect();
    assert_eq!(lost, ["servers.where.command[0]", "servers.where", "servers.My Files"]);
    assert_eq!(read.deployment.servers["where"].argv[0].pieces()[0], Text::env("BIN").pieces()[0]);
}

#[test]
fn the_first_lines_of_a_file_that_is_there_stay() {
    use portable::Format as _;
    let mut deployment = ours();
    deployment.gateway.listen = Some("127.0.0.1:7401".to_owned());
    let old = "# yaml-language-server: $schema=elsewhere.json\n# mine\ndrain_timeout: 5s";
    let target = Target { file: "f", existing: Some(old), remove: &[] };
    let written = Tidegate.export(&deployment, &target).expect("written").text;
    assert!(written.starts_with(old), "{written}");
    assert!(!written.contains("config.schema.json") && written.contains("listen: \"127.0.0.1:7401\"\n"));
}

#[test]
fn an_entry_of_a_registry_has_a_description_that_its_schema_takes() {
    let format = formats().into_iter().find(|format| format.name() == "server-json").expect("a format");
    let target = Target { file: "server.json", existing: None, remove: &[] };
    let long = "a".repeat(101);
    for (title, description, expected) in [
        (None, None, "gateway"),
        (None, Some(""), "gateway"),
        (Some("Tide"), None, "Tide"),
        (Some("Tide"), Some("Ebb and flow."), "Ebb and flow."),
        (None, Some(long.as_str()), &long[1..]),
    ] {
        let mut deployment = ours();
        let server = deployment.servers.get_mut("gateway").expect("it is there");
        (server.title, server.description) = (title.map(str::to_owned), description.map(str::to_owned));
        let written = format.export(&deployment, &target).expect("written");
        let entry: serde_json::Value = serde_json::from_str(&written.text).expect("JSON");
        assert_eq!(entry["description"], expected);
        let is_told = written.report.changed().any(|loss| loss.path == "servers.gateway.description");
        assert_eq!(is_told, description != Some(expected), "{}", written.text);
    }
}

/// What a format's text becomes in a file of ours, and its report.
fn taken(format: &str, text: &str, existing: &str) -> (String, String) {
    let all = portable::clients();
    let format = all.iter().find(|known| known.name() == format).expect("a format");
    let read = format.import(text, &Origin { file: ".claude.json", ..Origin::default() }).expect("read");
    let target = Target { file: "tidegate.yaml", existing: Some(existing), remove: &[] };
    let mut report = read.report;
    let written = Tidegate.export(&Deployment { format: None, ..read.deployment }, &target).expect("written");
    report.extend(written.report);
    let refused: Vec<String> =
        read.refused.iter().map(|refused| format!("refused {}: {}", refused.name, refused.fault)).collect();
    (written.text, format!("{report}\n{}", refused.join("\n")))
}

#[test]
fn what_is_literal_elsewhere_is_literal_in_a_file_with_variables() {
    let text = r#"{"mcpServers": {"a": {"transport": "stdio", "command": "x", "args": ["${region}", "$${a}"],
        "env": {"X": "${nobody}"}}}}"#;
    let existing = "variables: {region: {default: eu}}\nupstreams: {}\n";
    let (written, report) = taken("langchain", text, existing);
    let config = config::load_str(&written, "f").expect("a configuration");
    assert_eq!(
        config.upstreams["a"].command.as_deref(),
        Some(&["x", "${region}", "$${a}"].map(String::from)[..])
    );
    assert!(written.contains("$${nobody}"), "{written}");
    assert!(report.contains("would be a variable here"), "{report}");
    // Without variables it is text here as well.
    let (written, report) = taken("langchain", text, "upstreams: {}\n");
    assert!(
        written.contains("\"${region}\"") && !report.contains("would be a variable"),
        "{written}{report}"
    );
}

#[test]
fn our_own_mark_of_the_byte_order_stays() {
    let text = r#"{"mcpServers": {"a": {"command": "x"}}}"#;
    let (written, _) = taken("cursor", text, "\u{feff}listen: 127.0.0.1:0\n");
    assert!(written.starts_with("\u{feff}listen: 127.0.0.1:0\n"), "{written}");
    let (again, _) = taken("cursor", text, &written);
    assert_eq!(again, written);
}

#[test]
fn what_is_asked_for_or_in_a_keyring_is_a_variable_to_be_set() {
    let code = r#"{"servers": {"a": {"command": "x", "env": {"KEY": "${input:api-key}"}},
        "b": {"type": "http", "url": "https://h/", "headers": {"Authorization": "Bearer ${input:api-key}"}}},
        "inputs": [{"id": "api-key", "type": "promptString", "password": true, "description": "d"}]}"#;
    let (written, report) = taken("vscode", code, "");
    assert!(written.contains("KEY: {\"env\":\"API_KEY\"}"), "{written}");
    assert!(
        written.contains("\"prefix\":\"Bearer \"") && written.contains("\"env\":\"API_KEY\""),
        "{written}"
    );
    assert!(report.contains("set the variable API_KEY where the gateway runs"), "{report}");
    let goose = "extensions:\n  a:\n    type: stdio\n    enabled: true\n    name: a\n    cmd: x\n    \
                 env_keys: [A_TOKEN]\n";
    let (written, report) = taken("goose", goose, "");
    assert!(written.contains("A_TOKEN: {\"env\":\"A_TOKEN\"}"), "{written}");
    assert!(report.contains("set the variable A_TOKEN"), "{report}");
}

#[test]
fn servers_of_projects_are_taken_over_by_names_of_their_own() {
    let text = r#"{"mcpServers": {"a": {"command": "x"}}, "projects": {
        "/home/ann/one": {"mcpServers": {"a": {"command": "y"}, "b": {"command": "z"}}},
        "/home/ann/two": {"mcpServers": {"a": {"command": "x"}, "b": {"command": "w"}, "c": {"url": 1}}}}}"#;
    let (written, report) = taken("claude-code", text, "");
    let config = config::load_str(&written, "f").expect("a configuration");
    let names: Vec<&str> = config.upstreams.keys().map(String::as_str).collect();
    assert_eq!(names, ["a", "a-one", "b", "b-two"]);
    assert!(report.contains("it was for that project alone: here it is \"b-two\""), "{report}");
    assert!(report.contains("refused c: "), "{report}");
}

#[test]
fn a_key_that_is_twice_in_one_server_keeps_that_server_out_alone() {
    let text = r#"{"mcpServers": {"a": {"command": "x", "command": "y"},
        "b": {"command": "z", "env": {"N": null}}}}"#;
    let (written, report) = taken("cursor", text, "");
    assert!(written.contains("  b:\n") && !written.contains("  a:\n"), "{written}");
    assert!(
        report.contains("refused a: ") && report.contains("mcpServers.a.command: this key is there twice")
    );
    assert!(report.contains("servers.b.env.N") && report.contains("it is null"), "{report}");
}
