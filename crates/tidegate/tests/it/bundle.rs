//! `tidegate bundle`: made in one place, applied in another.

use std::os::unix::fs::PermissionsExt as _;

use bundle::{Bundle, LogFiles, PublicKey, SIGNER_LABEL};
use model::Timestamp;
use seal::{KEY_BYTES, Key, KeyRing};
use serde_json::{Value, json};
use testkit::Revision;

use crate::program::{DEMO, Folder, Program, Up};

const POLICY: &str = r#"
@id("no-touch") forbid(principal, action == Action::"call_tool", resource == Tool::"crm/touch");
@id("hidden") forbid(principal, action, resource == Tool::"crm/counter");
"#;

/// A deployment that has served: its definitions are pinned, one of them is denied.
async fn deployment() -> Folder {
    let folder = Folder::with(&format!(
        "variables: {{team: {{default: blue}}}}\n\
         pins: {{drift: quarantine}}\nupstreams: {{crm: {{command: {DEMO}, env: {{TEAM: '${{team}}'}}}}}}\n\
         policy: {{presets: [everyone], files: [policies/team.cedar]}}\nstore: {{url: 'sqlite:a.db'}}\n"
    ));
    std::fs::create_dir(folder.path("policies")).unwrap();
    folder.write("policies/team.cedar", POLICY);
    folder.write("tidegate.production.yaml", "limits: {page_size: 500}\n");
    let mut up = folder.up(&[]).await;
    assert!(!up.tools("/crm/mcp").await.is_empty());
    assert_eq!(up.stop().await, 0);
    folder.run(&["pins", "deny", "crm", "fail"]).await.good();
    folder
}

/// Makes a bundle and gives the key.
async fn create(folder: &Folder, file: &str) -> String {
    let made =
        folder.run(&["bundle", "create", file, "--signer", "example.org/gate", "--output", "json"]).await;
    made.json()["key"].as_str().unwrap().to_owned()
}

/// What clients see: the tools, and what becomes of calls.
async fn seen(up: &Up) -> Value {
    let client = up.client("/crm/mcp", Revision::V2026_07_28).await;
    let tools = client.request("tools/list", json!({})).await.result()["tools"].clone();
    let mut calls = Vec::new();
    for (name, arguments) in
        [("echo", json!({"text": "x"})), ("touch", json!({})), ("counter", json!({})), ("fail", json!({}))]
    {
        let outcome = client.call_tool(name, arguments).await;
        let code = outcome.code();
        calls.push(json!({"name": name, "code": code, "ran": code.is_none()}));
    }
    json!({"tools": tools, "calls": calls})
}

/// The definitions as operators see them.
fn pins(listed: &Value) -> Vec<Value> {
    let kept = |pin: &Value| {
        let approved: Vec<_> =
            pin["approved"].as_array().unwrap().iter().map(|v| v["hash"].clone()).collect();
        json!([pin["upstream"], pin["kind"], pin["name"], pin["state"], approved])
    };
    listed.as_array().unwrap().iter().map(kept).collect()
}

