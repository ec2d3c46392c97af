//! Configurations of other gateways, taken over by `tidegate import`: into a new file, and into one that is
//! there.

use serde_json::Value;

use crate::program::Folder;

/// What a documented migration starts from.
fn example(name: &str) -> String {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/migrations");
    folder.join(name).display().to_string()
}

#[tokio::test]
async fn a_gateways_files_become_what_the_documented_migration_says() {
    for (gateway, name, file) in [
        ("agentgateway", "agentgateway-policies", "agentgateway.yaml"),
        ("litellm", "litellm", "config.yaml"),
        ("contextforge", "contextforge-export", "export.json"),
        ("metamcp", "metamcp", "mcp-servers-export.json"),
        ("toolhive", "toolhive-vmcp", "vmcp.yaml"),
    ] {
        let folder = Folder::new();
        let from = example(&format!("{name}/{file}"));
        let looked = folder.run(&["import", gateway, &from]).await;
        assert!(looked.stdout.contains("nothing was written"), "{looked:?}");
        assert!(!folder.path("tidegate.yaml").exists());
        let ran = folder.run(&["import", gateway, &from, "--write", "--output", "json"]).await;
        let told: Value = serde_json::from_str(&ran.stdout).unwrap();
        let lost = told["report"]["guards_lost"] == true;
        assert!(matches!((ran.code, lost), (0 | 4, false) | (6, true)), "{name}: {ran:?}");
        let expected = |file: &str| std::fs::read_to_string(example(&format!("{name}/{file}"))).ok();
        assert_eq!(Some(folder.read("tidegate.yaml")), expected("tidegate.yaml"), "{name}");
        let policies = std::fs::read_to_string(folder.path("imported.cedar")).ok();
        assert_eq!(policies, expected("imported.cedar"), "{name}");
        // Files of secrets and certificates are not there, of which it warns.
        let checked = folder.run(&["config", "check"]).await;
        assert_eq!(checked.code, 0, "{name}: {checked:?}");
    }
}

const LITELLM: &str = "mcp_servers:
  crm:
    url: https://crm.example.com/mcp
    auth_type: bearer_token
    auth_value: not-a-real-token
    allowed_tools: [find, 'get_*']
    access_groups: [sales]
  my.clock:
    url: https://clock.example.com/mcp
general_settings: {master_key: sk-not-a-real-master-key-at-all}
";

#[tokio::test]
async fn into_a_configuration_that_is_there_go_servers_alone_and_the_rest_is_told() {
    let own = "# mine\nlisten: 127.0.0.1:0 # here\nstore: {url: 'sqlite:a.db'}\nupstreams:\n  # the first\n  \
               files: {command: [x], hide: [drop]}\n";
    let folder = Folder::new();
    folder.write("tidegate.yaml", own);
    folder.write("config.yaml", LITELLM);
    let import = ["import", "litellm", "config.yaml", "--write", "--secrets", "secrets"];
    let ran = folder.run(&import).await;
    assert_eq!(ran.code, 6, "its access groups are lost: {ran:?}");
    let new = folder.read("tidegate.yaml");
    assert!(new.starts_with(own), "{new}");
    assert!(new.contains("\n  crm:\n") && new.contains("\n  my-clock:\n"), "{new}");
    for gone in ["policy", "auth", "get_*", "not-a-real"] {
        assert!(!new.contains(gone), "{gone}: {new}");
    }
    assert!(ran.stdout.contains("gateway.rules[0]") && !ran.stdout.contains("not-a-real"), "{}", ran.stdout);
    assert_eq!(folder.read("secrets/crm-headers-Authorization"), "not-a-real-token");
    assert_eq!(std::fs::read_dir(folder.path("secrets")).unwrap().count(), 1, "no key of the proxy itself");
    assert!(!folder.path("imported.cedar").exists());
    folder.run(&["config", "check"]).await.good();
    // The same again changes nothing.
    let again = folder.run(&import).await;
    assert!(again.stdout.contains("says it already"), "{}", again.stdout);
    assert_eq!(folder.read("tidegate.yaml"), new);
}

#[tokio::test]
async fn a_server_with_a_secret_is_left_out_and_one_of_a_file_that_says_no_more_keeps_its_rules() {
    let folder = Folder::new();
    let own = "# where it is kept\nstore: {url: 'sqlite:a.db'}\n";
    folder.write("tidegate.yaml", own);
    folder.write("config.yaml", LITELLM);
    let ran = folder.run(&["import", "litellm", "config.yaml", "--write"]).await;
    assert!(ran.stdout.contains("left out") && ran.stdout.contains("--secrets FOLDER"), "{ran:?}");
    let new = folder.read("tidegate.yaml");
    assert!(new.starts_with(own) && !new.contains("crm"), "{new}");
    assert!(new.contains("policy:") && folder.path("imported.cedar").exists(), "{new}");
    folder.run(&["config", "check"]).await.good();
}

#[tokio::test]
async fn nothing_is_written_over_policies_of_others_and_nothing_half() {
    let folder = Folder::new();
    folder.write("imported.cedar", "// mine\n");
    let from = example("litellm/config.yaml");
    let refused = folder.run(&["import", "litellm", &from, "--write"]).await.bad(4);
    assert!(refused.contains("imported.cedar: there is another file already"), "{refused}");
    assert!(!folder.path("tidegate.yaml").exists());
    assert_eq!(folder.read("imported.cedar"), "// mine\n");
    // A flow map has no lines to add to.
    std::fs::remove_file(folder.path("imported.cedar")).unwrap();
    folder.write("tidegate.yaml", "upstreams: {a: {command: [x]}}\n");
    let flow = folder.run(&["import", "litellm", &from, "--write"]).await.bad(3);
    assert!(flow.contains("upstreams") && flow.contains("lines of its own"), "{flow}");
    assert!(!folder.path("imported.cedar").exists());
}

#[tokio::test]
async fn what_cannot_be_read_is_told() {
    let folder = Folder::new();
    let unknown = folder.run(&["import", "nginx", "a.yaml"]).await.bad(2);
    for name in ["cursor", "agentgateway", "contextforge", "docker", "litellm", "metamcp", "toolhive"] {
        assert!(unknown.contains(name), "{name}: {unknown}");
    }
    assert!(folder.run(&["import", "litellm"]).await.bad(2).contains("name it"));
    folder.run(&["import", "litellm", "none.yaml"]).await.bad(2);
    folder.run(&["import", "cursor", "a.json", "b.json"]).await.bad(2);
    folder.write("bad.yaml", "mcp_servers:\n  - a\n");
    let wrong = folder.run(&["import", "litellm", "bad.yaml"]).await.bad(3);
    assert!(wrong.contains("bad.yaml:2:3: mcp_servers: expected a map, found a list"), "{wrong}");
    // Docker's files are read as one.
    let files = ["catalog", "registry", "config", "tools"];
    let files = files.map(|name| example(&format!("docker-catalog/{name}.yaml")));
    let ran = folder.run(&["import", "docker", &files[0], &files[1], &files[2], &files[3], "--write"]).await;
    assert_eq!(ran.code, 6, "{ran:?}");
    let expected = std::fs::read_to_string(example("docker-catalog/tidegate.yaml")).unwrap();
    assert_eq!(folder.read("tidegate.yaml"), expected);
}
