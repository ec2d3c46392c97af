//! Configurations of other programs: taken over, pointed at the gateway, and put back.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;
use testkit::within;

use crate::program::{Folder, PROGRAM, Ran, code};

/// A server of MCP that any client can start: the demo server, behind `env`, so that it is no gateway.
fn demo(more: &str) -> String {
    format!(
        "{{\"command\": \"/usr/bin/env\", \"args\": [\"{PROGRAM}\", \"stdio\", \"--config\", \"/dev/null\", \
         \"--endpoint\", \"demo\"]{more}}}"
    )
}

/// Seven clients as people have them.
fn home() -> Vec<(&'static str, String)> {
    vec![
        (
            ".config/Claude/claude_desktop_config.json",
            format!("{{\"mcpServers\": {{\"Desktop Files\": {}}}}}", demo("")),
        ),
        (
            ".claude.json",
            format!(
                "{{\n  \"numStartups\": 12,\n  \"mcpServers\": {{\n    \"code\": {},\n    \
                 \"shared\": {{\"type\": \"http\", \
                 \"url\": \"http://127.0.0.1:9/mcp\", \"headers\": {{\"Authorization\": \"Bearer \
                 ${{NO_SUCH}}\"}}}}\n  }},\n  \
                 \"projects\": {{}}\n}}\n",
                demo(", \"env\": {\"LEVEL\": \"debug\"}")
            ),
        ),
        (
            ".config/Code/User/mcp.json",
            format!(
                "// mine\r\n{{\r\n  \"servers\": {{\r\n    // the editor's\r\n    \"editor\": \
                 {},\r\n  }},\r\n  \"inputs\": [],\r\n}}\r\n",
                demo(", \"type\": \"stdio\"")
            ),
        ),
        (
            ".cursor/mcp.json",
            format!(
                "{{\"mcpServers\": {{\"cursor\": {}, \"with-secret\": {}}}}}\n",
                demo(""),
                demo(", \"env\": {\"API_KEY\": \"not-a-real-key\"}")
            ),
        ),
        (
            ".gemini/settings.json",
            format!(
                "{{\n  \"theme\": \"x\", // dark\n  \"mcpServers\": {{\"gem\": {}}}\n}}\n",
                demo(", \"excludeTools\": [\"slow\"]")
            ),
        ),
        (
            ".codex/config.toml",
            format!(
                "model = \"m\" # mine\n\n[mcp_servers.codex]\ncommand = \"/usr/bin/env\"\nargs = \
                 [\"{PROGRAM}\", \"stdio\", \
                 \"--config\", \"/dev/null\", \"--endpoint\", \"demo\"]\ndisabled_tools = \
                 [\"flaky\"]\n\n[tui]\nx = 1\n"
            ),
        ),
        (
            ".config/goose/config.yaml",
            format!(
                "GOOSE_MODEL: m # mine\nextensions:\n  developer: {{type: builtin, enabled: true, \
                 name: developer}}\n  \
                 goose:\n    type: stdio\n    enabled: true\n    cmd: /usr/bin/env\n    args: \
                 ['{PROGRAM}', stdio, --config, \
                 /dev/null, --endpoint, demo]\n"
            ),
        ),
    ]
}

