//! `tidegate migrate check`. The other gateway is one of ours: the program asks it as it asks anybody.

use serde_json::{Value, json};

use crate::program::{DEMO, Folder};

/// Another gateway in front of the demo server, as `shop`.
fn other() -> Folder {
    Folder::with(&format!("upstreams: {{shop: {{command: {DEMO}}}}}"))
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["new"].as_str().or(one.as_str()).unwrap()).collect()
}

#[tokio::test]
async fn the_same_servers_give_the_same_tools_and_answers() {
    let old = other();
    let mut up = old.up(&[]).await;
    let new = other();
    let calls = json!([
        {"tool": "shop_echo", "arguments": {"text": "hello"}},
        {"tool": "shop_add", "arguments": {"a": 1, "b": 2}},
        {"tool": "shop_add", "arguments": {"a": "no number"}},
    ]);
    let calls = new.write("calls.json", &calls.to_string()).display().to_string();
    // Where the other gateway has one server alone, its names have nothing before them.
    for path in ["/mcp", "/shop/mcp"] {
        let url = format!("http://{}{path}", up.address);
        let ran = new.run(&["migrate", "check", "--url", &url, "--calls", &calls]).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.stdout.contains("the same: 17 tools on both sides, 0 of them differ"), "{}", ran.stdout);
        assert!(ran.stdout.contains("0 of 3 answers differ"), "{}", ran.stdout);
    }
    assert_eq!(up.stop().await, 0);
}

#[tokio::test]
async fn what_differs_is_shown_and_the_command_says_so() {
    let old = other();
    let mut up = old.up(&[]).await;
    let new = Folder::with(&format!(
        "upstreams: {{shop: {{command: {DEMO}, hide: [add], aliases: {{echo: say}}}}, \
         more: {{command: {DEMO}, \
         expose: [echo]}}}}"
    ));
    let calls = new.write("calls", "{\"tool\": \"shop_say\", \"arguments\": {\"text\": \"a\"}}\n");
    let calls = calls.display().to_string();
    let url = format!("http://{}/mcp", up.address);
    let arguments = ["migrate", "check", "--url", &url, "--calls", &calls, "--output", "json"];
    let with = [&arguments[..], &["--rename", "shop_echo=shop_say"]].concat();
    let ran = new.run(&with).await;
    assert_eq!((ran.code, &*ran.stderr), (4, ""), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["same"], false);
    assert_eq!(report["onlyOld"], json!([{"name": "shop_add", "why": null}]));
    assert_eq!(names(&report["onlyNew"]), ["more_echo"]);
    assert!(names(&report["tools"]).contains(&"shop_say"));
    assert_eq!(report["calls"][0]["differences"], json!([]));
    assert_eq!(report["calls"][0]["answers"]["old"]["result"]["content"][0]["text"], "a");
    // Without being told, a new name is another tool, and a call of it differs as nobody answers there.
    let ran = new.run(&arguments).await;
    assert_eq!((ran.code, &*ran.stderr), (4, ""), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let call = &report["calls"][0];
    assert_eq!(
        (&call["tool"], &call["old"], &call["new"]),
        (&json!("shop_say"), &Value::Null, &json!("shop_say"))
    );
    assert_eq!(call["answers"]["old"], json!({"notAsked": "there is no such tool"}));
    assert_eq!(call["answers"]["new"], json!({"notAsked": "the other side has no such tool"}));
    assert_eq!(call["differences"].as_array().unwrap().len(), 1);
    let table = new.run(&arguments[..6]).await;
    assert!(table.code == 4 && table.stdout.contains("1 of 1 answer differ"), "{table:?}");
    new.write("calls", "{\"tool\": \"shop_nothing\"}\n");
    let ran = new.run(&arguments).await;
    assert!(ran.bad(2).contains("there is no such tool on either side"));
    assert_eq!(up.stop().await, 0);
}

#[tokio::test]
async fn a_configuration_stands_in_for_a_gateway_that_does_not_run() {
    let new = other();
    new.write("old.yaml", &format!("upstreams: {{crm: {{command: {DEMO}}}}}"));
    let calls = new.write("calls", "{\"tool\": \"echo\", \"arguments\": {\"text\": \"a\"}}\n");
    let calls = calls.display().to_string();
    let arguments =
        ["migrate", "check", "--old-config", "old.yaml", "--old-endpoint", "crm", "--calls", &calls];
    let ran = new.run(&arguments).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("\n echo "), "{}", ran.stdout);
}

#[tokio::test]
async fn a_gateway_that_cannot_be_compared_is_no_gateway_that_is_the_same() {
    let new = other();
    let gone = new.run(&["migrate", "check", "--url", "http://127.0.0.1:1/mcp"]).await.bad(4);
    assert!(gone.contains("list the tools of the other gateway"), "{gone}");
    let secret =
        ["migrate", "check", "--url", "http://127.0.0.1:1/mcp", "--header", "Authorization=Bearer hunter2"];
    let refused = new.run(&secret).await.bad(2);
    assert!(refused.contains("a value is kept elsewhere"), "{refused}");
    let nobody = new.run(&["migrate", "check"]).await.bad(2);
    assert!(nobody.contains("--url"), "{nobody}");
    let missing = ["migrate", "check", "--url", "http://127.0.0.1:1/mcp", "--header", "X-Key=env:NOT_THERE"];
    assert!(new.run(&missing).await.bad(3).contains("NOT_THERE"));
}

/// The folder of the documented migrations.
fn examples() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/migrations")
}

