//! What `tidegate export` writes of the configuration: for other gateways, for where this one runs, and of
//! what it tells of an endpoint. The texts are in the folder beside this; `UPDATE_DOCS=1` writes them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::Folder;

const OWN: &str = "listen: 127.0.0.1:7400
auth: {url: 'https://mcp.example.com', allow: [corp], issuers: {corp: {issuer: 'https://login.example.com'}}}
upstreams:
  crm:
    url: https://crm.example.com/mcp
    headers: {Authorization: {env: CRM_TOKEN, prefix: 'Bearer '}}
    expose: [find, 'get_*']
    hide: ['*_all']
  files: {command: [npx, server], env: {LEVEL: debug}}
discovery:
  cards:
    crm: {name: com.example/crm, version: 1.0.0, description: The customers, visibility: public}
    files: {name: com.example/files, version: 1.0.0, description: Files}
";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("tidegate.yaml", OWN);
    folder
}

/// Holds a text to the one that is kept, or keeps it.
fn hold(name: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/written").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, text).unwrap();
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(there, text, "{name}: run with UPDATE_DOCS=1 and look at the difference");
}

#[tokio::test]
async fn each_gateway_gets_its_text_on_stdout_and_the_report_on_stderr() {
    let folder = folder();
    for name in ["agentgateway", "contextforge", "docker", "litellm", "metamcp", "toolhive"] {
        let ran = folder.run(&["export", name]).await;
        // Patterns of tools that are hidden are lost elsewhere; and by Docker, who may come in.
        let (code, lost) = if name == "agentgateway" { (0, false) } else { (6, true) };
        assert_eq!(ran.code, code, "{ran:?}");
        hold(&format!("{name}.txt"), &format!("{}--- stderr\n{}", ran.stdout, ran.stderr));
        let json = folder.run(&["export", name, "--output", "json"]).await;
        let told: Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!((json.code, &told["report"]["guards_lost"]), (code, &Value::Bool(lost)), "{told}");
        let text = told["files"][0]["text"].as_str().unwrap();
        assert!(ran.stdout.contains(text.trim_end()), "{name}");
    }
}

/// What says who may call, how much, and from where.
const GUARDED: &str = "listen: 0.0.0.0:7443
hosts: [mcp.example.com]
tls: {cert: /etc/mcp/cert.pem, key: /etc/mcp/key.pem}
origins: ['https://app.example.com', 'http://localhost:*']
auth:
  url: https://mcp.example.com
  allow: [corp, keys]
  scopes: ['mcp:call']
  issuers:
    corp:
      issuer: https://login.example.com
      jwks_url: https://login.example.com/keys
      audiences: ['api://mcp']
      algorithms: [ES256]
    lab: {issuer: 'https://lab.example.com'}
rates:
  - {name: all, rate: 600/1m, burst: 60}
  - {name: each, per: [principal], rate: 100/1m}
  - {name: look, match: {upstreams: [crm], tools: [find]}, rate: 10/1s, burst: 10}
  - {name: month, per: [tenant], quota: {calls: 100000, per: month}}
upstreams:
  crm: {url: 'https://crm.example.com/mcp', transport: streamable-http}
";

#[tokio::test]
async fn who_may_call_and_how_much_is_written_where_there_are_words_for_it_and_else_told() {
    let folder = Folder::new();
    folder.write("tidegate.yaml", GUARDED);
    for name in ["agentgateway", "litellm", "toolhive"] {
        let ran = folder.run(&["export", name]).await;
        assert_eq!(ran.code, 6, "the quota is lost: {ran:?}");
        assert!(ran.stderr.contains("gateway.rates.month") && ran.stderr.contains("LOST"), "{ran:?}");
        hold(&format!("callers-{name}.txt"), &format!("{}--- stderr\n{}", ran.stdout, ran.stderr));
    }
    // A client past the gateway asks nobody who he is.
    let direct = folder.run(&["export", "cursor", "mcp.json", "--direct"]).await;
    assert_eq!(direct.code, 6, "{direct:?}");
    for path in
        ["gateway.issuers[0]", "gateway.limits[0]", "gateway.origins", "gateway.tls", "gateway.auth.allow"]
    {
        assert!(direct.stdout.contains(&format!("cursor: {path}")), "{path}: {direct:?}");
    }
    // One that points at the gateway leaves all of it there.
    let points = folder.run(&["export", "cursor", "mcp.json"]).await;
    assert_eq!(points.code, 0, "{points:?}");
    assert!(!points.stdout.contains("gateway."), "{points:?}");
}

