//! `tidegate users`, and the same over HTTP, while the gateway runs.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use model::{Clock as _, SystemClock};
use serde_json::{Value, json};
use store::{GrantRow, Store as _};
use store_sqlite::SqliteStore;
use testkit::within;

use crate::operators::{Office, token};
use crate::program::{DEMO, Folder, call};

/// A folder with an API key, whose holder has granted something for an upstream; the key, and its holder.
async fn folder() -> (Folder, String, String) {
    let folder = Folder::new();
    let new = folder.run(&["auth", "key", "--endpoint", "demo", "--tenant", "acme", "--output", "json"]);
    let new = new.await.json();
    folder.configure(&format!(
        "auth: {{allow: [keys], keys: [{}]}}\nupstreams: {{demo: {{command: {DEMO}}}}}\n\
         store: {{url: 'sqlite:a.db'}}\nadmin: {{listen: 'localhost:0', token: {{file: token}}}}\n",
        new["config"]
    ));
    folder.run(&["store", "migrate"]).await.good();
    let user = format!("keys:{}", new["config"]["id"].as_str().unwrap());
    let store = SqliteStore::open(&folder.path("a.db"), SystemClock.now()).await.unwrap();
    for (name, holder) in [("user/one", user.as_str()), ("user/two", user.as_str()), ("user/ben", "corp:ben")]
    {
        let mut tx = store.begin().await.unwrap();
        let row = GrantRow {
            name: name.to_owned(),
            tenant: "acme".to_owned(),
            holder: holder.to_owned(),
            upstream: "crm".to_owned(),
            version: 0,
            expires: SystemClock.now().plus(std::time::Duration::from_secs(3_600)),
            data: Bytes::from_static(b"a-sealed-secret"),
        };
        assert!(tx.grant_put(&row).await.unwrap());
        tx.commit().await.unwrap();
    }
    store.close().await;
    (folder, new["key"].as_str().unwrap().to_owned(), user)
}