#[tokio::test]
async fn every_documented_migration_is_a_configuration_with_policies_that_hold() {
    let folder = Folder::new();
    let mut seen = 0;
    for entry in std::fs::read_dir(examples()).unwrap() {
        let file = entry.unwrap().path().join("tidegate.yaml");
        if !file.exists() {
            continue;
        }
        seen += 1;
        let file = file.display().to_string();
        let ran = folder.run(&["config", "check", "--config", &file]).await;
        assert_eq!(ran.code, 0, "{file}: {ran:?}");
    }
    assert!(seen >= 10, "{seen}");
}

#[tokio::test]
async fn another_gateways_files_become_a_configuration_and_its_losses_an_exit_code() {
    let folder = Folder::new();
    let file = |name: &str| examples().join(name).display().to_string();
    let simple = file("agentgateway-simple/agentgateway.yaml");
    let ran = folder.run(&["migrate", "from", "agentgateway", &simple, "--into", "new"]).await;
    assert_eq!((ran.code, &*ran.stderr), (0, ""), "{ran:?}");
    assert!(folder.read("new/tidegate.yaml").contains("https://tickets.example.com/mcp"));
    // Nothing is written over what is there.
    let again = folder.run(&["migrate", "from", "agentgateway", &simple, "--into", "new"]).await;
    assert!(again.bad(4).contains("it is there already"));
    // Four files are one.
    let docker =
        ["catalog", "registry", "config", "tools"].map(|name| file(&format!("docker-catalog/{name}.yaml")));
    let arguments =
        ["migrate", "from", "docker", &docker[0], &docker[1], &docker[2], &docker[3], "--output", "json"];
    let ran = folder.run(&arguments).await;
    assert_eq!(ran.code, 6, "what `docker mcp gateway run` was told is lost");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["report"]["guards_lost"], true);
    assert!(report["files"]["tidegate.yaml"].as_str().unwrap().contains("--env=CRM_TOKEN"));
    // A wrong file says where it is wrong, and an unknown gateway which there are.
    folder.write("bad.yaml", "mcp_servers:\n  - a\n");
    let wrong = folder.run(&["migrate", "from", "litellm", "bad.yaml"]).await.bad(3);
    assert!(wrong.contains("bad.yaml:2:3: mcp_servers: expected a map, found a list"), "{wrong}");
    let unknown = folder.run(&["migrate", "from", "nginx", "bad.yaml"]).await.bad(2);
    assert!(unknown.contains("there are agentgateway, contextforge, docker"), "{unknown}");
}

#[tokio::test]
async fn what_starts_a_gateway_is_written_for_each_place() {
    let folder = other();
    folder.write("rules.cedar", "permit(principal, action in Action::\"use\", resource);\n");
    folder.configure(&format!("upstreams: {{shop: {{command: {DEMO}}}}}\npolicy: {{files: [rules.cedar]}}"));
    for (place, file) in
        [("kubernetes", "kustomization.yaml"), ("systemd", "tidegate.service"), ("compose", "compose.yaml")]
    {
        let ran = folder.run(&["migrate", "deploy", place, "--into", place]).await;
        assert_eq!((ran.code, &*ran.stderr), (0, ""), "{place}: {ran:?}");
        assert!(!folder.read(&format!("{place}/{file}")).is_empty());
        let has_rules = match place {
            "kubernetes" => folder.read("kubernetes/config.yaml").contains("rules.cedar"),
            place => folder.path(&format!("{place}/rules.cedar")).exists(),
        };
        assert!(has_rules, "{place}");
    }
    let checked = folder.run(&["config", "check", "--config", "compose/tidegate.yaml"]).await;
    assert_eq!(checked.code, 0, "{checked:?}");
}

#[tokio::test]
async fn what_starts_a_gateway_has_all_files_of_its_configuration_and_what_it_says_of_itself() {
    let folder = other();
    std::fs::create_dir(folder.path("pol")).unwrap();
    folder.write("pol/rules.cedar", "permit(principal, action in Action::\"use\", resource);\n");
    folder.write("pol-rules.cedar", "permit(principal, action in Action::\"use\", resource);\n");
    folder.write("rules.yaml", governance::preset("team").unwrap().text);
    folder.write("outside.cedar", "permit(principal, action, resource);\n");
    folder.write(
        "tidegate.yaml",
        "variables: {port: {env: DEMO_PORT, default: '9'}}\nlisten: 127.0.0.1:7555\n\
         upstreams: {shop: {url: 'http://127.0.0.1:${port}/mcp'}}\ngovernance: {rules: ./rules.yaml}\n\
         policy: {files: [pol/rules.cedar, pol-rules.cedar]}\nstore: {url: 'sqlite:/data/x.db'}\n",
    );
    for place in ["compose", "systemd", "kubernetes"] {
        let ran = folder.run(&["migrate", "deploy", place, "--into", place]).await;
        assert_eq!((ran.code, &*ran.stderr), (0, ""), "{place}: {ran:?}");
        assert!(ran.stdout.contains("the default holds until you do"), "{place}: {ran:?}");
        assert!(ran.stdout.contains("store.url"), "{place}: {ran:?}");
    }
    for place in ["compose", "systemd"] {
        folder.run(&["config", "check", "--config", &format!("{place}/tidegate.yaml")]).await.good();
    }
    assert!(!folder.read("compose/compose.yaml").contains("DEMO_PORT"));
    assert!(folder.read("systemd/tidegate.socket").contains("ListenStream=127.0.0.1:7555\n"));
    let map = folder.read("kubernetes/config.yaml");
    for name in ["  pol-rules.cedar: ", "  \"2-pol-rules.cedar\": ", "  rules.yaml: "] {
        assert!(map.contains(name), "{name}: {map}");
    }
}
