//! Callers who prove themselves by a client certificate.

use std::fmt::Write as _;

use http::Method;
use serde_json::json;
use testkit::tls::{Authority, Holder, Secure};

use crate::program::{DEMO, Folder, Up};

const RIGHT: &str = "spiffe://example.org/prod/agent";

/// A folder with everything but the upstreams that a gateway needs to take certificates of the authority.
fn guarded(authority: &Authority, more: &str) -> Folder {
    let folder = Folder::new();
    authority.furnish(&folder.path(""));
    folder.configure(&section("ca.pem", more));
    folder
}

fn section(ca: &str, more: &str) -> String {
    let identities = "identities: ['spiffe://example.org/prod/*']";
    format!(
        "tls: {{cert: cert.pem, key: key.pem}}\nauth:\n  url: https://gw.example\n  allow: [mtls]\n  \
         mtls: {{ca: {ca}, tenant: acme, scopes: [mcp], {identities}}}\n{more}upstreams: {{crm: {{command: \
         {DEMO}}}, hr: {{command: {DEMO}}}}}\n"
    )
}

/// What a request comes to over a connection of its own; `None`: there is none.
async fn status(
    (up, authority): (&Up, &Authority),
    shown: Option<&Holder>,
    (method, path): (&Method, &str),
    (headers, body): (&[(&str, &str)], &str),
) -> Option<u16> {
    let mut connection = Secure::connect(up.address, authority, shown).await.ok()?;
    let answer = connection.send((method, path), headers, body).await.ok()?;
    Some(answer.status().as_u16())
}

/// Whoever comes, and what he brings.
struct Caller {
    name: &'static str,
    shown: Option<Holder>,
    authorization: Option<&'static str>,
}

fn callers(own: &Authority) -> Vec<Caller> {
    let other = Authority::new();
    let by = |name, shown| Caller { name, shown: Some(shown), authorization: None };
    vec![
        Caller { name: "nobody", shown: None, authorization: None },
        by("other authority's", other.client_of_uri(RIGHT)),
        by("certificate expired", own.client_until(RIGHT, (2026, 1, 1))),
        by("name that no pattern fits", own.client_of_uri("spiffe://example.org/test/agent")),
        Caller { authorization: Some("Bearer x"), ..by("right, with a bad token", own.client_of_uri(RIGHT)) },
        by("other holder", own.client_of_uri("spiffe://example.org/prod/other")),
        by("right", own.client_of_uri(RIGHT)),
    ]
}

