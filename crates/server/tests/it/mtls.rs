//! Callers who prove themselves by a client certificate, over real connections.

use std::path::{Path, PathBuf};

use config::{EndpointAuth, Glob, Issuer as IssuerSection, ListenTls, Mtls};
use demo::Server;
use http::Method;
use serde_json::{Value, json};
use testkit::harness::WorldBuilder;
use testkit::issuer::Issuer;
use testkit::tls::{Authority, Holder, Secure, Usage, uri_name};
use testkit::{Revision, World, within};

const URL: &str = "https://gw.example";
/// The beginning of every test, in seconds.
const NOW: u64 = 1_785_196_800;
const ANN: &str = "spiffe://example.org/prod/ann";
const BEN: &str = "spiffe://example.org/prod/ben";

/// The authority of everybody, and its files until the test ends.
struct Files {
    authority: Authority,
    folder: PathBuf,
}

impl Files {
    fn new() -> Self {
        let authority = Authority::new();
        let folder = authority.furnished(Path::new(env!("CARGO_TARGET_TMPDIR")));
        Self { authority, folder }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A gateway that takes certificates of the authority at `crm`, and anybody at `hr`.
fn guarded(files: &Files, revision: Revision, identities: Option<&[&str]>) -> WorldBuilder {
    let globs = |globs: &[&str]| globs.iter().map(|glob| Glob::new(glob).expect("a pattern")).collect();
    let mtls = Mtls {
        ca: files.folder.join("ca.pem"),
        subject: config::CertificateName::SanUri,
        identities: identities.map(globs),
        tenant: Some("acme".to_owned()),
        scopes: vec!["mcp".to_owned()],
    };
    let tls = ListenTls { cert: files.folder.join("cert.pem"), key: files.folder.join("key.pem") };
    let demo = || Server::builder().revisions(&[revision]);
    World::builder().demo("crm", demo()).demo("hr", demo()).config(|config| {
        config.tls = Some(tls);
        config.auth.url = Some(URL.to_owned());
        config.auth.allow = Some(vec!["mtls".to_owned()]);
        config.auth.scopes = vec!["mcp".to_owned()];
        config.auth.mtls = Some(mtls);
        let open = EndpointAuth { allow: Some(vec!["anonymous".to_owned()]), ..EndpointAuth::default() };
        config.auth.endpoints.insert("hr".to_owned(), open);
    })
}

fn meta() -> Value {
    json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}})
}

fn call(tool: &str, arguments: Value) -> Value {
    let params = json!({"name": tool, "arguments": arguments, "_meta": meta()});
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
}