struct Home {
    folder: Folder,
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Home {
    /// One with these files, and a configuration that says where to listen.
    fn with(files: &[(&str, String)]) -> Self {
        let folder = Folder::with("");
        let mut written = Vec::new();
        for (name, text) in files {
            let path = folder.path("home").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            written.push((path, text.clone().into_bytes()));
        }
        Self { folder, files: written }
    }

    async fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = self.folder.command(arguments);
        command.env("HOME", self.folder.path("home")).stdin(Stdio::null());
        let output = within(command.output()).await.unwrap();
        Ran {
            code: code(output.status),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Files that are not as they were.
    fn changed(&self) -> Vec<&PathBuf> {
        let changed = self.files.iter().filter(|(path, text)| std::fs::read(path).unwrap() != *text);
        changed.map(|(path, _)| path).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn seven_clients_become_one_gateway_and_are_put_back_byte_for_byte() {
    let home = Home::with(&home());
    let took = home.run(&["import", "--all", "--write", "--secrets", "secrets"]).await;
    assert_eq!((took.code, &*took.stderr), (0, ""), "{}", took.stdout);
    for part in ["claude-desktop", "claude-code", "vscode", "cursor", "gemini-cli", "codex", "goose"] {
        assert!(took.stdout.contains(part), "{part}: {}", took.stdout);
    }
    assert!(
        took.stdout.contains("desktop-files")
            && took.stdout.contains(
                "wrote \
     tidegate.yaml"
            ),
        "{}",
        took.stdout
    );
    assert!(home.changed().is_empty(), "nothing of the clients' was touched");
    let secret = home.folder.path("secrets").join("with-secret-env-API_KEY");
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "not-a-real-key");
    assert_eq!(std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
    let config = home.folder.read("tidegate.yaml");
    assert!(!config.contains("not-a-real") && !took.stdout.contains("not-a-real"), "{config}");
    assert!(config.contains("hide: [\"slow\"]") && config.contains("hide: [\"flaky\"]"), "{config}");

    let edited = config.replace("  shared:\n", "  shared:\n    enabled: false\n");
    home.folder.configure(&edited);
    let up = home.folder.up(&[]).await;
    let tools = up.tools("/mcp").await;
    for name in ["desktop-files", "code", "editor", "cursor", "with-secret", "gem", "codex", "goose"] {
        assert!(tools.iter().any(|tool| tool.starts_with(&format!("{name}_"))), "{name}: {tools:?}");
    }
    assert!(!tools.contains(&"gem_slow".to_owned()) && tools.contains(&"code_slow".to_owned()), "{tools:?}");

    let url = format!("http://{}", up.address);
    let shown = home.run(&["export", "--all", "--url", &url]).await.good();
    assert!(
        shown.contains("+")
            && shown.contains(
                "--write does \
     it"
            )
            && !shown.contains("not-a-real"),
        "{shown}"
    );
    assert!(home.changed().is_empty());
    let wrote = home.run(&["export", "--all", "--write", "--url", &url]).await.good();
    assert!(wrote.contains("wrote 7 files"), "{wrote}");
    assert_eq!(home.changed().len(), 7);
    let text = |index: usize| std::fs::read_to_string(&home.files[index].0).unwrap();
    let cursor: Value = serde_json::from_str(&text(3)).unwrap();
    assert_eq!(cursor, serde_json::json!({"mcpServers": {"tidegate": {"url": format!("{url}/mcp")}}}));
    assert!(text(2).starts_with("// mine\r\n") && text(2).contains(&url), "{}", text(2));
    assert!(
        text(5).contains(
            "[tui]\nx = \
     1"
        ) && text(5).contains(&url)
            && !text(5).contains("disabled_tools")
    );
    assert!(text(6).contains("developer: {type: builtin") && text(6).contains(&url), "{}", text(6));
    let desktop: Value = serde_json::from_str(&text(0)).unwrap();
    assert_eq!(desktop["mcpServers"]["tidegate"]["args"][0], "stdio", "it reaches no URLs");
    let again = home.run(&["import", "--all"]).await;
    assert!(again.stdout.contains("it is the gateway itself"), "{}", again.stdout);

    let undone = home.run(&["export", "--undo"]).await.good();
    assert_eq!(undone.lines().count(), 7, "{undone}");
    assert!(home.changed().is_empty(), "byte for byte");
    assert!(home.run(&["export", "--undo"]).await.bad(4).contains("nothing was exported"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_changed_since_is_not_undone() {
    let home = Home::with(&home()[3..4]);
    home.run(&["export", "cursor", "--write", "--url", "http://127.0.0.1:1"]).await.good();
    let path = &home.files[0].0;
    let mut text = std::fs::read_to_string(path).unwrap();
    text.push(' ');
    std::fs::write(path, &text).unwrap();
    let said = home.run(&["export", "--undo"]).await.bad(4);
    assert!(said.contains("changed since, so left alone"), "{said}");
    assert_eq!(std::fs::read_to_string(path).unwrap(), text);
    let said = home.run(&["export", "--undo", "--replace"]).await.good();
    assert!(home.changed().is_empty(), "byte for byte");
    let kept = said.lines().find_map(|line| line.split_once(" was changed since; that is in ")).unwrap().1;
    assert_eq!(std::fs::read_to_string(kept).unwrap(), text, "what it was until then is kept");
    home.run(&["export", "--undo"]).await.bad(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_changed_since_keeps_no_other_from_being_undone() {
    let home = Home::with(&home()[2..5]);
    home.folder.configure("");
    home.run(&["export", "--all", "--write", "--url", "http://127.0.0.1:1"]).await.good();
    let (path, before) = &home.files[1];
    let exported = std::fs::read(path).unwrap();
    std::fs::write(path, [&exported[..], b" "].concat()).unwrap();
    let ran = home.run(&["export", "--undo"]).await;
    assert_eq!((ran.code, ran.stdout.lines().count()), (4, 2), "{ran:?}");
    assert_eq!(home.changed(), [path], "the others are as they were");
    std::fs::write(path, exported).unwrap();
    home.run(&["export", "--undo"]).await.good();
    assert_eq!(&std::fs::read(path).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_that_are_not_set_are_told_all_of_them_by_the_import_and_by_the_gateway() {
    let home = Home::with(&[cursor(
        r#"{"a": {"url": "http://127.0.0.1:9/mcp", "headers": {"x": "${env:NO_SUCH_ONE}"}},
            "b": {"command": "x", "env": {"KEY": "${env:NO_SUCH_TWO}", "HOME": "${env:HOME}"}}}"#,
    )]);
    let took = home.run(&["import", "cursor", "--write"]).await.good();
    let told = "set     NO_SUCH_ONE: the gateway does not start without it (upstreams.a.headers.x)\n\
                set     NO_SUCH_TWO: the gateway does not start without it (upstreams.b.env.KEY)\n";
    assert!(took.contains(told) && !took.contains("set     HOME"), "{took}");
    let said = home.run(&["up"]).await.bad(3);
    assert!(said.contains("NO_SUCH_ONE is not set") && said.contains("NO_SUCH_TWO is not set"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_elsewhere_has_the_overlays_and_the_values_of_variables() {
    let home = Home::with(&[]);
    home.folder.configure(
        "variables: {region: {default: eu}}\nupstreams:\n  \
         crm: {url: 'https://crm.${region}.example.com/mcp'}\n  \
         ops: {url: 'https://ops.example.com/mcp'}\n",
    );
    home.folder.write("tidegate.production.yaml", "upstreams: {crm: {hide: [drop]}}\n");
    home.folder.write("tidegate.local.yaml", "upstreams: {ops: ~}\n");
    let words = ["export", "litellm", "--env", "production", "--set", "region=us"];
    let printed = home.run(&words).await;
    assert_eq!(printed.code, 0, "{printed:?}");
    let text = &printed.stdout;
    assert!(text.contains("https://crm.us.example.com/mcp") && text.contains("drop"), "{text}");
    assert!(!text.contains("ops.example.com"), "{text}");
    for place in ["compose", "systemd", "kubernetes"] {
        let words =
            ["migrate", "deploy", place, "--env", "production", "--set", "region=us", "--into", place];
        let wrote = home.run(&words).await;
        assert_eq!(wrote.code, 0, "{wrote:?}");
        assert!(wrote.stdout.contains("stand in one file now"), "{wrote:?}");
        let file = if place == "kubernetes" { "config.yaml" } else { "tidegate.yaml" };
        let text = home.folder.read(&format!("{place}/{file}"));
        assert!(text.contains("https://crm.us.example.com/mcp") && text.contains("drop"), "{text}");
        assert!(!text.contains("ops.example.com"), "{text}");
    }
    home.folder.run(&["config", "check", "--config", "systemd/tidegate.yaml"]).await.good();
    let pointed = home.run(&["export", "claude-desktop", "c.json", "--env", "production", "--write"]).await;
    assert_eq!(pointed.code, 0, "{pointed:?}");
    let written: Value = serde_json::from_str(&home.folder.read("c.json")).unwrap();
    let words = written["mcpServers"]["tidegate"]["args"].as_array().unwrap();
    assert!(words.windows(2).any(|two| two[0] == "--env" && two[1] == "production"), "{written}");
}

/// The servers of a client.
fn cursor(servers: &str) -> (&'static str, String) {
    (".cursor/mcp.json", format!("{{\"mcpServers\": {servers}}}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_there_is_not_replaced_with_what_guards_it_unless_that_is_said() {
    let own = "upstreams:\n  files: {command: [/opt/fs], hide: ['write_*'], concurrency_max: 3} # ours\n";
    let home = Home::with(&[cursor(r#"{"files": {"command": "npx", "args": ["fs"]}}"#)]);
    home.folder.write("tidegate.yaml", own);
    let took = home.run(&["import", "cursor", "--write"]).await.good();
    assert!(took.contains("files-cursor") && took.contains("--replace puts this one in its place"), "{took}");
    let config = home.folder.read("tidegate.yaml");
    assert!(config.starts_with(own) && config.contains("  files-cursor:\n"), "{config}");
    let again = home.run(&["import", "cursor", "--write"]).await.good();
    assert!(again.contains("it is there already, and stays as it is"), "{again}");
    assert_eq!(home.folder.read("tidegate.yaml"), config, "it does not become one more each time");
    home.folder.write("tidegate.yaml", own);
    let took = home.run(&["import", "cursor", "--write", "--replace"]).await;
    assert!(took.code == 6 && took.stdout.contains("LOST"), "what guards is lost: {took:?}");
    assert!(!home.folder.read("tidegate.yaml").contains("write_*"));
    // What the configuration says of a server that is the same besides stays.
    let same = "upstreams:\n  files: {command: [npx, fs], hide: ['write_*']} # ours\n";
    home.folder.write("tidegate.yaml", same);
    home.run(&["import", "cursor", "--write"]).await.good();
    assert_eq!(home.folder.read("tidegate.yaml"), same);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_over_is_known_again_whatever_variables_are_in_the_file() {
    let home = Home::with(&[]);
    home.folder
        .configure("variables: {region: {default: eu}}\nupstreams:\n  b: {command: [y, '${region}']}\n");
    home.folder.write(
        "l.json",
        r#"{"mcpServers": {"a": {"transport": "stdio", "command": "x", "args": ["${region}"]},
            "b": {"transport": "stdio", "command": "y", "args": ["eu"]}}}"#,
    );
    let took = home.run(&["import", "langchain", "l.json", "--write"]).await.good();
    assert_eq!(took.matches("it is there already").count(), 1, "{took}");
    let config = home.folder.read("tidegate.yaml");
    assert!(config.contains("$${region}"), "what is text there is text here: {config}");
    let again = home.run(&["import", "langchain", "l.json", "--write"]).await.good();
    assert_eq!(again.matches("it is there already").count(), 2, "{again}");
    assert_eq!(home.folder.read("tidegate.yaml"), config);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_gateways_servers_take_no_upstreams_place_unless_that_is_said() {
    let home = Home::with(&[]);
    home.folder.configure("upstreams:\n  files: {url: 'http://127.0.0.1:9/mcp', hide: ['write_*']}\n");
    home.folder.write("config.yaml", "mcp_servers:\n  files: {url: 'http://127.0.0.1:8/mcp'}\n");
    let said = home.run(&["import", "litellm", "config.yaml", "--write"]).await.bad(4);
    assert!(said.contains("(files); --replace puts these in their place"), "{said}");
    assert!(home.folder.read("tidegate.yaml").contains("write_*"));
    let took = home.run(&["import", "litellm", "config.yaml", "--write", "--replace"]).await;
    assert!(took.code == 6 && took.stdout.contains("it replaces the one that was there"), "{took:?}");
    assert!(home.folder.read("tidegate.yaml").contains("http://127.0.0.1:8/mcp"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_a_project_stays_in_the_clients_file_and_nobody_says_otherwise() {
    let file = r#"{"mcpServers": {"all": {"command": "pg"}},
        "projects": {"/a": {"mcpServers": {"own": {"command": "own"}}}}}"#;
    let home = Home::with(&[(".claude.json", file.to_owned())]);
    home.run(&["import", "claude-code", "--write"]).await.good();
    let said = home.run(&["export", "--all", "--write", "--url", "http://127.0.0.1:1"]).await.good();
    assert!(said.contains("taken out of claude-code: all\n"), "{said}");
    let text = std::fs::read_to_string(&home.files[0].0).unwrap();
    let written: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(written["projects"]["/a"]["mcpServers"]["own"]["command"], "own", "{text}");
    assert!(written["mcpServers"]["all"].is_null(), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_the_gateway_has_not_the_same_stays_with_the_client() {
    let servers = r#"{"same": {"command": "pg"}, "prod": {"command": "pg", "env": {"DB": "prod"}},
        "eu": {"url": "http://127.0.0.1:9/mcp", "headers": {"X-Tenant": "eu"}},
        "dev": {"command": "pg", "env": {"DB": "dev", "PASSWORD": "not-a-real-one"}},
        "more": {"command": "pg", "env": {"DB": "dev", "PASSWORD": "x", "API_KEY": "y"}}}"#;
    let home = Home::with(&[cursor(servers)]);
    home.folder.configure(
        "upstreams:\n  pg: {command: [pg]}\n  eu: {url: 'http://127.0.0.1:9/mcp', transport: auto}\n  \
         dev: {command: [pg], env: {DB: dev, PASSWORD: {env: NO_SUCH}}}\n",
    );
    let ran = home.run(&["export", "--all", "--write", "--url", "http://127.0.0.1:1"]).await;
    assert!(ran.stdout.contains("taken out of cursor: same, dev\n"), "{ran:?}");
    let text = std::fs::read_to_string(&home.files[0].0).unwrap();
    let written: Value = serde_json::from_str(&text).unwrap();
    let names: Vec<&String> = written["mcpServers"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["prod", "eu", "more", "tidegate"], "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_secret_is_left_out_unless_it_is_said_where_secrets_go() {
    let home = Home::with(&home()[3..4]);
    let left = home.run(&["import", "cursor", "--write"]).await;
    assert_eq!((left.code, &*left.stderr), (4, ""), "{}", left.stdout);
    assert!(left.stdout.contains("give --secrets FOLDER"), "{}", left.stdout);
    let config = home.folder.read("tidegate.yaml");
    assert!(config.contains("  cursor:\n") && !config.contains("with-secret"), "{config}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_says_whether_something_that_guards_was_lost() {
    let sandbox = r#"{"mcpServers": {"a": {"command": "x", "sandbox": {"network": false}}}}"#;
    let home = Home::with(&[(".cursor/mcp.json", sandbox.to_owned())]);
    let lost = home.run(&["import", "cursor", "--output", "json"]).await;
    assert_eq!(lost.code, 6, "{lost:?}");
    let document: Value = serde_json::from_str(&lost.stdout).unwrap();
    assert_eq!(document["report"]["guards_lost"], true);
    let field = document["report"]["fields"].as_array().unwrap().iter().find(|field| field["guards"] == true);
    assert_eq!(field.unwrap()["path"], "servers.a.sandbox");
    assert_eq!(document["written"], false);
    let table = home.run(&["import", "cursor"]).await;
    assert!(table.code == 6 && table.stdout.contains("LOST"), "{table:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_followed_and_stays_and_one_that_leads_nowhere_is_left_alone() {
    let home = Home::with(&home()[3..4]);
    let (path, text) = &home.files[0];
    let real = home.folder.path("dotfiles.json");
    std::fs::rename(path, &real).unwrap();
    std::os::unix::fs::symlink(&real, path).unwrap();
    let nowhere = home.folder.path("home/.kiro/settings/mcp.json");
    std::fs::create_dir_all(nowhere.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/nowhere", &nowhere).unwrap();
    let wrote = home.run(&["export", "--all", "--write", "--url", "http://127.0.0.1:1"]).await;
    assert_eq!(wrote.code, 4, "{wrote:?}");
    assert!(wrote.stdout.contains("left as it is") && wrote.stdout.contains("wrote 1 files"), "{wrote:?}");
    assert!(std::fs::symlink_metadata(path).unwrap().is_symlink());
    assert!(std::fs::read_to_string(&real).unwrap().contains("http://127.0.0.1:1/mcp"));
    home.run(&["export", "--undo"]).await.good();
    assert_eq!(&std::fs::read(&real).unwrap(), text);
    assert!(std::fs::symlink_metadata(path).unwrap().is_symlink());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_told_and_nothing_is_written() {
    let home = Home::with(&[(".cursor/mcp.json", "{\"mcpServers\": {\"a\": ".to_owned())]);
    let bad = home.run(&["export", "cursor", "--write", "--url", "http://127.0.0.1:1"]).await.bad(1);
    assert!(bad.contains("this is no JSON"), "{bad}");
    assert!(home.changed().is_empty());
    let unread = home.run(&["import", "--all"]).await;
    assert!(unread.code == 4 && unread.stdout.contains("this is no JSON"), "{unread:?}");
    let unknown = home.run(&["import", "emacs"]).await.bad(2);
    assert!(unknown.contains("there are claude-desktop"), "{unknown}");
    let mut command = home.folder.command(&["import", "--all"]);
    command.env_remove("HOME");
    let output = within(command.output()).await.unwrap();
    assert_eq!(code(output.status), 2);
    assert!(String::from_utf8(output.stderr).unwrap().contains("HOME names none"));
    let folder = home.folder.path("home/.cursor");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing is left beside it");
    assert!(std::fs::metadata(&folder).unwrap().uid() == rustix::process::geteuid().as_raw());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_a_folder_that_cannot_be_written_stays_whole() {
    let home = Home::with(&home()[3..4]);
    let (path, _) = &home.files[0];
    let folder = path.parent().unwrap();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o500)).unwrap();
    let ran = home.run(&["export", "cursor", "--write", "--url", "http://127.0.0.1:1"]).await;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    // The superuser may write everywhere.
    if !rustix::process::geteuid().is_root() {
        assert!(ran.bad(1).contains("write "));
        assert!(home.changed().is_empty());
    }
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);
}

/// A program and a URL, with all that entries for them can say.
const SERVERS: &str = "upstreams:
  local:
    command: [server, --quiet]
    env: {LEVEL: debug, API_KEY: {env: LOCAL_KEY}}
    hide: [reset]
  remote:
    url: https://crm.example.com/mcp
    transport: streamable-http
    headers: {X-Team: tide, Authorization: {env: CRM_TOKEN, prefix: 'Bearer '}}
    expose: [find, list]
";

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_themselves_are_written_past_the_gateway_where_that_is_asked_for() {
    let there = "{\"theme\": \"dark\", \"mcpServers\": {\"mine\": {\"command\": \"x\"}}}\n";
    let home = Home::with(&[(".gemini/settings.json", there.to_owned())]);
    home.folder.configure(SERVERS);
    let wrote = home.run(&["export", "gemini-cli", "--direct", "--write"]).await;
    assert_eq!((wrote.code, &*wrote.stderr), (0, ""), "{wrote:?}");
    let text = std::fs::read_to_string(&home.files[0].0).unwrap();
    let written: Value = serde_json::from_str(&text).unwrap();
    let expected = serde_json::json!({"theme": "dark", "mcpServers": {
        "mine": {"command": "x"},
        "local": {"command": "server", "args": ["--quiet"],
                  "env": {"LEVEL": "debug", "API_KEY": "${LOCAL_KEY}"}, "excludeTools": ["reset"]},
        "remote": {"httpUrl": "https://crm.example.com/mcp",
                   "headers": {"X-Team": "tide", "Authorization": "Bearer ${CRM_TOKEN}"},
                   "includeTools": ["find", "list"]},
    }});
    assert_eq!(written, expected, "{text}");
    // Where a list of tools has no place, the command says so by its exit code.
    let lost = home.run(&["export", "cursor", "cursor.json", "--direct"]).await;
    assert!(lost.code == 6 && lost.stdout.contains("LOST"), "{lost:?}");
    let both = home.run(&["export", "cursor", "cursor.json", "--direct", "--endpoint", "local"]).await;
    assert!(both.bad(2).contains("cannot be used with"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_gateways_files_are_written_where_there_are_none_and_taken_back() {
    let home = Home::with(&[]);
    home.folder.configure(SERVERS);
    let wrote = home.run(&["export", "litellm", "litellm.yaml", "--write"]).await;
    assert_eq!((wrote.code, &*wrote.stderr), (0, ""), "{wrote:?}");
    let text = home.folder.read("litellm.yaml");
    assert!(text.starts_with("mcp_servers:\n") && text.contains("https://crm.example.com/mcp"), "{text}");
    home.run(&["export", "--undo"]).await.good();
    assert!(!home.folder.path("litellm.yaml").exists());
    // Docker's has two more files beside it.
    let wrote = home.run(&["export", "docker", "catalog.yaml", "--write"]).await;
    assert!(wrote.stdout.contains("wrote 3 files"), "{wrote:?}");
    let registry = home.folder.read("registry.yaml");
    assert!(registry.starts_with("registry:"), "{registry}");
    std::fs::create_dir(home.folder.path("other")).unwrap();
    home.folder.write("other/registry.yaml", "mine\n");
    let again = home.run(&["export", "docker", "catalog.yaml", "--write"]).await;
    assert!(again.stdout.contains("nothing is to be changed"), "{again:?}");
    let refused = home.run(&["export", "docker", "other/catalog.yaml", "--write"]).await.bad(4);
    assert!(refused.contains("registry.yaml: there is another file already"), "{refused}");
    assert_eq!(home.folder.read("other/registry.yaml"), "mine\n");
    let unknown = home.run(&["export", "nginx", "x"]).await.bad(2);
    assert!(unknown.contains("the programs claude-desktop") && unknown.contains("litellm"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_the_gateways_file_is_written_past_it() {
    let home = Home::with(&[]);
    home.folder.configure(
        "upstreams:\n  a: {url: 'https://h.example/mcp', headers: {Authorization: Bearer not-a-real-key}}\n  \
         b: {command: [x, --token, not-a-real-key]}\n  \
         c: {url: 'https://h.example/mcp?api_key=not-a-real-key'}\n",
    );
    for more in [&["--write"][..], &[]] {
        let ran = home.run(&[&["export", "cursor", "q.json", "--direct"], more].concat()).await;
        let said = ran.bad(3);
        for key in ["upstreams.a.headers.Authorization", "upstreams.b.command[2]", "upstreams.c.url"] {
            assert!(said.contains(key), "{said}");
        }
        assert!(said.contains("{env: NAME}") && !said.contains("not-a-real"), "{said}");
    }
    assert!(!home.folder.path("q.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shown_has_none_of_the_users_secrets() {
    let there = r#"{"mcpServers": {
  "a": {"url": "https://h.example/mcp?api_key=not-a-real-key"},
  "b": {"url": "https://u:not-a-real-key@h.example/mcp"},
  "c": {"command": "x", "args": ["--header", "Authorization: Bearer not-a-real-key"]}
}}
"#;
    let home = Home::with(&[(".cursor/mcp.json", there.to_owned())]);
    let shown = home.run(&["export", "cursor", "--url", "http://127.0.0.1:1"]).await.good();
    assert!(shown.contains("[secret]") && !shown.contains("not-a-real"), "{shown}");
    home.folder.configure("upstreams:\n  a: {url: 'https://h.example/', headers: {X-Key: not-a-real-key}}\n");
    let json = home.run(&["import", "cursor", "--output", "json"]).await;
    assert!(json.code == 4 && json.stdout.contains("[secret]"), "{json:?}");
    assert!(!json.stdout.contains("not-a-real"), "{json:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_of_nothing_makes_no_file() {
    let home = Home::with(&[(".cursor/mcp.json", "{\"mcpServers\": {}}".to_owned())]);
    let config = home.folder.path("tidegate.yaml");
    std::fs::remove_file(&config).unwrap();
    let none = home.run(&["import", "cursor", "nosuch.json", "--write"]).await;
    assert!(none.code == 4 && none.stdout.contains("there is no such file"), "{none:?}");
    let empty = home.run(&["import", "cursor", "--write", "--output", "json"]).await.good();
    let document: Value = serde_json::from_str(&empty).unwrap();
    assert_eq!(document["written"], false);
    assert!(!config.exists(), "nothing was to be written");
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_at_once_lose_nothing_of_each_other() {
    let home = Home::with(&[]);
    home.folder.configure("upstreams: {}\n");
    let all: Vec<_> = (0..8).map(|number| format!("c{number}.json")).collect();
    for (number, name) in all.iter().enumerate() {
        let text = format!("{{\"mcpServers\": {{\"server-{number}\": {{\"command\": \"x\"}}}}}}");
        home.folder.write(name, &text);
    }
    let runs: Vec<_> = all
        .iter()
        .map(|name| home.folder.command(&["import", "cursor", name, "--write"]).spawn().unwrap())
        .collect();
    let mut wrote = Vec::new();
    for (number, mut run) in runs.into_iter().enumerate() {
        if within(run.wait()).await.unwrap().success() {
            wrote.push(number);
        }
    }
    let text = home.folder.read("tidegate.yaml");
    assert!(!wrote.is_empty());
    for number in wrote {
        assert!(text.contains(&format!("server-{number}:")), "{number} was said to be written: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn small_mistakes_are_told_with_what_to_do() {
    let home = Home::with(&home()[3..4]);
    for url in ["not a url", "ftp://x"] {
        let said = home.run(&["export", "cursor", "--url", url]).await.bad(2);
        assert!(said.contains("write http:// or https://"), "{said}");
    }
    let said = home.run(&["export", "windsurf", "--url", "http://127.0.0.1:1"]).await.bad(2);
    assert!(said.contains("~/.codeium/windsurf/mcp_config.json"), "{said}");
    let secrets = home.folder.path("secrets");
    std::fs::create_dir(&secrets).unwrap();
    std::fs::set_permissions(&secrets, std::fs::Permissions::from_mode(0o777)).unwrap();
    let import = ["import", "cursor", "--secrets", "secrets", "--write"];
    let wrote = home.run(&import).await;
    assert!(wrote.code == 0 && wrote.stderr.contains("chmod 700"), "{wrote:?}");
    let file = std::fs::read_dir(&secrets).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, "another").unwrap();
    home.folder.configure("upstreams: {}\n");
    assert!(home.run(&import).await.bad(1).contains("name another folder"));
}