/// Who gets what at which route of a gateway that takes certificates alone, for `docs/reference/routes.md`.
pub async fn table() -> String {
    let authority = Authority::new();
    let folder = guarded(&authority, "  scopes: [mcp]\n");
    let mut up = folder.up(&[]).await;
    let callers = callers(&authority);
    let names: Vec<&str> = callers.iter().map(|caller| caller.name).collect();
    let mut table = format!("| Route | {} |\n|{}\n", names.join(" | "), " --- |".repeat(names.len() + 1));
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}});
    let initialize = initialize.to_string();
    let ping = json!({"jsonrpc": "2.0", "id": 2, "method": "ping"}).to_string();
    let mut rows = Vec::new();
    for (path, methods) in server::ROUTES {
        let body = if path.ends_with("/mcp") { &initialize } else { &ping };
        let row = |method: &&'static str| (format!("`{method} {path}`"), *method, *path, body, None);
        rows.extend(methods.iter().map(row));
    }
    let right = callers.last().and_then(|caller| caller.shown.as_ref());
    for method in ["POST", "GET", "DELETE"] {
        let mut connection = Secure::connect(up.address, &authority, right).await.unwrap();
        let opened = connection.send((&Method::POST, "/crm/mcp"), &[], &initialize).await.unwrap();
        let session = opened.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        let name = format!("`{method} /crm/mcp` in a session of the right one");
        rows.push((name, method, "/crm/mcp", &ping, Some(session)));
    }
    for (name, method, path, body, session) in &rows {
        write!(table, "| {name} |").unwrap();
        for Caller { name: who, shown, authorization } in &callers {
            let mut headers: Vec<(&str, &str)> = Vec::new();
            headers.extend(authorization.map(|value| ("authorization", value)));
            if let Some(session) = session {
                headers
                    .extend([("mcp-session-id", session.as_str()), ("mcp-protocol-version", "2025-06-18")]);
            }
            let method: Method = method.parse().unwrap();
            let body = if method == Method::POST { body.as_str() } else { "" };
            eprintln!("{name} by {who}");
            let came = status((&up, &authority), shown.as_ref(), (&method, path), (&headers, body)).await;
            assert!(came.is_none_or(|status| status < 500), "{name} by {who}: {came:?}");
            let came = came.map_or_else(|| "no connection".to_owned(), |status| status.to_string());
            write!(table, " {came} |").unwrap();
        }
        table.push('\n');
    }
    assert_eq!(up.stop().await, 0);
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_explained_as_a_handshake_would_take_it() {
    let authority = Authority::new();
    let folder = guarded(&authority, "");
    let explain = async |holder: &Holder| {
        let file = folder.write("client.pem", &holder.pem());
        let file = file.to_str().unwrap();
        let arguments = ["auth", "explain", "--endpoint", "crm", "--certificate", file, "--output", "json"];
        let ran = folder.run(&arguments).await;
        let told: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
        (ran.code, told)
    };
    let (code, told) = explain(&authority.client_of_uri(RIGHT)).await;
    assert_eq!(code, 0, "{told}");
    assert_eq!(told["caller"]["subject"], format!("mtls:{RIGHT}"));
    assert_eq!([&told["caller"]["tenant"], &told["caller"]["kind"]], ["acme", "workload"]);
    let last = |told: &serde_json::Value| told["steps"].as_array().unwrap().last().unwrap().clone();
    for (holder, why) in [
        (Authority::new().client_of_uri(RIGHT), "invalid peer certificate: BadSignature"),
        (authority.client_until(RIGHT, (2026, 1, 1)), "expired"),
        (authority.client_of_uri("spiffe://example.org/test/a"), "is not let in by one"),
    ] {
        let (code, told) = explain(&holder).await;
        assert_eq!((code, &told["admitted"]), (4, &json!(false)), "{told}");
        assert_eq!(last(&told)["passed"], false);
        assert!(last(&told)["found"].as_str().unwrap().contains(why), "{told}");
    }
    folder.configure(&format!("auth: {{allow: [keys]}}\nupstreams: {{crm: {{command: {DEMO}}}}}\n"));
    let (code, told) = explain(&authority.client_of_uri(RIGHT)).await;
    assert_eq!(
        (code, &last(&told)["found"]),
        (4, &json!("no client is asked for one: there is no auth.mtls"))
    );
}

#[tokio::test]
async fn authorities_that_cannot_be_used_stop_the_start() {
    let authority = Authority::new();
    let folder = guarded(&authority, "");
    folder.write("empty.pem", "");
    for (ca, why) in [
        ("empty.pem", "empty.pem: there is no certificate in it"),
        ("gone.pem", "gone.pem: I/O error: No such file or directory (os error 2)"),
    ] {
        folder.configure(&section(ca, ""));
        let said = folder.run(&["up"]).await.bad(3);
        assert_eq!(said, format!("tidegate: failed to use the configuration: use auth.mtls: {why}\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_authorities_are_trusted_from_the_next_start_on() {
    let (authority, next) = (Authority::new(), Authority::new());
    let folder = guarded(&authority, "");
    let mut up = folder.up(&[]).await;
    let (old, new) = (authority.client_of_uri(RIGHT), next.client_of_uri(RIGHT));
    let get = |shown| status((&up, &authority), Some(shown), (&Method::GET, "/healthz"), (&[], ""));
    assert_eq!((get(&old).await, get(&new).await), (Some(200), None));
    folder.write("next.pem", &next.pem());
    folder.configure(&section("next.pem", ""));
    let said = up.program.stderr.find("takes effect at the next start only").await;
    assert!(said.contains("auth.mtls.ca"), "{said}");
    let get = |shown| status((&up, &authority), Some(shown), (&Method::GET, "/healthz"), (&[], ""));
    assert_eq!((get(&old).await, get(&new).await), (Some(200), None));
    assert_eq!(up.stop().await, 0);
}
