//! Clients' files.

use tidegate_config::mcp_json::{Imported, load_slice, load_str};
use tidegate_config::{Config, Secret, Transport};

fn import(text: &str) -> Imported {
    load_str(text, "mcp.json").unwrap_or_else(|faults| panic!("{faults}"))
}

fn warnings(imported: &Imported) -> Vec<String> {
    imported.warnings.iter().map(ToString::to_string).collect()
}

/// The messages about `text`, one a line.
fn faults(text: &str) -> String {
    load_str(text, "mcp.json").map(|i| format!("{i:?}")).expect_err("the file is wrong").to_string()
}

fn hold(name: &str) {
    crate::table::hold(include_str!("imported.txt"), name, faults);
}

#[test]
fn every_table_is_held() {
    crate::table::every_group_has_a_test(include_str!("imported.txt"), include_str!("imported.rs"));
}

#[test]
fn a_file_of_claude_is_read() {
    let imported = import(
        r#"{
  "mcpServers": {
    "filesystem": {
      "command": "npx",
      "args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv/data"],
      "env": {"TOKEN": "${FILES_TOKEN}", "LEVEL": "debug", "PORT": 8080}
    },
    "crm": {
      "type": "http",
      "url": "https://crm.example.com/mcp",
      "headers": {"Authorization": "Bearer ${env:CRM_TOKEN}"}
    },
    "old": {"type": "sse", "url": "http://127.0.0.1:9000/sse"},
    "plain": {"type": "stdio", "command": "server", "cwd": "/srv"},
    "off": {"command": "server", "disabled": true}
  }
}"#,
    );
    assert_eq!(warnings(&imported), Vec::<String>::new());
    let upstreams = &imported.config.upstreams;
    assert_eq!(upstreams.keys().collect::<Vec<_>>(), ["filesystem", "crm", "old", "plain", "off"]);
    let files = &upstreams["filesystem"];
    assert_eq!(
        files.command.as_deref().expect("a command"),
        ["npx", "-y", "@modelcontextprotocol/server-filesystem", "/srv/data"]
    );
    assert_eq!(files.env["TOKEN"], Secret::env("FILES_TOKEN"));
    assert_eq!((&files.env["LEVEL"], &files.env["PORT"]), (&Secret::plain("debug"), &Secret::plain("8080")));
    let crm = &upstreams["crm"];
    assert_eq!(
        (crm.url.as_deref(), crm.transport),
        (Some("https://crm.example.com/mcp"), Transport::StreamableHttp)
    );
    assert_eq!(crm.headers["Authorization"], Secret::env("CRM_TOKEN").with_prefix("Bearer "));
    assert_eq!(upstreams["old"].transport, Transport::HttpSse);
    assert_eq!(upstreams["plain"].cwd.as_deref(), Some(std::path::Path::new("/srv")));
    assert_eq!(imported.config.upstreams_enabled().count(), 4);
    let rest = Config { upstreams: imported.config.upstreams.clone(), ..Config::default() };
    assert_eq!(imported.config, rest);
}

