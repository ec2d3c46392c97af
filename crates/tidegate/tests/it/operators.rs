//! What operators see and do over HTTP.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use http::Method;
use serde_json::{Value, json};
use testkit::client::{Options, everything};
use testkit::http::{Http, Reply, Request};
use testkit::issuer::Issuer;
use testkit::{Client, Revision, within};

use crate::program::{Folder, Up};

const CONFIG: &str = "store: {url: 'sqlite:a.db'}\ntasks: {host: [{when: always}]}\n\
                      admin: {listen: 'localhost:0', token: {file: token}}\n";

/// Not a token of anybody.
pub fn token() -> String {
    "for-a-test-alone-".repeat(2)
}

pub struct Office {
    pub up: Up,
    pub http: Http,
}

impl Office {
    pub async fn open(folder: &Folder) -> Self {
        folder.write("token", &format!("{}\n", token()));
        let up = folder.up(&[]).await;
        let place = up.program.stdout.seen.iter().find_map(|line| line.strip_prefix("admin     http://"));
        let address: SocketAddr =
            place.and_then(|place| place.strip_suffix("/v1/")).expect("a place").parse().unwrap();
        Self { up, http: Http::new(address) }
    }

    pub fn request(&self, method: Method, path: &str) -> Request {
        self.http.request(method, path).header("authorization", format!("Bearer {}", token()))
    }

    pub async fn get(&self, path: &str) -> Value {
        let reply = self.request(Method::GET, path).send().await;
        assert_eq!(reply.status, 200, "{path}");
        reply.json().await
    }

    async fn refused(&self, method: Method, path: &str) -> (u16, String) {
        let reply = self.request(method, path).send().await;
        assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{path}");
        let status = reply.status;
        let problem = reply.json().await;
        assert_eq!(problem["status"], status, "{problem}");
        (status, problem["detail"].as_str().unwrap().to_owned())
    }
}

/// A page of the operators' listener, in a browser that keeps cookies.
pub struct Page {
    http: Http,
    origin: String,
    cookies: BTreeMap<String, String>,
}

impl Page {
    pub fn of(office: &Office) -> Self {
        let origin = format!("http://{}", office.http.address());
        Self { http: office.http.clone(), origin, cookies: BTreeMap::new() }
    }

    fn plain(&self, method: &str, path: &str) -> Request {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.http.request(method.parse().expect("a method"), path).header("cookie", cookies.join("; "))
    }