/// What a call at an endpoint comes to over a connection of its own; `None`: there is no connection.
async fn try_echo(
    world: &World,
    files: &Files,
    shown: Option<&Holder>,
    (endpoint, more): (&str, &[(&str, &str)]),
) -> Option<(u16, Value)> {
    let mut connection = Secure::connect(world.address(), &files.authority, shown).await.ok()?;
    let mut headers =
        vec![("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "echo")];
    headers.extend(more);
    let path = format!("/{endpoint}/mcp");
    connection.post(&path, &headers, &call("echo", json!({"text": "hello"}))).await.ok()
}

async fn echo(world: &World, files: &Files, shown: Option<&Holder>, more: &[(&str, &str)]) -> (u16, Value) {
    try_echo(world, files, shown, ("crm", more)).await.expect("an answer")
}

async fn metrics(world: &World, files: &Files) -> String {
    let mut connection = Secure::connect(world.address(), &files.authority, None).await.expect("TLS");
    let response = connection.send((&Method::GET, "/metrics"), &[], "").await.expect("an answer");
    let body = http_body_util::BodyExt::collect(response.into_body()).await.expect("all of it");
    String::from_utf8(body.to_bytes().to_vec()).expect("text")
}

#[tokio::test]
async fn who_shows_a_certificate_of_the_authority_comes_in_and_others_do_not() {
    let files = Files::new();
    let own = &files.authority;
    let world = guarded(&files, Revision::V2026_07_28, Some(&["spiffe://example.org/prod/*"])).start().await;
    let (status, said) = echo(&world, &files, Some(&own.client_of_uri(ANN)), &[]).await;
    assert_eq!((status, &said["result"]["content"][0]["text"]), (200, &json!("hello")), "{said}");

    let (status, said) = echo(&world, &files, None, &[]).await;
    assert_eq!((status, &said["error"]["data"]["reason"]), (401, &json!("no_credentials")), "{said}");
    for (holder, why) in [
        (own.client_of_uri("spiffe://example.org/test/ann"), "no pattern fits"),
        (own.client(|_| {}), "it has no such name"),
    ] {
        let (status, said) = echo(&world, &files, Some(&holder), &[]).await;
        let reason = &said["error"]["data"]["reason"];
        assert_eq!((status, reason), (401, &json!("invalid_certificate")), "{why}: {said}");
        // Where anybody comes in, nobody is asked.
        assert_eq!(try_echo(&world, &files, Some(&holder), ("hr", &[])).await.map(|said| said.0), Some(200));
    }
    let counted = metrics(&world, &files).await;
    assert!(counted.contains("tidegate_refusals_total{reason=\"invalid_certificate\"} 2"), "{counted}");

    let server_alone = own.client(|params| {
        params.subject_alt_names = vec![uri_name(ANN)];
        params.extended_key_usages = vec![Usage::ServerAuth];
    });
    for (holder, why) in [
        (Authority::new().client_of_uri(ANN), "another authority"),
        (own.client_until(ANN, (2026, 7, 1)), "expired"),
        (server_alone, "for servers alone"),
    ] {
        for endpoint in ["crm", "hr"] {
            let came = try_echo(&world, &files, Some(&holder), (endpoint, &[])).await;
            assert!(came.is_none(), "{why}: {came:?}");
        }
    }
    let counted = metrics(&world, &files).await;
    assert!(counted.contains("tidegate_refusals_total{reason=\"invalid_certificate\"} 8"), "{counted}");
}

#[tokio::test]
async fn the_time_of_a_certificate_ends_on_a_connection_that_goes_on() {
    let files = Files::new();
    let world = guarded(&files, Revision::V2026_07_28, None).start().await;
    let holder = files.authority.client_until(ANN, (2026, 7, 29));
    let mut connection =
        Secure::connect(world.address(), &files.authority, Some(&holder)).await.expect("TLS");
    let headers =
        [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "echo")];
    let body = call("echo", json!({"text": "x"}));
    assert_eq!(connection.post("/crm/mcp", &headers, &body).await.expect("an answer").0, 200);
    world.clock.advance(std::time::Duration::from_secs(2 * 86_400));
    let (status, said) = connection.post("/crm/mcp", &headers, &body).await.expect("an answer");
    assert_eq!((status, &said["error"]["data"]["reason"]), (401, &json!("invalid_certificate")), "{said}");
    assert!(try_echo(&world, &files, Some(&holder), ("crm", &[])).await.is_none(), "by the gateway's clock");
}

#[tokio::test]
async fn an_empty_list_takes_no_certificate() {
    let files = Files::new();
    let world = guarded(&files, Revision::V2026_07_28, Some(&[])).start().await;
    let (status, _) = echo(&world, &files, Some(&files.authority.client_of_uri(ANN)), &[]).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn a_header_beside_a_certificate_has_to_be_good_by_itself_and_none_makes_one() {
    let files = Files::new();
    let world = guarded(&files, Revision::V2026_07_28, None).start().await;
    let ann = files.authority.client_of_uri(ANN);
    for bad in ["Bearer x.y.z", "Bearer tgk_0123456789_x", "DPoP x", "Basic YTpi"] {
        let (status, said) = echo(&world, &files, Some(&ann), &[("authorization", bad)]).await;
        assert_eq!(status, 401, "{bad}: {said}");
    }
    // What proxies write of certificates is what anybody can write.
    let (url, pem) = (format!("By={URL};URI={ANN}"), ann.pem().replace('\n', " "));
    for (name, value) in [
        ("x-forwarded-client-cert", url.as_str()),
        ("x-client-cert", &pem),
        ("ssl-client-cert", &pem),
        ("client-cert", &pem),
        ("x-ssl-client-verify", "SUCCESS"),
        ("tidegate-replica", "0123456789ab 0123456789ab 1785196800000 00 00.00"),
    ] {
        assert_eq!(echo(&world, &files, None, &[(name, value)]).await.0, 401, "{name}");
    }
}

#[tokio::test]
async fn every_route_of_an_endpoint_asks_for_the_certificate() {
    let files = Files::new();
    let world = guarded(&files, Revision::V2026_07_28, Some(&[ANN])).start().await;
    let (ann, ben) = (files.authority.client_of_uri(ANN), files.authority.client_of_uri(BEN));
    for (path, methods) in tidegate_server::ROUTES {
        let ends = ["/mcp", "/sse", "/messages"].iter().any(|end| path.ends_with(end));
        let guarded = ends && !path.starts_with("/.well-known");
        for method in *methods {
            let method: Method = method.parse().expect("a method");
            for (shown, refused) in [(None, true), (Some(&ben), true), (Some(&ann), false)] {
                let connection = Secure::connect(world.address(), &files.authority, shown).await;
                let mut connection = connection.expect("TLS");
                let answer = connection.send((&method, path), &[], "{}").await.expect("an answer");
                let status = answer.status().as_u16();
                assert_eq!(status == 401, guarded && refused, "{method} {path}: {status}");
            }
        }
    }
}

#[tokio::test]
async fn a_session_of_one_certificate_is_unknown_to_another() {
    let files = Files::new();
    let world = guarded(&files, Revision::V2025_06_18, None).start().await;
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}});
    let connect = async |shown: &Holder| {
        Secure::connect(world.address(), &files.authority, Some(shown)).await.expect("TLS")
    };
    let ann = files.authority.client_of_uri(ANN);
    let answer = connect(&ann).await.send((&Method::POST, "/crm/mcp"), &[], &initialize).await;
    let answer = answer.expect("an answer");
    let session = answer.headers()["mcp-session-id"].to_str().expect("text").to_owned();
    let ping = json!({"jsonrpc": "2.0", "id": 2, "method": "ping"});
    let headers = [("mcp-session-id", session.as_str()), ("mcp-protocol-version", "2025-06-18")];
    let renewed = files.authority.client_of_uri(ANN);
    for (shown, status) in [(&ann, 200), (&renewed, 200), (&files.authority.client_of_uri(BEN), 404)] {
        let said = connect(shown).await.post("/crm/mcp", &headers, &ping).await.expect("an answer");
        assert_eq!(said.0, status, "{}", said.1);
    }
}