/// A bundle of one machine is applied to a fresh folder of another, whose store `arguments` name; the
/// environment there has `env`.
async fn moves(arguments: &[&str], env: &[(&str, &str)]) {
    let from = deployment().await;
    let key = create(&from, "gate.bundle").await;
    let mut up = from.up(&[]).await;
    let before = seen(&up).await;
    assert_eq!(up.stop().await, 0);
    let calls = &before["calls"];
    assert_eq!(
        (&calls[0]["ran"], &calls[1]["ran"]),
        (&json!(true), &json!(false)),
        "the policy decides: {calls}"
    );
    assert_eq!(calls[3]["ran"], false, "what is denied is not called: {calls}");
    let pins_before = pins(&from.run(&["pins", "list", "--output", "json"]).await.json());
    assert!(pins_before.len() > 10, "{pins_before:?}");

    let there = Folder::new();
    std::fs::copy(from.path("gate.bundle"), there.path("gate.bundle")).unwrap();
    drop(from);
    let run = |words: &[&str]| {
        let mut command = there.command(words);
        command.envs(env.iter().copied());
        command
    };
    let apply = ["bundle", "apply", "gate.bundle", "--to", "deploy", "--key", &key, "--set", "team=green"];
    let apply = [&apply, arguments].concat();
    let applied = run(&apply).output().await.unwrap();
    assert!(applied.status.success(), "{applied:?}");
    assert!(!format!("{applied:?}").contains("postgres://"), "{applied:?}");
    let config = ["--config", "deploy/tidegate.yaml"];
    let mut up = Up::started(Program::start(run(&[&["up"][..], &config].concat()))).await;
    assert_eq!(seen(&up).await, before, "the same tools, and the same decisions");
    assert_eq!(up.stop().await, 0);
    let listed = run(&[&["pins", "list", "--output", "json"][..], &config].concat()).output().await.unwrap();
    assert_eq!(pins(&serde_json::from_slice(&listed.stdout).unwrap()), pins_before, "the same pins");
    let again = run(&[&apply[..], &["--output", "json"]].concat()).output().await.unwrap();
    let again: Value = serde_json::from_slice(&again.stdout).unwrap_or_else(|_| panic!("{again:?}"));
    for what in ["new", "changed", "removed", "definitions", "differences"] {
        assert_eq!(again[what], json!([]), "the second time nothing changes: {again}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_is_applied_elsewhere_serves_the_same_tools_with_the_same_pins_and_decisions() {
    moves(&["--store", "sqlite:other.db"], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_of_a_deployment_on_sqlite_is_applied_on_postgresql() {
    let Ok(server) = std::env::var("TIDEGATE_TEST_POSTGRES") else {
        eprintln!("skipped: TIDEGATE_TEST_POSTGRES is not set; `cargo xtask postgres` starts one");
        return;
    };
    let url = format!("{server}?schema=bundle_{}", std::process::id());
    moves(&["--store-env", "GATE_STORE"], &[("GATE_STORE", &url)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_deployment_is_the_same_bundle_and_another_key_is_refused() {
    let folder = deployment().await;
    let key = create(&folder, "a.bundle").await;
    create(&folder, "b.bundle").await;
    let read = |name: &str| std::fs::read(folder.path(name)).unwrap();
    assert_eq!(read("a.bundle"), read("b.bundle"));
    let keys = folder.run(&["bundle", "keys", "--signer", "example.org/gate"]).await.good();
    assert_eq!(keys.trim_end(), key);
    let said = folder.run(&["bundle", "verify", "a.bundle", "--key", &key]).await.good();
    assert!(said.contains("is whole and signed with that key"), "{said}");
    let shown = folder.run(&["bundle", "inspect", "a.bundle", "--output", "json"]).await.json();
    assert_eq!(shown["manifest"]["environments"], json!(["production"]));
    assert_eq!(shown["manifest"]["variables"]["team"]["default"], "blue");
    assert!(shown["manifest"]["presets"]["everyone"].is_string());
    let other = folder.run(&["bundle", "keys", "--signer", "example.org/other"]).await.good();
    let said = folder.run(&["bundle", "verify", "a.bundle", "--key", other.trim()]).await.bad(4);
    assert!(said.contains("it is not signed with that key"), "{said}");
    let apply = ["bundle", "apply", "a.bundle", "--to", "there", "--key", other.trim()];
    folder.run(&apply).await.bad(4);
    let mut bytes = read("a.bundle");
    let at = bytes.windows(8).position(|part| part == b"no-touch").unwrap();
    bytes[at] = b'x';
    std::fs::write(folder.path("c.bundle"), bytes).unwrap();
    let said = folder.run(&["bundle", "apply", "c.bundle", "--to", "there", "--key", &key]).await.bad(1);
    assert!(said.contains("its bytes are not those that the manifest names"), "{said}");
    assert!(!folder.path("there").exists(), "nothing was written");
    let said = folder.run(&["bundle", "create", "a.bundle"]).await.bad(1);
    assert!(said.contains("File exists"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_stands_in_a_file_does_not_come_along() {
    let folder = Folder::with("upstreams: {a: {url: 'http://a/mcp', headers: {x-api-key: hunter2}}}\n");
    let said = folder.run(&["bundle", "create", "x.bundle"]).await.bad(3);
    assert!(said.contains("upstreams.a.headers.x-api-key") && !said.contains("hunter2"), "{said}");
    folder.configure("policy: {presets: [everyone], files: [../out.cedar]}\n");
    let said = folder.run(&["bundle", "create", "x.bundle"]).await.bad(3);
    assert!(said.contains("it lies outside the configuration's folder"), "{said}");
    assert!(!folder.path("x.bundle").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_found_wherever_an_import_would_find_it() {
    let token = "ghp_notarealnotarealnotareal1234";
    for (written, key) in [
        (format!("a: {{command: [ops, '--token=hunter2', {token}]}}"), "upstreams.a.command[1]"),
        (format!("a: {{command: [ops, {token}]}}"), "upstreams.a.command[1]"),
        ("a: {command: [docker, run, -e, API_KEY=hunter2, x]}".to_owned(), "upstreams.a.command[3]"),
        ("a: {command: [x, --header, 'Authorization: Bearer hunter2']}".to_owned(), "upstreams.a.command[2]"),
        ("a: {url: 'http://a/mcp?api_key=hunter2'}".to_owned(), "upstreams.a.url"),
        ("a: {url: 'http://u:hunter2@a/mcp'}".to_owned(), "upstreams.a.url"),
        ("a: {command: [x], env: {DB: 'postgres://u:hunter2@h/x'}}".to_owned(), "upstreams.a.env.DB"),
        (format!("a: {{command: [x], env: {{SHORT: {token}}}}}"), "upstreams.a.env.SHORT"),
        (format!("a: {{url: 'http://a/mcp', headers: {{x: {token}}}}}"), "upstreams.a.headers.x"),
        (
            "a: {url: 'http://a/mcp', auth: {client_id: a, client_secret: hunter2}}".to_owned(),
            "upstreams.a.auth.client_secret",
        ),
        ("a: {command: [x, '${k}']}".to_owned(), "upstreams.a.command[1]"),
    ] {
        let folder =
            Folder::with(&format!("variables: {{k: {{default: {token}}}}}\nupstreams:\n  {written}\n"));
        let said = folder.run(&["bundle", "create", "x.bundle"]).await.bad(3);
        assert!(
            said.contains(key) && !said.contains("hunter2") && !said.contains(token),
            "{written}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_by_hand_is_not_replaced_unless_somebody_says_so() {
    let folder = deployment().await;
    let key = create(&folder, "a.bundle").await;
    let apply = async |more: &[&str]| {
        let words = ["bundle", "apply", "a.bundle", "--to", "to", "--key", &key, "--store", "sqlite:b.db"];
        folder.run(&[&words, more].concat()).await
    };
    let plan = apply(&["--plan", "--output", "json"]).await.json();
    assert_eq!((&plan["applied"], plan["new"].as_array().unwrap().len()), (&json!(false), 4), "{plan}");
    assert!(!folder.path("to").exists(), "a plan changes nothing");
    apply(&[]).await.good();
    assert!(folder.read("to/tidegate.local.yaml").contains("sqlite:b.db"));
    assert_eq!(folder.read("to/tidegate.yaml"), folder.read("tidegate.yaml"), "the files are as they were");
    folder.write("to/policies/team.cedar", "permit(principal, action, resource);");
    let said = apply(&[]).await.bad(4);
    assert!(said.contains("policies/team.cedar") && said.contains("--overwrite"), "{said}");
    assert_eq!(folder.read("to/policies/team.cedar"), "permit(principal, action, resource);");
    apply(&["--overwrite"]).await.good();
    assert_eq!(folder.read("to/policies/team.cedar"), POLICY);
    folder.write("tidegate.production.yaml", "limits: {page_size: 400}\n");
    std::fs::rename(folder.path("tidegate.production.yaml"), folder.path("tidegate.staging.yaml")).unwrap();
    std::fs::remove_file(folder.path("a.bundle")).unwrap();
    create(&folder, "a.bundle").await;
    let said = apply(&["--env", "staging"]).await.good();
    assert!(said.contains("+ tidegate.staging.yaml\n- tidegate.production.yaml\n"), "{said}");
    assert!(!folder.path("to/tidegate.production.yaml").exists());
    let left: Vec<_> = std::fs::read_dir(folder.path(".")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".to.")), "nothing is left: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_put_in_force_there_is_not_applied() {
    let folder = deployment().await;
    let key = create(&folder, "a.bundle").await;
    let apply = async |more: &[&str]| {
        let words = ["bundle", "apply", "a.bundle", "--to", "to", "--key", &key];
        folder.run(&[&words, more].concat()).await
    };
    for (more, code, said) in [
        (&["--set", "taem=x"][..], 2, "the bundle has no such variable"),
        (&["--secret", "upstreams.crm.headers.x=env:X"][..], 2, "the bundle needs no such thing"),
        (&["--env", "nowhere"][..], 3, "tidegate.nowhere.yaml"),
        (&["--rename-env", "nowhere=x"][..], 2, "the bundle has none"),
        (&["--store", "memory:"][..], 3, "what there is ends with the process"),
        (&["--store", "postgres://u:hunter2@db/x"][..], 2, "it has a password"),
        (&["--store-env", "NO_SUCH_VARIABLE"][..], 3, "NO_SUCH_VARIABLE is not set"),
        (&["--store", "sqlite:/dev/null/x.db"][..], 1, ""),
    ] {
        let found = apply(more).await.bad(code);
        assert!(found.contains(said) && !found.contains("hunter2"), "{more:?}: {found}");
        assert!(!folder.path("to").exists(), "{more:?}: nothing is left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_needed_is_named_for_every_environment_and_a_gateway_need_not_have_run() {
    let folder = Folder::with(
        "variables: {port: {env: DEMO_PORT, default: '9'}}\nstore: {url: 'sqlite:a.db'}\n\
         upstreams: {crm: {url: 'http://127.0.0.1:${port}/mcp', headers: {x: {env: BASE}}}}\n",
    );
    folder.write("tidegate.eu.yaml", "upstreams: {crm: {headers: {x: {env: EU}}}}\n");
    folder.write("tidegate.us.yaml", "upstreams: {crm: {headers: {y: {file: us}}}}\n");
    let key = create(&folder, "a.bundle").await;
    let shown = folder.run(&["bundle", "inspect", "a.bundle", "--output", "json"]).await.json();
    let name = |key: &str| shown["manifest"]["needs"][key]["name"].clone();
    assert_eq!(name("upstreams.crm.headers.x"), "BASE", "{shown}");
    assert_eq!(name("upstreams.crm.headers.x@eu"), "EU");
    assert_eq!(name("upstreams.crm.headers.y"), "us");
    assert_eq!(name("variables.port"), "DEMO_PORT");
    let apply = ["bundle", "apply", "a.bundle", "--to", "to", "--key", &key];
    for key in ["variables.port=env:X", "upstreams.crm.headers.x@eu=env:X"] {
        let said = folder.run(&[&apply[..], &["--secret", key]].concat()).await.bad(2);
        assert!(said.contains("write it into an overlay"), "{said}");
    }
    // What is wrong is told in the words of the folder that is meant, and a plan says by its code that
    // something would be lost.
    let said = folder.run(&[&apply[..], &["--set", "port=x", "--store", "sqlite:/x/y.db"]].concat()).await;
    assert!(said.code != 0 && !said.stderr.contains(".tidegate-"), "{said:?}");
    folder.run(&apply).await.good();
    folder.write("to/tidegate.yaml", "upstreams: {}\n");
    let plan = folder.run(&[&apply[..], &["--plan"]].concat()).await;
    assert!(plan.code == 4 && plan.stdout.contains("not as a bundle brought it"), "{plan:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_of_this_machine_stays_until_it_is_said_anew() {
    let folder = Folder::with(
        "variables: {team: {default: blue}}\nstore: {url: 'sqlite:a.db'}\n\
         upstreams:\n  crm:\n    url: 'http://127.0.0.1:9/mcp'\n    \
         headers: {x-team: '${team}', authorization: {env: HERE, prefix: 'Bearer '}}\n",
    );
    let key = create(&folder, "a.bundle").await;
    let apply = async |more: &[&str]| {
        let words = ["bundle", "apply", "a.bundle", "--to", "to", "--key", &key];
        folder.run(&[&words, more].concat()).await
    };
    let secret = "upstreams.crm.headers.authorization=env:THERE";
    apply(&["--set", "team=green", "--secret", secret, "--store", "sqlite:b.db"]).await.good();
    let first = folder.read("to/tidegate.local.yaml");
    assert!(first.contains("\"prefix\": \"Bearer \"") && first.contains("THERE"), "{first}");
    let said = apply(&[]).await.good();
    assert!(said.contains("nothing had to change") && said.contains("b.db"), "{said}");
    assert_eq!(folder.read("to/tidegate.local.yaml"), first);
    apply(&["--set", "team=red"]).await.good();
    let second = folder.read("to/tidegate.local.yaml");
    assert_eq!(second, first.replace("green", "red"), "the rest stays");
    // By hand: what is said of the same again changes nothing, of another thing only where that is said.
    let own = second.replace("# What", "# Ours. What").replace("Bearer ", "Token ");
    folder.write("to/tidegate.local.yaml", &own);
    apply(&["--set", "team=red", "--secret", secret]).await.good();
    assert_eq!(folder.read("to/tidegate.local.yaml"), own);
    let said = apply(&["--set", "team=grey"]).await.bad(4);
    assert!(said.contains("tidegate.local.yaml") && said.contains("--overwrite"), "{said}");
    apply(&["--set", "team=grey", "--overwrite"]).await.good();
    let third = folder.read("to/tidegate.local.yaml");
    assert!(third.contains("grey") && third.contains("Token ") && third.contains("sqlite:b.db"), "{third}");
}

/// The same bundle with another log in it, signed by somebody whose key is given with it.
fn with_log(bundle: &[u8], change: impl Fn(&str, &mut Vec<u8>)) -> (Vec<u8>, String) {
    let Bundle { manifest, mut contents, .. } = Bundle::read(bundle).unwrap();
    for log in contents.records.values_mut() {
        let files = LogFiles::read(log).unwrap();
        let changed = files.iter().map(|(path, bytes)| {
            let mut bytes = bytes.to_vec();
            change(path, &mut bytes);
            (path.to_owned(), bytes)
        });
        *log = bundle::pack(&changed.collect()).unwrap();
    }
    let key = Key::new([7; KEY_BYTES], Timestamp(0), Timestamp(0), None);
    let signer = KeyRing::new(&[key], Timestamp(1)).unwrap().signer(Timestamp(1), SIGNER_LABEL);
    let bytes = bundle::write(manifest, &contents, "example.org/else", &[&signer]).unwrap();
    (bytes, PublicKey::of("example.org/else", &signer).to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn records_come_along_on_request_as_files_that_anybody_verifies() {
    let folder = deployment().await;
    let key = create(&folder, "a.bundle").await;
    let made =
        folder.run(&["bundle", "create", "b.bundle", "--with-records", "--output", "json"]).await.json();
    let records = made["records"].as_u64().unwrap();
    assert!(records > 0, "the deployment has served: {made}");
    let mode = std::fs::metadata(folder.path("b.bundle")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "who did what is not for everybody");
    let own = made["key"].as_str().unwrap();
    let shown = folder.run(&["bundle", "inspect", "b.bundle", "--output", "json"]).await.json();
    assert_eq!(shown["manifest"]["records"]["default"]["size"], records, "{shown}");
    let said = folder.run(&["bundle", "verify", "b.bundle", "--key", own]).await.good();
    assert!(
        said.contains(&format!("records of default: {records} entries are as they were signed")),
        "{said}"
    );

    let apply = async |bundle: &str, key: &str, more: &[&str]| {
        let words = ["bundle", "apply", bundle, "--to", "to", "--key", key, "--store", "sqlite:b.db"];
        folder.run(&[&words, more].concat()).await
    };
    let said = apply("a.bundle", &key, &["--records", "evidence"]).await.bad(4);
    assert!(said.contains("the bundle has none") && !folder.path("to").exists(), "{said}");
    apply("b.bundle", own, &["--records", "evidence", "--plan"]).await.good();
    assert!(!folder.path("evidence").exists(), "a plan changes nothing");
    apply("b.bundle", own, &["--records", "evidence"]).await.good();
    let log_key = folder.read("evidence/default/keys");
    let verify = ["audit", "verify", "evidence/default", "--key", log_key.lines().next().unwrap()];
    let said = folder.run(&verify).await.good();
    assert!(said.contains(&format!("{records} entries are as they were signed")), "{said}");
    let printed = folder.run(&[&verify[..], &["--entries"]].concat()).await.good();
    let home = folder.run(&["audit", "query", "--limit", "100", "--output", "json"]).await.json();
    let home = home.as_array().unwrap().iter().rev().map(|row| row["record"].clone());
    let printed: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(printed.len() as u64, records);
    assert!(home.take(printed.len()).eq(printed), "the entries are those that are told at home");
    let said = apply("b.bundle", own, &["--records", "evidence"]).await.bad(4);
    assert!(said.contains("it is not empty"), "{said}");
    let query = ["audit", "query", "--config", "to/tidegate.yaml", "--output", "json"];
    let there = folder.run(&query).await.json();
    assert!(there.to_string().contains("bundle apply"), "the log there is a new one: {there}");
    assert!((there.as_array().unwrap().len() as u64) < records, "{there}");
    let said = apply("b.bundle", own, &[]).await.good();
    assert!(said.contains("the bundle also has 1 audit logs"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_changed_is_refused_also_where_the_bundle_is_signed_by_somebody_trusted() {
    let folder = deployment().await;
    folder.run(&["bundle", "create", "a.bundle", "--with-records"]).await.good();
    let bundle = std::fs::read(folder.path("a.bundle")).unwrap();
    let (bytes, key) = with_log(&bundle, |path, bytes| {
        if path.starts_with("tile/entries/") {
            let last = bytes.len() - 3;
            bytes[last] ^= 1;
        }
    });
    std::fs::write(folder.path("b.bundle"), bytes).unwrap();
    let said = folder.run(&["bundle", "verify", "b.bundle", "--key", &key]).await.bad(1);
    assert!(said.contains("the records of default: they are not as they were signed"), "{said}");
    let apply = ["bundle", "apply", "b.bundle", "--to", "to", "--key", &key, "--records", "evidence"];
    folder.run(&apply).await.bad(1);
    assert!(!folder.path("to").exists() && !folder.path("evidence").exists(), "nothing is written");
    let (bytes, key) = with_log(&bundle, |_, _| {});
    std::fs::write(folder.path("c.bundle"), bytes).unwrap();
    folder.run(&["bundle", "verify", "c.bundle", "--key", &key]).await.good();
}
