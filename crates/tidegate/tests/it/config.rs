//! `tidegate config`.

use serde_json::{Value, json};

use crate::program::Folder;

#[tokio::test]
async fn a_wrong_configuration_is_told_with_places_and_hints_and_nothing_is_started() {
    let table = include_str!("faulty.txt");
    let (mut cases, mut wrong) = (0, String::new());
    let folder = Folder::new();
    for case in table.split("\n\n").skip(1) {
        let (expected, text): (Vec<_>, Vec<_>) = case.lines().partition(|line| line.starts_with("=> "));
        assert!(!expected.is_empty(), "what is said about {text:?}?");
        let said: String = expected.iter().map(|line| format!("{}\n", &line["=> ".len()..])).collect();
        let said =
            format!("tidegate: failed to use the configuration:\n{}", said.replace("FILE", "gate.yaml"));
        folder.write("gate.yaml", &format!("{}\n", text.join("\n")));
        cases += 1;
        for command in [&["config", "check"][..], &["up"], &["tools"], &["upstreams"], &["stdio"]] {
            // One command for each file but the first, for which all of them are tried.
            if cases > 1 && command[0] != "config" {
                continue;
            }
            let found = folder.run(&[command, &["--config", "gate.yaml"]].concat()).await.bad(3);
            if found != said {
                wrong.push_str(&format!(
                    "\n--- {command:?}\n{}\n--- expected\n{said}\n--- found\n{found}",
                    text.join("\n")
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(cases >= 20, "{cases}");
}

#[tokio::test]
async fn a_clients_file_is_checked_in_its_own_words() {
    let folder = Folder::new();
    folder.write("mcp.json", "{\"mcpServers\": {\n  \"a\": {\"command\": \"npx\", \"url\": \"http://a\"}}}");
    let said = folder.run(&["config", "check", "--mcp-json", "mcp.json"]).await.bad(3);
    assert!(said.contains("\nmcp.json:2:"), "{said}");
    assert!(said.contains("mcpServers.a"), "{said}");
    folder.write("mcp.json", "{\"mcpServers\": {\"a\": {\"url\": \"http://a/mcp\"}}}");
    let said = folder.run(&["config", "check", "--mcp-json", "mcp.json"]).await.good();
    assert_eq!(said, "mcp.json is good: 1 upstream, 0 endpoints\n");
}

#[tokio::test]
async fn a_good_configuration_is_counted() {
    let folder = Folder::new();
    let said = folder.run(&["config", "check"]).await.good();
    assert_eq!(said, "there is no tidegate.yaml here: `up` serves the demo server\n");
    folder.configure(
        "upstreams: {a: {url: 'http://a/mcp'}, b: {command: [b]}}\nendpoints: {e: {upstreams: [a]}}",
    );
    let said = folder.run(&["config", "check"]).await.good();
    assert_eq!(said, "tidegate.yaml is good: 2 upstreams, 1 endpoint\n");
    let report = folder.run(&["config", "check", "--output", "json"]).await.json();
    assert_eq!(report, json!({"good": true, "file": "tidegate.yaml", "faults": [], "warnings": []}));
}

#[tokio::test]
async fn what_is_missing_on_this_machine_is_a_warning() {
    let folder = Folder::with(
        "tls: {cert: c.pem, key: k.pem}\nupstreams:\n  a: {url: 'http://a/mcp', \
         headers: {x-key: {env: TIDEGATE_TEST_NOWHERE}}, tls: {ca: ca.pem}}\n",
    );
    let ran = folder.run(&["config", "check"]).await;
    assert_eq!((ran.code, &*ran.stdout), (0, "tidegate.yaml is good: 1 upstream, 0 endpoints\n"));
    let missing: Vec<&str> = ran.stderr.lines().collect();
    let expected = [
        "warning: tls.cert: c.pem: No such file or directory (os error 2)",
        "warning: tls.key: k.pem: No such file or directory (os error 2)",
        "warning: upstreams.a.tls.ca: ca.pem: No such file or directory (os error 2)",
        "warning: upstreams.a.headers.x-key: the environment variable TIDEGATE_TEST_NOWHERE is not set",
    ];
    assert_eq!(missing, expected);
    // What only warns the check stops the start, with the same code as any other wrong configuration.
    let said = folder.run(&["up"]).await.bad(3);
    assert!(said.contains("resolve upstreams.a: read the value of headers.x-key: the environment"), "{said}");
    let said = folder.run(&["config", "check", "--config", "elsewhere.yaml"]).await.bad(3);
    assert_eq!(said, "tidegate: failed to read elsewhere.yaml: No such file or directory (os error 2)\n");
}

#[tokio::test]
async fn programs_get_the_faults_as_json() {
    let folder = Folder::with("lisen: 1");
    let ran = folder.run(&["config", "check", "--output", "json"]).await;
    assert_eq!((ran.code, &*ran.stderr), (3, ""));
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let fault = json!({
        "file": "tidegate.yaml", "line": 2, "column": 1, "path": "lisen", "message": "unknown key",
        "hint": "did you mean \"listen\"?",
    });
    assert_eq!(report, json!({"good": false, "faults": [fault], "warnings": []}));
}

#[tokio::test]
async fn every_key_can_be_explained() {
    let folder = Folder::new();
    let said = folder.run(&["config", "explain", "upstreams.crm.timeouts.connect"]).await.good();
    assert!(said.starts_with("upstreams.*.timeouts.connect\n  takes    duration\n  default  5s\n"), "{said}");
    let said = folder.run(&["config", "explain", "timeouts"]).await.bad(2);
    assert_eq!(said, "tidegate: there is no key \"timeouts\"; did you mean \"upstreams.*.timeouts\"?\n");
    let said = folder.run(&["config", "explain", "nothing"]).await.bad(2);
    assert_eq!(said, "tidegate: there is no key \"nothing\"\n");
}

#[tokio::test]
async fn schema_and_reference_are_those_of_the_documents() {
    let folder = Folder::new();
    let documents = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    let printed: [(&[&str], &str); 3] = [
        (&["schema"], "config.schema.json"),
        (&["schema", "--overlay"], "config.overlay.schema.json"),
        (&["reference"], "config.md"),
    ];
    for (command, file) in printed {
        let document = std::fs::read_to_string(documents.join(file)).unwrap();
        let printed = folder.run(&[&["config"], command].concat()).await.good();
        assert!(
            document.contains(printed.trim_end()),
            "docs/reference/{file} is not what `{command:?}` prints"
        );
    }
}