/// A token of ann's that is bound to a certificate.
fn bound(issuer: &Issuer, holder: &Holder) -> String {
    let token = issuer.token(&json!({
        "aud": format!("{URL}/crm/mcp"), "sub": "ann", "iat": NOW, "exp": NOW + 600, "scope": "mcp",
        "cnf": {"x5t#S256": holder.thumbprint()},
    }));
    format!("Bearer {token}")
}

fn with_tokens(issuer: &Issuer) -> impl FnOnce(&mut config::Config) {
    let section = IssuerSection { issuer: issuer.url.clone(), ..IssuerSection::default() };
    |config| {
        config.auth.issuers.insert("corp".to_owned(), section);
        let tokens = EndpointAuth { allow: Some(vec!["corp".to_owned()]), ..EndpointAuth::default() };
        config.auth.endpoints.insert("crm".to_owned(), tokens);
    }
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_certificate_needs_its_connection() {
    let files = Files::new();
    let issuer = Issuer::start().await;
    let world = guarded(&files, Revision::V2026_07_28, None).config(with_tokens(&issuer)).start().await;
    let (ann, again) = (files.authority.client_of_uri(ANN), files.authority.client_of_uri(ANN));
    let authorization = bound(&issuer, &ann);
    for (shown, status) in [(Some(&ann), 200), (Some(&again), 401), (None, 401), (Some(&ann), 200)] {
        let said = echo(&world, &files, shown, &[("authorization", &authorization)]).await;
        assert_eq!(said.0, status, "{}", said.1);
    }
    // The certificate by itself is no token.
    assert_eq!(echo(&world, &files, Some(&ann), &[]).await.0, 401);
}

/// A modern call of the tool that asks the user, at one of the replicas.
async fn ask(
    (world, files): (&World, &Files),
    (replica, shown): (usize, Option<&Holder>),
    more: &[(&str, &str)],
    answers: Option<&(Value, Value)>,
) -> (u16, Value) {
    let mut body = call("confirm_order", json!({}));
    if let Some((state, responses)) = answers {
        body["params"]["requestState"] = state.clone();
        body["params"]["inputResponses"] = responses.clone();
    }
    let mut headers = vec![
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "confirm_order"),
    ];
    headers.extend(more);
    let connection = Secure::connect(world.address_of(replica), &files.authority, shown).await;
    within(connection.expect("TLS").post("/crm/mcp", &headers, &body)).await.expect("an answer")
}

