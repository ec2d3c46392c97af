//! `tidegate auth`, and a gateway that asks who calls.

use model::{Clock as _, SystemClock};
use serde_json::{Value, json};
use testkit::client::Options;
use testkit::issuer::Issuer;
use testkit::{Client, Revision};

use crate::program::{DEMO, Folder};

fn claims(subject: &str) -> Value {
    let now = SystemClock.now().0 / 1_000;
    json!({
        "aud": "https://gw.example/demo/mcp", "sub": subject, "iat": now, "exp": now + 300, "scope": "mcp",
        "client_id": "editor", "groups": ["sales"], "act": {"sub": "agent-7"},
    })
}

fn guarded(issuer: &Issuer) -> Folder {
    Folder::with(&format!(
        "auth: {{url: 'https://gw.example', allow: [corp], issuers: {{corp: {{issuer: '{}', \
         groups_claim: groups}}}}}}\nupstreams: {{demo: {{command: {DEMO}}}}}\n",
        issuer.url
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_once_and_lets_in_where_it_is_for() {
    let folder = Folder::new();
    let new =
        folder.run(&["auth", "key", "--endpoint", "demo", "--tenant", "acme", "--output", "json"]).await;
    let new = new.json();
    let (key, section) = (new["key"].as_str().unwrap(), &new["config"]);
    assert!(key.starts_with("tgk_") && !section.to_string().contains(key), "{new}");
    folder.configure(&format!(
        "auth: {{allow: [keys], keys: [{section}]}}\nupstreams: {{demo: {{command: {DEMO}}}}}\n"
    ));
    let up = folder.up(&[]).await;
    let with = |key: String| Options { authorization: Some(format!("Bearer {key}")), ..Options::default() };
    let client =
        Client::with(up.http.address(), "/demo/mcp", Revision::V2025_06_18, with(key.to_owned())).await;
    let said = client.call_tool("echo", json!({"text": "x"})).await;
    assert_eq!(said.result()["content"][0]["text"], "x");
    let elsewhere = Client::try_with(up.http.address(), "/mcp", Revision::V2025_06_18, with(key.to_owned()));
    assert_eq!(elsewhere.await.err().expect("it is for another endpoint").status, 401);
    let explained = folder.run(&["auth", "explain", "--endpoint", "demo", "--token", key]).await.good();
    assert!(explained.contains("acme") && explained.contains("workload") && !explained.contains(key));
    let refused = folder.run(&["auth", "explain", "--token", key]).await;
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.stdout.contains("for other endpoints") && !refused.stdout.contains(key), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_explained_step_by_step_and_nothing_of_it_is_sent() {
    let issuer = Issuer::start().await;
    let folder = guarded(&issuer);
    let explain = async |token: &str, endpoint: &str| {
        let arguments = ["auth", "explain", "--endpoint", endpoint, "--output", "json"];
        let output = folder.command(&arguments).env("TIDEGATE_TOKEN", token).output().await.unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).expect("a document");
        (output.status.code(), told)
    };
    let (code, told) = explain(&issuer.token(&claims("ann")), "demo").await;
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(told["admitted"], true);
    assert_eq!(told["caller"]["subject"], "corp:ann");
    assert_eq!(told["caller"]["groups"], json!(["sales"]));
    assert_eq!(told["caller"]["actors"], json!(["agent-7"]));
    let checks = told["steps"].as_array().unwrap().iter().map(|step| step["check"].as_str().unwrap());
    let checks: Vec<&str> = checks.collect();
    for check in ["issuer", "signature", "audience", "time", "mapping", "scopes"] {
        assert!(checks.contains(&check), "{checks:?}");
    }
    let (code, told) = explain(&issuer.token(&claims("ann")), "mcp").await;
    assert_eq!((code, &told["admitted"]), (Some(4), &json!(false)), "{told}");
    let last = told["steps"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["passed"], false);
    assert!(last["found"].as_str().unwrap().contains("aud"), "{last}");
    let mut bound = claims("ann");
    bound["cnf"] = json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"});
    let (code, told) = explain(&issuer.token(&bound), "demo").await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.to_string().contains("needs a proof by the key"), "{told}");
    let (code, told) = explain("no-token-that-says-anything", "demo").await;
    assert_eq!(code, Some(4), "{told}");
    let said = folder.run(&["auth", "explain", "--endpoint", "none", "--token", "x"]).await.bad(2);
    assert!(said.contains("there is none"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_others_can_reach_does_not_start_without_saying_who_may_call() {
    let folder = Folder::with("listen: 0.0.0.0:0\n");
    let said = folder.run(&["up"]).await.bad(3);
    assert!(said.contains("auth.allow") && said.contains("anonymous"), "{said}");
}