/// Calls with the key until the gateway answers like this.
async fn until(office: &Office, key: &str, status: u16) {
    let http = Arc::new(testkit::http::Http::new(office.up.http.address()));
    within(async {
        loop {
            let asked = call(&http, "/demo/mcp", "echo", json!({"text": "x"}));
            if asked.header("authorization", format!("Bearer {key}")).send().await.status == status {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn names(grants: &Value) -> Vec<&str> {
    grants.as_array().unwrap().iter().map(|grant| grant["name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_disables_a_user_whom_the_running_gateway_refuses_then() {
    let (folder, key, user) = folder().await;
    let office = Office::open(&folder).await;
    until(&office, &key, 200).await;
    let acme = ["--tenant", "acme"];
    let run = async |words: &[&str]| folder.run(&[&["users"], words].concat()).await;
    let json = async |words: &[&str]| run(&[words, &["--output", "json"]].concat()).await.json();

    let listed = json(&["list"]).await;
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    let own = listed.as_array().unwrap().iter().find(|row| row["subject"] == user.as_str()).unwrap();
    assert_eq!(
        (&own["state"], &own["grants"], &own["tenant"]),
        (&json!("active"), &json!(2), &json!("acme"))
    );
    let said = run(&[&["disable", user.as_str()], &acme[..]].concat()).await.good();
    assert_eq!(said, format!("{user} of acme is disabled; grants removed: 2\n"));
    until(&office, &key, 401).await;
    assert_eq!(names(&json(&["grants"]).await), ["user/ben"]);
    let shown = json(&[&["show", user.as_str()], &acme[..]].concat()).await;
    assert_eq!((&shown["state"], &shown["grants"]), (&json!("disabled"), &json!([])), "{shown}");
    assert!(run(&["list"]).await.good().contains("disabled"));
    let table = run(&[&["show", user.as_str()], &acme[..]].concat()).await.good();
    assert!(table.contains("disabled") && table.contains("has granted nothing"), "{table}");

    let said = run(&[&["enable", user.as_str()], &acme[..]].concat()).await.good();
    assert_eq!(said, format!("{user} of acme is let in again\n"));
    until(&office, &key, 200).await;
    let said = run(&[&["enable", user.as_str()], &acme[..]].concat()).await.good();
    assert!(said.contains("was not barred"), "{said}");

    for (words, why) in [
        (vec!["sign-out", user.as_str()], "an API key"),
        (vec!["disable", "ann"], "ISSUER:NAME"),
        (vec!["disable", "anonymous", "--tenant", "default"], "nobody in particular"),
        (vec!["revoke", "user/none"], "no such grant"),
    ] {
        let said = run(&words).await.bad(1);
        assert!(said.contains(why), "{said}");
    }
    let said = run(&["sign-out", "corp:ben", "--tenant", "acme"]).await.good();
    assert_eq!(said, "corp:ben of acme is signed out; grants removed: 1\n");
    assert_eq!(run(&["grants"]).await.good(), "there are no such grants\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_does_the_same_over_http_and_sees_no_secret() {
    let (folder, key, user) = folder().await;
    let office = Office::open(&folder).await;
    let ask = async |method: Method, path: &str| {
        let request = office.http.request(method, path);
        let reply = request.header("authorization", format!("Bearer {}", token())).send().await;
        let status = reply.status;
        let text = reply.text().await;
        assert!(!text.contains("secret"), "{text}");
        (status, serde_json::from_str::<Value>(&text).unwrap())
    };
    let (get, post) = (Method::GET, Method::POST);
    let (status, page) = ask(get.clone(), "/v1/grants?limit=2").await;
    assert_eq!((status, names(&page["grants"])), (200, vec!["user/ben", "user/one"]), "{page}");
    let next = page["next"].as_str().expect("there is more").replace('/', "%2F");
    let (_, page) = ask(get.clone(), &format!("/v1/grants?after={next}")).await;
    assert_eq!((names(&page["grants"]), &page["next"]), (vec!["user/two"], &Value::Null));
    let (_, own) = ask(get.clone(), &format!("/v1/grants?subject={user}&tenant=acme&upstream=crm")).await;
    assert_eq!(names(&own["grants"]), ["user/one", "user/two"]);
    let (status, gone) = ask(post.clone(), "/v1/grants/user%2Fone/revoke").await;
    assert_eq!((status, &gone["upstream"]), (200, &json!("crm")), "{gone}");
    assert_eq!(ask(post.clone(), "/v1/grants/user%2Fone/revoke").await.0, 404);

    let who = format!("tenant=acme&subject={user}");
    let (status, done) = ask(post.clone(), &format!("/v1/users/disable?{who}")).await;
    assert_eq!((status, &done["state"], &done["grantsRemoved"]), (200, &json!("disabled"), &json!(1)));
    until(&office, &key, 401).await;
    let (_, barred) = ask(get.clone(), "/v1/users/barred?tenant=acme").await;
    assert_eq!((&barred["barred"][0]["subject"], &barred["next"]), (&json!(user), &Value::Null), "{barred}");
    assert_eq!(ask(get.clone(), "/v1/users/barred?tenant=globex").await.1["barred"], json!([]));
    ask(post.clone(), "/v1/users/sign-out?tenant=acme&subject=corp:ben").await;
    let (_, first) = ask(get.clone(), "/v1/users/barred?limit=1").await;
    let next = first["next"].as_str().expect("there is more");
    let (_, second) = ask(get.clone(), &format!("/v1/users/barred?after={next}")).await;
    let of = |page: &Value| page["barred"][0]["subject"].as_str().unwrap().to_owned();
    assert_ne!(of(&first), of(&second));
    let (_, done) = ask(post.clone(), &format!("/v1/users/enable?{who}")).await;
    assert_eq!((&done["wasBarred"], &done["mustSignIn"]), (&json!(true), &json!(false)), "{done}");
    until(&office, &key, 200).await;

    for (path, status) in [
        ("/v1/users/disable", 400),
        ("/v1/users/disable?subject=corp:ann", 400),
        ("/v1/users/disable?tenant=acme&subject=corp:ann&limit=1", 400),
        ("/v1/users/disable?tenant=acme&subject=ann", 409),
        ("/v1/users/disable?tenant=default&subject=anonymous", 409),
    ] {
        assert_eq!(ask(post.clone(), path).await.0, status, "{path}");
    }
    assert_eq!(ask(get, "/v1/users/disable?tenant=acme&subject=corp:ann").await.0, 405);
}
