//! Who gets what at which route: all of them, as `docs/reference/routes.md` says.

use std::fmt::Write as _;
use std::path::PathBuf;

use http::Method;
use model::{Clock as _, SystemClock};
use serde_json::{Value, json};
use testkit::http::{Http, Request};
use testkit::issuer::Issuer;
use testkit::within;

use crate::operators::{Office, Page, token as operators_token};
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
         tenant_claim: tid, groups_claim: groups, sign_in: {{client_id: console}}}}\n\
         upstreams: {{crm: {{command: {DEMO}}}, hr: {{command: {DEMO}}}}}\n\
         store: {{url: 'sqlite:a.db'}}\ntasks: {{host: [{{when: always}}]}}\n\
         admin:\n  listen: 'localhost:0'\n  token: {{file: token}}\n  sign_in: {{issuer: corp, tenant: acme, \
         roles: {{admin: [platform], operator: [oncall], viewer: [support]}}}}\n",
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

    let clients = operators_by(&office.http, &callers).await;
    hold(&table, &clients, &operators_signed_in(&office, &issuer).await);
}

/// What callers of clients get where operators are served.
async fn operators_by(http: &Http, callers: &[Caller]) -> String {
    let names: Vec<&str> = callers.iter().map(|caller| caller.name).collect();
    let mut table = format!("| Route | {} |\n|{}\n", names.join(" | "), " --- |".repeat(names.len() + 1));
    for (method, path) in admin::routes() {
        let name = format!("`{method} {path}`");
        let path = path.replace('*', "none");
        let ask = async |caller: &Caller| by(http, method, &path, caller).send().await.status;
        row(&mut table, &name, callers, ask).await;
    }
    table
}

/// Somebody with a browser.
struct Visitor {
    name: &'static str,
    user: Value,
    /// Whether his requests are those of a page of the gateway's own.
    own: bool,
    /// Where his page is from.
    origin: Option<&'static str>,
    /// Whether he has signed out.
    out: bool,
}

fn visitors() -> Vec<Visitor> {
    let user = |tenant: &str, groups: &[&str]| json!({"sub": "ann", "tid": tenant, "groups": groups});
    let visitor = |name, user| Visitor { name, user, own: true, origin: None, out: false };
    vec![
        visitor("viewer", user("acme", &["support"])),
        visitor("operator", user("acme", &["oncall"])),
        visitor("admin", user("acme", &["platform"])),
        Visitor { own: false, ..visitor("admin, no CSRF token", user("acme", &["platform"])) },
        Visitor {
            origin: Some("https://evil.example"),
            ..visitor("admin, foreign page", user("acme", &["platform"]))
        },
        Visitor { out: true, ..visitor("admin, signed out", user("acme", &["platform"])) },
        visitor("no role", user("acme", &["sales"])),
        visitor("other tenant", user("globex", &["platform"])),
    ]
}

/// What somebody gets who has signed in with a browser. Each route is asked for in a session of its own, as
/// one of them ends it.
async fn operators_signed_in(office: &Office, issuer: &Issuer) -> String {
    let visitors = visitors();
    let names: Vec<&str> = visitors.iter().map(|visitor| visitor.name).collect();
    let mut table = format!("| Route | {} |\n|{}\n", names.join(" | "), " --- |".repeat(names.len() + 1));
    for (method, path) in admin::routes() {
        write!(table, "| `{method} {path}` |").expect("text");
        let path = path.replace('*', "none");
        for visitor in &visitors {
            issuer.signs_in(Some(visitor.user.clone()));
            let mut page = Page::of(office);
            page.sign_in(issuer).await;
            if visitor.out {
                assert_eq!(page.ask("POST", "/sign-out", true).await.status, 303);
            }
            let request = page.request(method, &path, visitor.own).await;
            let request = match visitor.origin {
                Some(origin) => request.header("origin", origin),
                None => request,
            };
            let status = within(request.send()).await.status;
            assert!(status < 500, "{method} {path} by {}: {status}", visitor.name);
            write!(table, " {status} |").expect("text");
        }
        table.push('\n');
    }
    table
}

/// The page is that of the repository, or becomes it.
fn hold(table: &str, operators: &str, signed_in: &str) {
    let page = [
        "# Who gets what at which route\n",
        "Made from the code and a gateway that runs, by `crates/tidegate/tests/it/routes.rs`. The endpoint",
        "`crm` takes tokens of one issuer that grant the scope `mcp`. A route that is not here fails the",
        "check.\n",
        "## Clients\n",
        table,
        "404 for another user: what is not theirs is unknown to them, as if it never was.\n",
        "## Operators\n",
        "On a listener of its own, on loopback. No task is called `none`. `operator` has `admin.token`.\n",
        operators,
        "With a browser, signed in at `admin.sign_in.issuer`. Pages of the listener's own send the token of",
        "their session (`X-CSRF-Token`) with whatever changes something.\n",
        signed_in,
        "Whoever has no role, is of another tenant or has signed out is nobody: 200 is a page on which",
        "he can sign in, 303 the way there, and 400 a way back that nobody was on.",
        "",
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
