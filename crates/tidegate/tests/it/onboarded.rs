//! `tidegate add` of web APIs, and programs in a sandbox.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use testkit::{Revision, within};

use crate::program::{DEMO, Folder, Ran, Up, code, text};

/// A web API with two schemes: one operation takes either, one the key alone, one nothing.
fn document(servers: &Value) -> String {
    let get = |id: &str, security: Value| {
        let tags = [id];
        json!({"get": {"operationId": id, "tags": tags, "security": security, "responses": {}}})
    };
    let outside = json!([{"$ref": "x.json"}]);
    json!({
        "openapi": "3.1.0", "info": {"title": "Pets of Acme", "version": "2.1"}, "servers": servers,
        "paths": {
            "/either": get("either", json!([{"key": []}, {"oauth": []}])),
            "/key": get("byKey", json!([{"key": []}])),
            "/open": get("open", json!([])),
            "/outside": {"get": {"operationId": "outside", "parameters": outside, "responses": {}}},
        },
        "components": {"securitySchemes": {
            "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
            "oauth": {"type": "oauth2", "flows": {}},
        }},
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_api_is_added_by_its_document_with_what_it_demands_and_never_a_secret() {
    let folder = Folder::with("upstreams: {}\n");
    let before = folder.read("tidegate.yaml");
    folder.write("pets.json", &document(&json!([{"url": "https://api.acme.example/v2"}])));
    let add = |more: &[&'static str]| [&["add", "pets.json"], more].concat();
    // A document does not say where credentials go.
    let said = folder.run(&add(&["--yes"])).await.bad(4);
    assert!(said.contains("https://api.acme.example/v2") && said.contains("--server"), "{said}");
    let at = ["--server", "https://api.acme.example/v2"];
    let said = folder.run(&add(&[&at[..], &["--yes"]].concat())).await.bad(4);
    assert!(said.contains("--secret key=env:…: a key in the header \"X-Key\""), "{said}");
    assert!(!said.contains("--secret oauth"), "the key is enough: {said}");
    for (more, why) in [
        (["--secret", "kay=env:KEY"], "the document's schemes are \"key\", \"oauth\""),
        (["--set", "key=hunter2"], "name where it is kept"),
        (["--include", ""], "use the pattern"),
    ] {
        let said = folder.run(&add(&[&at[..], &more[..]].concat())).await.bad(2);
        assert!(said.contains(why) && !said.contains("hunter2"), "{said}");
    }
    // Without the operation that takes the key alone, a token will do.
    let token = ["--secret", "oauth=env:TOKEN", "--exclude", "byKey", "--dry-run"];
    folder.run(&add(&[&at[..], &token[..]].concat())).await.good();
    let key = ["--secret", "key=env:PETS_KEY", "--exclude", "tag:open", "--probe", "--yes"];
    let mut command = folder.command(&add(&[&at[..], &key[..]].concat()));
    let said = ran(command.env("PETS_KEY", "hunter2").stdin(Stdio::null())).await.good();
    assert!(said.contains("reaches https://api.acme.example/v2"), "{said}");
    assert!(said.contains("asks    key (secret, given) a key in the header \"X-Key\""), "{said}");
    assert!(said.contains("asks    oauth (secret, not given)"), "{said}");
    assert!(said.contains("1 of its operations are no tools, the first of them GET /outside"), "{said}");
    assert!(said.contains("tool    byKey pin1:") && said.contains("tool    either pin1:"), "{said}");
    assert!(!said.contains("tool    open") && !said.contains("hunter2"), "{said}");
    assert_ne!(folder.read("tidegate.yaml"), before);
    let written = folder.read("tidegate.yaml");
    assert!(written.contains("  pets-of-acme:\n"), "{written}");
    assert!(written.contains("      credentials: {\"key\":{\"env\":\"PETS_KEY\"}}\n"), "{written}");
    assert!(written.contains("      exclude: [\"tag:open\"]\n"), "{written}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_added_is_held_against_the_overlays_and_variables_that_are_asked_for() {
    let folder = Folder::with("variables: {team: {}}\nupstreams:\n  a: {url: 'http://${team}/mcp'}\n");
    folder.write("tidegate.production.yaml", "endpoints: {crm: {upstreams: [a]}}\n");
    let before = folder.read("tidegate.yaml");
    let add = |name: &'static str, more: &[&'static str]| {
        let words = ["add", "https://crm.example.com/mcp", "--as", "url", "--yes", "--name", name];
        [&words, more].concat()
    };
    let said = folder.run(&add("crm", &[])).await.bad(3);
    assert!(said.contains("the variable has no value"), "{said}");
    let given = ["--variable", "team=x"];
    let said = folder.run(&add("crm", &[&given[..], &["--env", "production"]].concat())).await.bad(2);
    assert!(said.contains("there is one that is called so"), "an endpoint of the overlay: {said}");
    assert_eq!(folder.read("tidegate.yaml"), before);
    folder.run(&add("own", &[&given[..], &["--env", "production"]].concat())).await.good();
    let written = folder.read("tidegate.yaml");
    assert!(written.starts_with(&before) && written.contains("  own:\n"), "{written}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_imported_as_it_is_added() {
    let folder = Folder::with("upstreams: {}\n");
    let manifest = json!({
        "manifest_version": "0.3", "name": "notes", "version": "1.0.0", "description": "Notes.",
        "author": {"name": "Acme"},
        "server": {"type": "node", "entry_point": "server.js",
                   "mcp_config": {"command": "node", "args": ["${__dirname}/server.js"]}},
    });
    let mut zip = zip::ZipWriter::new(std::fs::File::create(folder.path("notes.mcpb")).unwrap());
    for (name, text) in [("manifest.json", manifest.to_string()), ("server.js", "1;\n".to_owned())] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    let before = folder.read("tidegate.yaml");
    let mut command = folder.command(&["import", "mcpb", "notes.mcpb"]);
    let looked = ran(command.stdin(Stdio::null())).await.good();
    assert!(looked.contains("starts  \"node\"") && looked.contains("  + notes:"), "{looked}");
    assert_eq!(folder.read("tidegate.yaml"), before, "a look changes nothing");
    let mut command = folder.command(&["import", "mcpb", "notes.mcpb", "--write"]);
    ran(command.env("XDG_STATE_HOME", folder.path("state")).stdin(Stdio::null())).await.good();
    assert!(folder.read("tidegate.yaml").contains("  notes:\n"));
    let said = folder.run(&["import", "mcpb"]).await.bad(2);
    assert!(said.contains("name its one file"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_web_api_is_not_taken_for_one() {
    let folder = Folder::with("upstreams: {}\n");
    for (name, content, why) in [
        ("old.json", r#"{"swagger": "2.0", "info": {}, "paths": {}}"#, "take old.json"),
        ("none.yaml", "a: [", "take none.yaml"),
        ("empty.json", r#"{"openapi": "3.0.0", "info": {}, "paths": {}}"#, "no operation that can be called"),
        ("server.json", r#"{"name": "a/b"}"#, "take server.json"),
    ] {
        folder.write(name, content);
        let said = folder.run(&["add", name, "--server", "https://a.example", "--yes"]).await.bad(4);
        assert!(said.contains(why), "{name}: {said}");
    }
}

async fn ran(command: &mut tokio::process::Command) -> Ran {
    let output = within(command.output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: code(output.status), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn program(file: &Path, text: &str) {
    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A folder of programs in which `bwrap` writes down its words and then starts what it was to start.
fn with_bwrap(folder: &Folder) -> String {
    let programs = folder.path("programs");
    std::fs::create_dir_all(&programs).unwrap();
    let script = "#!/bin/sh\nprintf '%s\\n' \"$@\" > \"${0%/*}/words\"\n\
                  while [ \"$1\" != -- ]; do shift; done\nshift\nexec \"$@\"\n";
    program(&programs.join("bwrap"), script);
    programs.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_started_in_the_sandbox_that_its_section_describes() {
    let folder = Folder::new();
    folder.configure(&format!(
        "upstreams: {{crm: {{command: {DEMO}, env: {{KEY: hunter2}}, cwd: data, \
         sandbox: {{read: [/usr/share/dict], write: [data], home: kept/home}}}}}}\n"
    ));
    std::fs::create_dir_all(folder.path("data")).unwrap();
    let path = format!("{}:/usr/bin:/bin", with_bwrap(&folder));
    let mut command = folder.command(&["up"]);
    command.env("PATH", path);
    let up = Up::started(crate::program::Program::start(command)).await;
    let client = up.client("/crm/mcp", Revision::V2026_07_28).await;
    let said = client.call_tool("echo", json!({"text": "from inside"})).await;
    assert_eq!(text(said.result()), "from inside");
    let words = folder.read("programs/words").replace('\n', " ");
    let own = folder.path("");
    let own = own.to_str().unwrap().trim_end_matches('/');
    for part in [
        "--die-with-parent --new-session --unshare-all --cap-drop ALL".to_owned(),
        "--ro-bind /usr/share/dict /usr/share/dict".to_owned(),
        format!("--bind {own}/data {own}/data"),
        format!("--bind {own}/kept/home /home/sandbox"),
        format!("--chdir {own}/data -- "),
    ] {
        assert!(words.contains(&part), "{part}: {words}");
    }
    assert!(!words.contains("--share-net") && !words.contains("hunter2"), "{words}");
    assert!(folder.path("kept/home").is_dir(), "it is made");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_sandbox_can_be_had_the_program_is_not_started() {
    let folder = Folder::with("upstreams: {a: {command: [/usr/bin/touch, started], sandbox: {}}}\n");
    let programs = folder.path("programs");
    std::fs::create_dir_all(&programs).unwrap();
    let said = ran(folder.command(&["upstreams"]).env("PATH", &programs)).await;
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.stdout.contains("bubblewrap (bwrap) is not in PATH"), "{said:?}");
    assert!(!folder.path("started").exists());
    let said = ran(folder.command(&["config", "check"]).env("PATH", &programs)).await;
    assert!(said.stderr.contains("upstreams.a.sandbox: bubblewrap (bwrap) is not in PATH"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_is_added_with_its_sandbox_and_the_plan_names_it() {
    let folder = Folder::with("upstreams: {}\n");
    let package = json!({"registryType": "npm", "identifier": "@acme/notes", "version": "1.0.0",
        "transport": {"type": "stdio"}});
    let entry = json!({"name": "io.github.acme/notes", "description": "Notes", "version": "1.0.0",
        "packages": [package]});
    folder.write("server.json", &entry.to_string());
    std::fs::create_dir_all(folder.path("data")).unwrap();
    let add = ["add", "server.json", "--sandbox", "--write", "data", "--yes"];
    let nothing = folder.path("nothing");
    std::fs::create_dir_all(&nothing).unwrap();
    let said = ran(folder.command(&add).env("PATH", &nothing)).await.bad(4);
    assert!(said.contains("bubblewrap (bwrap) is not in PATH"), "{said}");
    let programs = with_bwrap(&folder);
    program(&folder.path("programs/npx"), "#!/bin/sh\n");
    let said = ran(folder.command(&add).env("PATH", &programs)).await.good();
    let own = folder.path("data").canonicalize().unwrap();
    let own = own.to_str().unwrap();
    assert!(
        said.contains(&format!("sandbox bubblewrap: reads the system's programs, reads and changes {own}"))
    );
    assert!(said.contains("mind    the sandbox has the network, as npx fetches what it runs"), "{said}");
    let written = folder.read("tidegate.yaml");
    assert!(written.contains(&format!("    sandbox:\n      write: [\"{own}\"]\n")), "{written}");
    assert!(
        written.contains("      network: true\n") && written.contains("tidegate/homes/npx-"),
        "{written}"
    );
    for (more, code, why) in [
        (&["--write", "none"][..], 2, "let none into the sandbox"),
        (&["--read", "/"][..], 1, "that is everything"),
    ] {
        let words = [&["add", "server.json", "--name", "b", "--sandbox", "--yes"], more].concat();
        let said = ran(folder.command(&words).env("PATH", &programs)).await.bad(code);
        assert!(said.contains(why), "{said}");
    }
    let url = ["add", "https://mcp.acme.example/mcp", "--sandbox", "--yes"];
    let said = ran(folder.command(&url).env("PATH", &programs)).await.bad(2);
    assert!(said.contains("nothing is started here"), "{said}");
    assert!(folder.run(&["add", "server.json", "--write", "data"]).await.bad(2).contains("--sandbox"));
}
