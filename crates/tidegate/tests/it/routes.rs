//! Who gets what at which route: all of them, as `docs/reference/routes.md` says.

use std::fmt::Write as _;
use std::path::PathBuf;

use http::Method;
use model::{Clock as _, SystemClock};
use serde_json::{Value, json};
use testkit::http::{Http, Request};
use testkit::issuer::Issuer;
use testkit::within;

use crate::operators::{Office, token as operators_token};
use crate::program::{DEMO, Folder};

const URL: &str = "https://gw.example";

/// Whoever comes, and what he brings.
struct Caller {
    name: &'static str,
    authorization: Option<String>,
}

fn callers(issuer: &Issuer, foreign: &Issuer) -> Vec<Caller> {
    let now = SystemClock.now().0 / 1_000;
    let good = json!({
        "aud": (["/crm/mcp", "/crm/sse", "/mcp", "/sse"].map(|path| format!("{URL}{path}"))),
        "sub": "ann", "tid": "acme", "iat": now, "exp": now + 600, "scope": "mcp", "client_id": "editor",
    });
    let but = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        issuer.token(&claims)
    };
    let mut old = good.clone();
    (old["iat"], old["exp"]) = (json!(now - 900), json!(now - 600));
    let bearer = |name, token: String| Caller { name, authorization: Some(format!("Bearer {token}")) };
    vec![
        Caller { name: "nobody", authorization: None },
        bearer("other issuer", foreign.token(&good)),
        bearer("token expired", issuer.token(&old)),
        bearer("other endpoint's token", but("aud", json!(format!("{URL}/hr/mcp")))),
        bearer("scope missing", but("scope", json!("other"))),
        bearer("operator", operators_token()),
        bearer("other tenant", but("tid", json!("globex"))),
        bearer("other user", but("sub", json!("ben"))),
        // Last, as what it does may end what the row is about.
        bearer("right", issuer.token(&good)),
    ]
}

fn initialize() -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}})
    .to_string()
}

fn ping() -> String {
    json!({"jsonrpc": "2.0", "id": 2, "method": "ping"}).to_string()
}

fn by(http: &Http, method: &str, path: &str, caller: &Caller) -> Request {
    let method: Method = method.parse().expect("a method");
    let request = if method == Method::POST {
        http.post(path, if path.ends_with("/mcp") { initialize() } else { ping() })
    } else {
        http.request(method, path).header("accept", "text/event-stream")
    };
    match &caller.authorization {
        Some(value) => request.header("authorization", value),
        None => request,
    }
}

/// One row: what each of them gets.
async fn row(table: &mut String, name: &str, callers: &[Caller], ask: impl AsyncFn(&Caller) -> u16) {
    write!(table, "| {name} |").expect("text");
    for caller in callers {
        let status = within(ask(caller)).await;
        assert!(status < 500, "{name} by {}: {status}", caller.name);
        write!(table, " {status} |").expect("text");
    }
    table.push('\n');
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_gives_every_caller_what_the_table_says() {
    let (issuer, foreign) = (Issuer::start().await, Issuer::start().await);
    let folder = Folder::with(&format!(
        "auth:\n  url: {URL}\n  allow: [corp]\n  scopes: [mcp]\n  issuers:\n    corp: {{issuer: '{}', \
         tenant_claim: tid}}\nupstreams: {{crm: {{command: {DEMO}}}, hr: {{command: {DEMO}}}}}\n\
         store: {{url: 'sqlite:a.db'}}\ntasks: {{host: [{{when: always}}]}}\n\
         admin: {{listen: 'localhost:0', token: {{file: token}}}}\n",
        issuer.url
    ));
    let office = Office::open(&folder).await;
    let http = &office.up.http;
    let callers = callers(&issuer, &foreign);
    let names: Vec<&str> = callers.iter().map(|caller| caller.name).collect();
    let mut table = format!("| Route | {} |\n|{}\n", names.join(" | "), " --- |".repeat(names.len() + 1));
    for (path, methods) in server::ROUTES {
        for method in *methods {
            let name = format!("`{method} {path}`");
            row(&mut table, &name, &callers, async |caller| {
                by(http, method, path, caller).send().await.status
            })
            .await;
        }
    }
    for method in ["POST", "GET", "DELETE"] {
        let right = callers.last().expect("one");
        let opened = by(http, "POST", "/crm/mcp", right).send().await;
        let session = opened.header("mcp-session-id").expect("a session").to_owned();
        let ask = async |caller: &Caller| {
            let request = by(http, method, "/crm/mcp", caller).header("mcp-session-id", &session);
            let request = request.header("mcp-protocol-version", "2025-06-18");
            if method == "POST" {
                request.body(ping()).send().await.status
            } else {
                request.send().await.status
            }
        };
        row(&mut table, &format!("`{method} /crm/mcp` in a session of the right one"), &callers, ask).await;
    }
    let mut stream = by(http, "GET", "/crm/sse", callers.last().expect("one")).send().await;
    let place = within(stream.event()).await.expect("where to post").data;
    let ask = async |caller: &Caller| by(http, "POST", &place, caller).send().await.status;
    row(&mut table, "`POST /crm/messages` to a stream of the right one", &callers, ask).await;

    let mut operators = format!("| Route | {} |\n|{}\n", names.join(" | "), " --- |".repeat(names.len() + 1));
    for (method, path) in admin::routes() {
        let name = format!("`{method} {path}`");
        let path = path.replace('*', "none");
        let ask = async |caller: &Caller| by(&office.http, method, &path, caller).send().await.status;
        row(&mut operators, &name, &callers, ask).await;
    }
    hold(&table, &operators);
}

/// The page is that of the repository, or becomes it.
fn hold(table: &str, operators: &str) {
    let page = [
        "# Who gets what at which route\n",
        "Made from the code and a gateway that runs, by `crates/tidegate/tests/it/routes.rs`. The endpoint",
        "`crm` takes tokens of one issuer that grant the scope `mcp`. A route that is not here fails the",
        "check.\n",
        "## Clients\n",
        table,
        "404 for another user: what is not theirs is unknown to them, as if it never was.\n",
        "## Operators\n",
        "On a listener of its own, on loopback. No task or grant is called `none`, and nobody is named.\n",
        operators,
    ]
    .join("\n");
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/routes.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, &page).expect("the file can be written");
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        found, page,
        "run UPDATE_DOCS=1 cargo test -p tidegate --test it routes, and look at what changed"
    );
}