fn answered(asked: &Value) -> (Value, Value) {
    let questions = asked["result"]["inputRequests"].as_object().expect("questions");
    let answer = json!({"action": "accept", "content": {"quantity": 2, "confirm": true}});
    let answers: serde_json::Map<_, _> = questions.keys().map(|key| (key.clone(), answer.clone())).collect();
    (asked["result"]["requestState"].clone(), answers.into())
}

/// The call waits at the first replica, so that the second one sends its answer on.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_known_at_the_replica_that_a_request_is_sent_on_to() {
    let files = Files::new();
    let world = guarded(&files, Revision::V2025_11_25, None).replicas(2).start().await;
    let (ann, ben) = (files.authority.client_of_uri(ANN), files.authority.client_of_uri(BEN));
    let (status, asked) = ask((&world, &files), (0, Some(&ann)), &[], None).await;
    assert_eq!(status, 200, "{asked}");
    let answers = answered(&asked);
    assert_eq!(ask((&world, &files), (1, None), &[], Some(&answers)).await.0, 401);
    let (_, other) = ask((&world, &files), (1, Some(&ben)), &[], Some(&answers)).await;
    assert!(other["error"].is_object() && !other.to_string().contains("ann"), "{other}");
    let (status, done) = ask((&world, &files), (1, Some(&ann)), &[], Some(&answers)).await;
    assert_eq!((status, &done["result"]["resultType"]), (200, &json!("complete")), "{done}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_bound_to_a_certificate_is_good_at_the_replica_that_it_is_sent_on_to() {
    let files = Files::new();
    let issuer = Issuer::start().await;
    let world = guarded(&files, Revision::V2025_11_25, None).config(with_tokens(&issuer)).replicas(2);
    let world = world.start().await;
    let ann = files.authority.client_of_uri(ANN);
    let authorization = bound(&issuer, &ann);
    let sent = [("authorization", authorization.as_str())];
    let (status, asked) = ask((&world, &files), (0, Some(&ann)), &sent, None).await;
    assert_eq!(status, 200, "{asked}");
    let answers = answered(&asked);
    assert_eq!(ask((&world, &files), (1, None), &sent, Some(&answers)).await.0, 401);
    let (status, done) = ask((&world, &files), (1, Some(&ann)), &sent, Some(&answers)).await;
    assert_eq!((status, &done["result"]["resultType"]), (200, &json!("complete")), "{done}");
}

#[tokio::test]
async fn a_reload_changes_who_is_taken_at_once() {
    let files = Files::new();
    let world = guarded(&files, Revision::V2026_07_28, Some(&[ANN])).start().await;
    let ann = files.authority.client_of_uri(ANN);
    assert_eq!(echo(&world, &files, Some(&ann), &[]).await.0, 200);
    let mut config = world.config.clone();
    config.auth.mtls.as_mut().expect("it is there").identities = Some(Vec::new());
    world.gateway().reload(&config).expect("it is valid");
    assert_eq!(echo(&world, &files, Some(&ann), &[]).await.0, 401);
}