#[test]
fn a_file_of_vs_code_is_read_unless_it_asks() {
    let imported = import(r#"{"inputs": [], "servers": {"a": {"type": "stdio", "command": "a"}}}"#);
    assert_eq!(imported.config.upstreams.len(), 1);
    assert_eq!(warnings(&imported), Vec::<String>::new());
    hold("a_file_of_vs_code_is_read_unless_it_asks");
}

#[test]
fn comments_and_last_commas_are_read_over() {
    let imported = import(
        "// my servers\n{\n\t\"mcpServers\": {\n\t\t\
         /* one */ \"a\": {\"url\": \"http://a/mcp\", }, // two\n\t},\n}\n",
    );
    assert_eq!(imported.config.upstreams["a"].url.as_deref(), Some("http://a/mcp"));
    assert_eq!(imported.config.upstreams["a"].transport, Transport::Auto);
}

#[test]
fn other_clients_keys_for_a_url_are_known() {
    for (key, transport) in [("url", "streamable-http"), ("serverUrl", "streamableHttp"), ("httpUrl", "http")]
    {
        let imported =
            import(&format!(r#"{{"mcpServers": {{"a": {{"{key}": "http://a", "type": "{transport}"}}}}}}"#));
        assert_eq!(imported.config.upstreams["a"].url.as_deref(), Some("http://a"), "{key}");
        assert_eq!(imported.config.upstreams["a"].transport, Transport::StreamableHttp, "{key}");
    }
}

#[test]
fn what_is_changed_or_not_understood_is_told() {
    let imported = import(
        r#"{
  "theme": "dark",
  "mcpServers": {
    "My Server": {"command": "a", "alwaysAllow": ["x"], "timeout": 5},
    "sse": {"url": "http://b", "env": {"A": "hunter2"}, "args": null},
    "my-server": {"command": "c", "headers": {"x": "y"}, "env": {}}
  }
}"#,
    );
    assert_eq!(
        imported.config.upstreams.keys().collect::<Vec<_>>(),
        ["my-server-2", "sse-server", "my-server"]
    );
    assert_eq!(
        warnings(&imported),
        [
            "mcp.json:2:3: theme: unknown key, left out",
            "mcp.json:4:5: mcpServers.\"My Server\": called \"my-server-2\" here",
            "mcp.json:4:35: mcpServers.\"My Server\".alwaysAllow: unknown key, left out",
            "mcp.json:4:57: mcpServers.\"My Server\".timeout: unknown key, left out",
            "mcp.json:5:5: mcpServers.sse: called \"sse-server\" here",
            "mcp.json:5:32: mcpServers.sse.env: means nothing for this kind of server, left out",
            "mcp.json:6:35: mcpServers.my-server.headers: means nothing for this kind of server, left out",
        ]
    );
}

#[test]
fn a_variable_that_cannot_be_read_is_refused() {
    let hint = "put the whole value into the environment and write ${env:NAME}";
    let value = |value: &str| {
        format!(r#"{{"mcpServers": {{"a": {{"url": "http://a", "headers": {{"x": "{value}"}}}}}}}}"#)
    };
    for (text, message) in [
        ("${A}${B}", "nothing can follow a variable"),
        ("${A} b", "nothing can follow a variable"),
        ("${A:-b}", "only variables of the environment can stand in a value"),
        ("${workspaceFolder}", "only variables of the environment can stand in a value"),
        ("${input:a}", "the editor asks its user for this value, and here is nobody to ask"),
        ("${A", "the value has \"${\" without \"}\""),
    ] {
        let found = load_str(&value(text), "mcp.json").expect_err("it is refused").to_string();
        assert_eq!(found, format!("mcp.json:1:59: mcpServers.a.headers.x: {message}; {hint}"), "{text}");
    }
    hold("a_variable_that_cannot_be_read_is_refused");
}

#[test]
fn a_server_that_cannot_be_used_is_refused_in_the_words_of_the_file() {
    hold("a_server_that_cannot_be_used_is_refused_in_the_words_of_the_file");
}

#[test]
fn a_file_that_is_no_list_of_servers_is_refused() {
    let example =
        "as in {\"mcpServers\": {\"files\": {\"command\": \"npx\", \"args\": [\"-y\", \"server\"]}}}";
    for text in ["", "[]", "mcpServers: {}", "// {}\n"] {
        let found = load_str(text, "mcp.json").expect_err("it is refused").to_string();
        assert_eq!(found, format!("mcp.json:1:1: expected a JSON object; {example}"), "{text:?}");
    }
    let found = load_str("{\"tools\": []}", "mcp.json").expect_err("it is refused").to_string();
    assert_eq!(
        found,
        format!("mcp.json:1:1: the file has neither \"mcpServers\" nor \"servers\"; {example}")
    );
    hold("a_file_that_is_no_list_of_servers_is_refused");
    assert!(import("{\"mcpServers\": {}}").config.upstreams.is_empty());
    let error = load_slice(b"{\xff", "mcp.json").expect_err("it is refused");
    assert_eq!(error.to_string(), "mcp.json:1:2: the file is not UTF-8");
}

#[test]
fn both_lists_of_servers_are_not_mixed() {
    let imported = import(r#"{"servers": {"b": {"command": "b"}}, "mcpServers": {"a": {"command": "a"}}}"#);
    assert_eq!(imported.config.upstreams.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(
        warnings(&imported),
        ["mcp.json:1:2: servers: left out, since the file has \"mcpServers\" too"]
    );
}

#[test]
fn a_large_file_of_a_client_is_read() {
    let servers: Vec<_> = (0..1000)
        .map(|n| format!("\"server-{n}\": {{\"command\": \"run\", \"args\": [\"{}\"]}}", "x".repeat(2000)))
        .collect();
    let imported = import(&format!("{{\"mcpServers\": {{{}}}}}", servers.join(",\n")));
    assert_eq!(imported.config.upstreams.len(), 1000);
    let one_more = format!("{{\"mcpServers\": {{{}, \"x\": {{}}}}}}", servers.join(","));
    let found = load_str(&one_more, "mcp.json").expect_err("it is refused").to_string();
    assert_eq!(found, "mcp.json:1:16: mcpServers: there are 1001 of them, and there may be 1000");
}

#[test]
fn text_is_read_as_json_has_it() {
    let imported = import(
        r#"{"mcpServers": {"a": {"command": "\ud83d\ude00\/\u00e9\t", "args": ["", "yes", "~", "1e3"]}}}"#,
    );
    assert_eq!(
        imported.config.upstreams["a"].command.as_deref().expect("a command"),
        ["😀/é\t", "", "yes", "~", "1e3"]
    );
}