#[tokio::test]
async fn what_was_written_for_agentgateway_comes_back_with_the_same_issuers_and_no_wider_limits() {
    let folder = Folder::new();
    folder.write("tidegate.yaml", GUARDED);
    folder.run(&["export", "agentgateway", "gateway.yaml", "--write"]).await;
    let back = Folder::new();
    back.write("gateway.yaml", &folder.read("gateway.yaml"));
    back.write("tidegate.yaml", "");
    let taken = back.run(&["import", "agentgateway", "gateway.yaml", "--write"]).await;
    assert!(matches!(taken.code, 0 | 6), "{taken:?}");
    let text = back.read("tidegate.yaml");
    for part in [
        "issuer: \"https://login.example.com\"",
        "jwks_url: \"https://login.example.com/keys\"",
        "- \"api://mcp\"",
        "- \"https://mcp.example.com/mcp\"",
        "- \"mcp:call\"",
        "- \"https://app.example.com\"",
        "rate: \"30/3s\"",
        "burst: 30",
        "cert: /etc/mcp/cert.pem",
        "listen: \"0.0.0.0:7443\"",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // But for the certificate, which is not on this machine.
    let checked = back.run(&["config", "check"]).await;
    assert!(checked.code == 0 && checked.stdout.contains("is good"), "{checked:?}");
}

#[tokio::test]
async fn a_gateways_file_is_written_whole_kept_and_taken_back() {
    let folder = folder();
    let looked = folder.run(&["export", "litellm", "out/config.yaml"]).await;
    let shown = looked.stdout;
    assert!(shown.contains("+mcp_servers:") && shown.contains("nothing was written"), "{shown}");
    assert!(!folder.path("out").exists());
    let wrote = folder.run(&["export", "litellm", "out/config.yaml", "--write"]).await;
    assert_eq!((wrote.code, &*wrote.stderr), (6, ""), "{wrote:?}");
    let first = folder.read("out/config.yaml");
    assert!(first.contains("https://crm.example.com/mcp"), "{first}");
    // The same again is nothing to do, and another file is somebody's.
    let again = folder.run(&["export", "litellm", "out/config.yaml", "--write"]).await;
    assert!(again.stdout.contains("nothing is to be changed"), "{again:?}");
    folder.write("out/config.yaml", "mine: 1\n");
    let refused = folder.run(&["export", "litellm", "out/config.yaml", "--write"]).await.bad(4);
    assert!(refused.contains("there is another file already") && refused.contains("--replace"), "{refused}");
    assert_eq!(folder.read("out/config.yaml"), "mine: 1\n");
    folder.run(&["export", "litellm", "out/config.yaml", "--write", "--replace"]).await;
    assert_eq!(folder.read("out/config.yaml"), first);
    folder.run(&["export", "--undo"]).await.good();
    assert_eq!(folder.read("out/config.yaml"), "mine: 1\n");
}

#[tokio::test]
async fn several_files_are_written_all_or_none() {
    let folder = folder();
    std::fs::create_dir(folder.path("docker")).unwrap();
    let tools = folder.path("docker/tools.yaml");
    // The last of them is written beside itself first, where a folder is in the way.
    let write = ["export", "docker", "docker/catalog.yaml", "--write"];
    std::fs::create_dir(&tools).unwrap();
    let failed = folder.run(&write).await.bad(1);
    assert!(failed.contains("tools.yaml"), "{failed}");
    let there = |folder: &Folder| -> Vec<PathBuf> {
        std::fs::read_dir(folder.path("docker")).unwrap().map(|entry| entry.unwrap().path()).collect()
    };
    assert_eq!(there(&folder), std::slice::from_ref(&tools));
    std::fs::remove_dir(&tools).unwrap();
    assert_eq!(folder.run(&write).await.code, 6);
    assert_eq!(there(&folder).len(), 3);
}

#[tokio::test]
async fn what_starts_the_gateway_is_written_into_a_folder() {
    let folder = folder();
    for (name, file) in
        [("kubernetes", "kustomization.yaml"), ("systemd", "tidegate.service"), ("compose", "compose.yaml")]
    {
        let shown = folder.run(&["export", name]).await;
        assert_eq!(shown.code, 0, "{shown:?}");
        hold(&format!("{name}.txt"), &format!("{}--- stderr\n{}", shown.stdout, shown.stderr));
        let wrote = folder.run(&["export", name, name, "--write"]).await;
        assert_eq!((wrote.code, &*wrote.stderr), (0, ""), "{wrote:?}");
        // The same as the older command writes.
        let older = format!("{name}-older");
        folder.run(&["migrate", "deploy", name, "--into", &older]).await.good();
        let read = |of: &str| folder.read(&format!("{of}/{file}"));
        assert_eq!(read(name), read(&older));
    }
    folder.run(&["export", "--undo"]).await.good();
    assert!(folder.path("systemd/tidegate.service").exists());
    assert!(!folder.path("compose").exists(), "the folder was made for it");
}

#[tokio::test]
async fn folders_that_were_made_go_again_unless_something_else_is_in_them() {
    let folder = folder();
    std::fs::create_dir(folder.path("there")).unwrap();
    let write = ["export", "litellm", "there/a/b/config.yaml", "--write"];
    assert_eq!(folder.run(&write).await.code, 6);
    let undone = folder.run(&["export", "--undo"]).await.good();
    assert_eq!(undone.matches("removed ").count(), 2, "{undone}");
    assert!(folder.path("there").exists() && !folder.path("there/a").exists());
    assert_eq!(folder.run(&write).await.code, 6);
    folder.write("there/a/mine", "1");
    let undone = folder.run(&["export", "--undo"]).await.good();
    assert_eq!(undone.matches("removed ").count(), 1, "{undone}");
    assert_eq!(folder.read("there/a/mine"), "1");
    // Where nothing can be written, nothing is left.
    folder.write("there/file", "");
    folder.run(&["export", "litellm", "there/file/c/config.yaml", "--write"]).await.bad(1);
    assert_eq!(std::fs::read_dir(folder.path("there")).unwrap().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_and_an_entry_are_those_that_the_gateway_serves() {
    let folder = folder();
    let card = folder.run(&["export", "card", "--endpoint", "crm"]).await.good();
    hold("card.json", &card);
    let entry = folder.run(&["export", "server-json", "--endpoint", "crm"]).await.good();
    hold("server.json", &entry);
    folder.run(&["export", "server-json", "server.json", "--endpoint", "crm", "--write"]).await.good();
    assert_eq!(folder.read("server.json"), entry);
    let private = folder.run(&["export", "card", "--endpoint", "files"]).await.bad(4);
    assert!(private.contains("it is private"), "{private}");
    folder.run(&["export", "server-json", "--endpoint", "files"]).await.good();
    let nothing = folder.run(&["export", "card"]).await.bad(4);
    assert!(nothing.contains("nothing is told of it"), "{nothing}");

    // Without a proof nothing is let in, and what everybody may know is served all the same.
    let served = Folder::new();
    let own = OWN.replace("127.0.0.1:7400", "127.0.0.1:0").replace("{env: CRM_TOKEN,", "{file: token,");
    served.write("tidegate.yaml", &own);
    served.write("token", "none\n");
    let mut up = served.up(&[]).await;
    let request = up.http.request(http::Method::GET, "/crm/mcp/server-card");
    let told: Value = request.send().await.json().await;
    assert_eq!(told, serde_json::from_str::<Value>(&card).unwrap());
    let latest = "/registry/v0.1/servers/com.example%2Fcrm/versions/latest";
    let told: Value = up.http.request(http::Method::GET, latest).send().await.json().await;
    assert_eq!(told["server"], serde_json::from_str::<Value>(&entry).unwrap());
    assert_eq!(up.stop().await, 0);
}

#[tokio::test]
async fn what_cannot_be_written_is_refused_with_what_there_is() {
    let folder = folder();
    let unknown = folder.run(&["export", "nginx"]).await.bad(2);
    let programs = ["claude-code", "codex", "goose"];
    let others = ["agentgateway", "contextforge", "docker", "litellm", "metamcp", "toolhive"];
    let more = ["kubernetes", "systemd", "compose", "card", "server-json"];
    for name in programs.iter().chain(&others).chain(&more) {
        assert_eq!(unknown.matches(name).count(), 1, "{name}: {unknown}");
    }
    folder.run(&["export", "tidegate"]).await.bad(2);
    assert!(folder.run(&["export", "litellm", "--write"]).await.bad(2).contains("say where"));
    assert!(folder.run(&["export", "systemd", "--endpoint", "crm"]).await.bad(2).contains("all is written"));
    let own =
        "upstreams: {crm: {url: 'https://crm.example.com/mcp', headers: {X-Api-Key: not-a-real-one}}}\n";
    folder.write("tidegate.yaml", own);
    for name in ["litellm", "kubernetes"] {
        let secret = folder.run(&["export", name]).await.bad(3);
        assert!(secret.contains("upstreams.crm.headers.") && !secret.contains("not-a-real-one"), "{secret}");
    }
}
