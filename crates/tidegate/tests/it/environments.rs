//! Overlays, variables, references to secrets, and what is different.

use serde_json::json;

use crate::operators::{Office, token};
use crate::program::Folder;

#[tokio::test]
async fn an_overlay_and_variables_make_another_configuration_of_the_same_file() {
    let folder =
        Folder::with("variables: {host: {default: here}}\nupstreams: {a: {url: 'http://${host}/mcp'}}\n");
    folder.write("tidegate.production.yaml", "upstreams: {b: {url: 'http://b/mcp'}}\n");
    let checked = async |words: &[&str]| folder.run(&[&["config", "check"], words].concat()).await;
    assert!(checked(&[]).await.good().contains("1 upstream,"));
    assert!(checked(&["--env", "production"]).await.good().contains("2 upstreams,"));
    let said = checked(&["--env", "staging"]).await.bad(3);
    assert!(said.contains("tidegate.staging.yaml"), "{said}");
    assert!(checked(&["--env", "../x"]).await.bad(2).contains("a-z, 0-9 and -"));
    assert!(checked(&["--env", "local"]).await.bad(2).contains("always used"));
    assert!(checked(&["--set", "hots=x"]).await.bad(3).contains("did you mean \"host\"?"));
    folder.write("tidegate.local.yaml", "upstreams: {a: {ulr: x}}\n");
    let said = checked(&[]).await.bad(3);
    assert!(said.contains("tidegate.local.yaml:1:17: upstreams.a.ulr: unknown key"), "{said}");
    folder.write("tidegate.local.yaml", "upstreams: {a: {headers: {x-team: blue}}}\n");
    let told = folder.run(&["config", "explain", "upstreams", "--here"]).await.good();
    assert!(told.contains("overlay  the keys of both files, one by one"), "{told}");
    assert!(
        told.contains("\nHere: upstreams.a.headers.x-team\n  set      tidegate.local.yaml:1:35\n"),
        "{told}"
    );
    let said = folder.run(&["config", "diff", "tidegate.yaml", "tidegate.yaml@production"]).await;
    assert_eq!((said.code, said.stdout.as_str()), (4, "+ upstreams.b\n"));
    let same = folder.run(&["config", "diff", "tidegate.yaml", "tidegate.yaml"]).await.good();
    assert_eq!(same, "they mean the same\n");
    let both = ["config", "diff", "tidegate.yaml", "tidegate.yaml@production", "--env", "production"];
    folder.run(&both).await.good();
    let said =
        folder.run(&["config", "diff", "tidegate.yaml", "tidegate.yaml", "--env", "none"]).await.bad(3);
    assert!(said.contains("tidegate.none.yaml"), "an overlay that is asked for is looked for: {said}");
    let said =
        folder.run(&["config", "diff", "tidegate.yaml", "tidegate.yaml", "--config", "x"]).await.bad(2);
    assert!(said.contains("neither is `running`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlay_that_changes_is_put_in_force() {
    let folder = Folder::with("upstreams: {a: {url: 'http://127.0.0.1:1/mcp'}}\n");
    folder.write("tidegate.production.yaml", "endpoints: {one: {upstreams: [a]}}\n");
    let mut up = folder.up(&["--env", "production"]).await;
    assert!(up.program.stdout.seen.iter().any(|line| line.ends_with("/one/mcp")));
    folder.write("new", "endpoints: {two: {upstreams: [a]}}\n");
    std::fs::rename(folder.path("new"), folder.path("tidegate.production.yaml")).unwrap();
    up.program.stderr.find("the new configuration is in force").await;
    folder.write("new", "endpoints: {three: {upstreams: [a]}}\n");
    std::fs::rename(folder.path("new"), folder.path("tidegate.local.yaml")).unwrap();
    up.program.stderr.find("the new configuration is in force").await;
    assert_eq!(up.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_comes_from_a_credential_or_a_program_and_no_check_runs_it() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("credentials")).unwrap();
    folder.write(
        "credentials/url",
        "sqlite:FOLDER/a.db\n".replace("FOLDER", folder.path("").to_str().unwrap()).as_str(),
    );
    folder.configure("store: {url: {credential: url}}\n");
    let run = |words: &[&str]| {
        let mut command = folder.command(words);
        command.env("CREDENTIALS_DIRECTORY", folder.path("credentials")).env("MARK", folder.path("ran"));
        command
    };
    let made = run(&["store", "migrate"]).output().await.unwrap();
    assert!(made.status.success(), "{made:?}");
    assert!(folder.path("a.db").exists());
    let said = folder.run(&["store", "check"]).await.bad(3);
    assert!(said.contains("CREDENTIALS_DIRECTORY is not set"), "{said}");
    let text = "store: {url: {command: \
                [sh, -c, 'touch \"$MARK\"; echo \"sqlite:$(dirname \"$MARK\")/a.db\"'], pass: [MARK]}}\n";
    folder.configure(text);
    let checked = run(&["config", "check"]).output().await.unwrap();
    assert!(checked.status.success() && !folder.path("ran").exists(), "a check runs nothing: {checked:?}");
    let checked = run(&["store", "check"]).output().await.unwrap();
    assert!(checked.status.success() && folder.path("ran").exists(), "{checked:?}");
    folder.configure("store: {url: {command: ['false']}}\n");
    let said = folder.run(&["store", "check"]).await.bad(3);
    assert!(said.contains("the program false gives no value") && said.contains("exit status: 1"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_held_against_the_file() {
    let config = "store: {url: 'sqlite:a.db'}\nadmin: {listen: 'localhost:0', token: {file: token}}\n\
                  upstreams: {a: {url: 'http://127.0.0.1:1/mcp', headers: {x-api-key: hunter2}}}\n";
    let folder = Folder::with(config);
    let mut office = Office::open(&folder).await;
    let place = office.http.address().to_string();
    let drift = async || folder.run(&["config", "drift", "--admin", &place]).await;
    assert_eq!(drift().await.good(), "they mean the same\n");
    let told = office.get("/v1/config").await;
    assert_eq!(told["config"]["upstreams"]["a"]["headers"]["x-api-key"], "[secret]");
    assert!(!told.to_string().contains("hunter2") && !told.to_string().contains(&token()));
    // What is not put in force stays another thing in the file.
    folder.write("tidegate.production.yaml", "limits: {page_size: 7}\n");
    let said = folder.run(&["config", "drift", "--admin", &place, "--env", "production"]).await;
    assert_eq!((said.code, said.stdout.as_str()), (4, "~ limits.page_size: 1000 -> 7\n"), "{said:?}");
    let words =
        ["config", "diff", "running", "tidegate.yaml@production", "--admin", &place, "--output", "json"];
    let said = folder.run(&words).await;
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report["differences"][0]["path"], json!("limits.page_size"));
    assert_eq!(office.up.stop().await, 0);
}