    fn keep(&mut self, reply: &Reply) {
        for cookie in reply.headers.get_all("set-cookie") {
            let (pair, rest) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if rest.contains("Max-Age=0;") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Goes to the issuer and back, as a browser does. What the last page says.
    pub async fn sign_in(&mut self, issuer: &Issuer) -> u16 {
        let away = self.plain("GET", "/sign-in").send().await;
        assert_eq!(away.status, 303);
        self.keep(&away);
        let there = away.header("location").unwrap().strip_prefix(&issuer.url).unwrap().to_owned();
        let address: SocketAddr = issuer.url.strip_prefix("http://").unwrap().parse().unwrap();
        let back = Http::new(address).request(Method::GET, &there).send().await;
        let back = back.header("location").unwrap().strip_prefix(&self.origin).unwrap().to_owned();
        let reply = self.plain("GET", &back).send().await;
        self.keep(&reply);
        reply.status
    }

    /// What `/v1/session` says.
    pub async fn session(&self) -> Option<Value> {
        let reply = self.plain("GET", "/v1/session").send().await;
        if reply.status == 200 { Some(reply.json().await) } else { None }
    }

    /// A request that was not sent yet; `own`: one that is made as a page of the listener's own makes it.
    pub async fn request(&self, method: &str, path: &str, own: bool) -> Request {
        let request = self.plain(method, path);
        if method == "GET" {
            return request;
        }
        let request = request.header("origin", &self.origin);
        match self.session().await.filter(|_| own) {
            Some(session) => request.header("x-csrf-token", session["csrf"].as_str().unwrap()),
            None => request,
        }
    }

    pub async fn ask(&self, method: &str, path: &str, own: bool) -> Reply {
        self.request(method, path, own).await.send().await
    }
}

async fn begin(client: &Client, tool: &str, arguments: Value) -> String {
    let made = client.call_tool(tool, arguments).await;
    made.result()["taskId"].as_str().expect("a task").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_lists_shows_and_cancels_tasks() {
    let folder = Folder::with(CONFIG);
    let office = Office::open(&folder).await;
    assert_eq!(office.get("/v1/tasks").await, json!({"tasks": [], "next": null}));
    let mut capabilities = everything(Revision::V2026_07_28);
    capabilities["extensions"]["io.modelcontextprotocol/tasks"] = json!({});
    let options = Options { capabilities: Some(capabilities), ..Options::default() };
    let address = office.up.http.address();
    let client = Client::with(address, "/demo/mcp", Revision::V2026_07_28, options).await;
    for text in ["one", "two", "three"] {
        begin(&client, "echo", json!({"text": text})).await;
    }
    begin(&client, "slow", json!({"seconds": 3_000})).await;
    let listed = within(async {
        loop {
            let all = office.get("/v1/tasks?state=completed").await;
            if all["tasks"].as_array().unwrap().len() == 3 {
                return office.get("/v1/tasks?state=completed&limit=2").await;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 2);
    let next = listed["next"].as_str().expect("there are more");
    let rest = office.get(&format!("/v1/tasks?state=completed&after={next}")).await;
    assert_eq!((rest["tasks"].as_array().unwrap().len(), &rest["next"]), (1, &Value::Null));
    let first = office.get(&format!("/v1/tasks/{}", rest["tasks"][0]["id"].as_str().unwrap())).await;
    assert_eq!(first["result"]["content"][0]["text"], "one");
    let slow = office.get("/v1/tasks?tool=slow&tenant=default").await["tasks"][0].clone();
    assert_eq!(slow["state"], "running");
    let id = slow["id"].as_str().unwrap();
    let (status, why) = office.refused(Method::POST, &format!("/v1/tasks/{id}/retry")).await;
    assert_eq!(status, 409, "{why}");
    let cancelled = office.request(Method::POST, &format!("/v1/tasks/{id}/cancel")).send().await;
    assert_eq!(cancelled.json().await, json!({"id": id, "state": "cancelled"}));
    assert_eq!(office.get(&format!("/v1/tasks/{id}")).await["state"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_token_or_is_a_page_in_a_browser_is_told_nothing() {
    let folder = Folder::with(CONFIG);
    let office = Office::open(&folder).await;
    let get = |path: &str| office.http.request(Method::GET, path);
    for path in ["/v1/tasks", "/v1/tasks/x", "/", "/nothing"] {
        let reply = get(path).send().await;
        assert_eq!((reply.status, reply.header("www-authenticate").is_some()), (401, true), "{path}");
    }
    let good = format!("Bearer {}", token());
    let bad = ["", "Bearer", "Bearer ", "Basic eDp5", &good[..good.len() - 1], &good[7..]];
    for authorization in bad {
        let reply = get("/v1/tasks").header("authorization", authorization).send().await;
        assert_eq!(reply.status, 401, "{authorization:?}");
    }
    let twice = get("/v1/tasks").header("authorization", &good).also("authorization", &good);
    assert_eq!(twice.send().await.status, 401);
    let page = office.request(Method::GET, "/v1/tasks").header("origin", "http://localhost");
    assert_eq!(page.send().await.status, 403);
    let rebound = office.request(Method::GET, "/v1/tasks").header("host", "evil.example");
    assert_eq!(rebound.send().await.status, 403);
    // Nor are operators served where clients are.
    let path = "/v1/tasks";
    let reply = office.up.http.request(Method::GET, path).header("authorization", &good).send().await;
    assert_eq!(reply.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_who_has_signed_in_does_what_his_role_allows_until_he_signs_out() {
    let issuer = Issuer::start().await;
    let config = format!(
        "telemetry: {{log_level: debug}}\nstore: {{url: 'sqlite:a.db'}}\n\
         auth:\n  allow: [anonymous]\n  issuers:\n    corp:\n      issuer: '{}'\n      \
         groups_claim: groups\n      sign_in: {{client_id: console, client_secret: {{file: token}}}}\n\
         admin: {{listen: 'localhost:0', sign_in: {{issuer: corp, roles: {{operator: [oncall]}}}}}}\n",
        issuer.url
    );
    let folder = Folder::with(&config);
    let office = Office::open(&folder).await;
    let none = office.request(Method::GET, "/v1/tasks").send().await;
    assert_eq!(none.status, 401, "there is no token");
    issuer.signs_in(Some(json!({"sub": "ann", "groups": ["oncall"]})));
    let mut page = Page::of(&office);
    assert_eq!(page.sign_in(&issuer).await, 200);
    let session = page.session().await.expect("a session");
    assert_eq!((&session["subject"], &session["role"]), (&json!("corp:ann"), &json!("operator")));
    assert_eq!(page.ask("POST", "/v1/tasks/none/cancel", true).await.status, 404);
    assert_eq!(page.ask("POST", "/v1/tasks/none/cancel", false).await.status, 403);
    let out = page.ask("POST", "/sign-out", true).await;
    assert_eq!(out.status, 303);
    assert!(page.session().await.is_none(), "the cookie that was kept is of no use");
    // Nothing of what signs in is in the log.
    let mut up = office.up;
    assert_eq!(up.stop().await, 0);
    let log = up.program.stderr.rest().await.join("\n");
    assert!(log.contains("an operator has signed in") && log.contains("has signed out"), "{log}");
    for secret in
        page.cookies.values().map(String::as_str).chain(["code-1", session["csrf"].as_str().unwrap()])
    {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_refused_with_the_reason() {
    let folder = Folder::with(CONFIG);
    let office = Office::open(&folder).await;
    for (method, path, status, part) in [
        (Method::GET, "/v1/tasks?stat=completed", 400, "unknown parameter"),
        (Method::GET, "/v1/tasks?state=done", 400, "state must be waiting"),
        (Method::GET, "/v1/tasks?limit=501", 400, "limit must be a number from 1 to 500"),
        (Method::GET, "/v1/tasks?limit=0", 400, "limit must be"),
        (Method::GET, "/v1/tasks?tool=a&tool=b", 400, "tool must be there once"),
        (Method::GET, "/v1/tasks/nothing", 404, "no such task"),
        (Method::POST, "/v1/tasks/nothing/cancel", 404, "no such task"),
        (Method::POST, "/v1/tasks", 405, "GET"),
        (Method::GET, "/v1/tasks/x/cancel", 405, "POST"),
        (Method::DELETE, "/v1/tasks/x", 405, "GET"),
        (Method::GET, "/v2/tasks", 404, "nothing at this path"),
        (Method::GET, "/v1/tasks/x/y/z", 404, "nothing at this path"),
    ] {
        let (found, why) = office.refused(method, path).await;
        assert!(found == status && why.contains(part), "{path}: {found} {why}");
    }
}

#[tokio::test]
async fn a_token_that_is_no_good_stops_the_start() {
    let folder = Folder::with(CONFIG);
    let said = folder.run(&["up"]).await.bad(3);
    assert!(said.contains("admin.token"), "{said}");
    folder.write("token", "hunter2\n");
    let said = folder.run(&["up"]).await.bad(3);
    assert!(said.contains("admin.token") && !said.contains("hunter2"), "{said}");
}
