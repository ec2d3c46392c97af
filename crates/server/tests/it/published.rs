//! What is told about endpoints to those who look before they connect.

use std::time::Duration;

use bytes::Bytes;
use config::{Card, CardRepository, CardVisibility, EndpointAuth, Issuer as IssuerSection};
use demo::Server;
use discovery::contradict::{self, Live};
use discovery::{Address, card, catalog, registry, server_json};
use http::Method;
use protocol::Raw;
use serde_json::{Value, json};
use testkit::client::Options;
use testkit::harness::WorldBuilder;
use testkit::http::{Http, Reply, Request};
use testkit::issuer::Issuer;
use testkit::{Revision, World};

const URL: &str = "https://gw.example";
const NOW: u64 = 1_785_196_800;
const SERVERS: &str = "/registry/v0.1/servers";

fn section(name: &str, visibility: CardVisibility) -> Card {
    Card {
        name: format!("com.acme/{name}"),
        version: "1.2.0".to_owned(),
        title: Some(format!("Acme {name}")),
        description: format!("The {name} of Acme"),
        website: Some("https://acme.example/".to_owned()),
        icons: Vec::new(),
        repository: Some(CardRepository {
            url: "https://github.com/acme/servers".to_owned(),
            source: "github".to_owned(),
            subfolder: Some(name.to_owned()),
            id: None,
        }),
        visibility,
    }
}

/// `crm` for everybody to know, `hr` and `erp` for those who are let in there, and `ads` for nobody.
fn guarded(issuer: &Issuer) -> WorldBuilder {
    let corp = IssuerSection { issuer: issuer.url.clone(), ..IssuerSection::default() };
    let demo = || Server::builder();
    let world =
        World::builder().demo("crm", demo()).demo("hr", demo()).demo("erp", demo()).demo("ads", demo());
    world.config(|config| {
        config.auth.url = Some(URL.to_owned());
        config.auth.allow = Some(vec!["corp".to_owned()]);
        config.auth.issuers.insert("corp".to_owned(), corp);
        config.discovery.experimental_auth = true;
        let cards = &mut config.discovery.cards;
        cards.insert("crm".to_owned(), section("crm", CardVisibility::Public));
        cards.insert("hr".to_owned(), section("hr", CardVisibility::Private));
        cards.insert("erp".to_owned(), section("erp", CardVisibility::Private));
        cards.insert("ads".to_owned(), section("ads", CardVisibility::Off));
    })
}

fn token(issuer: &Issuer, paths: &[&str]) -> String {
    let aud: Vec<String> = paths.iter().map(|path| format!("{URL}{path}")).collect();
    let claims = json!({"aud": aud, "sub": "ann", "iat": NOW, "exp": NOW + 600, "client_id": "editor"});
    format!("Bearer {}", issuer.token(&claims))
}

fn get(world: &World, path: &str) -> Request {
    Http::new(world.address()).request(Method::GET, path)
}

async fn json_of(world: &World, path: &str) -> Value {
    let reply = get(world, path).send().await;
    assert_eq!(reply.status, 200, "{path}");
    reply.json().await
}

fn bytes(value: &Value) -> Bytes {
    Bytes::from(value.to_string())
}

fn faults(schema: &str, definition: Option<&str>, document: &Value) -> Vec<String> {
    let mut schema: Value = serde_json::from_str(schema).expect("a schema");
    if let Some(definition) = definition {
        schema["$ref"] = json!(definition);
    }
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema");
    validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// What the schemas, as others publish them, say against a card.
fn of_card(document: &Value) -> Vec<String> {
    let schema = include_str!("../../../discovery/tests/schemas/server-card.schema.json");
    faults(schema, Some("#/$defs/ServerCard"), document)
}

/// The same of a page of the registry, and of each of its servers.
fn of_page(page: &Value) -> Vec<String> {
    let mut found = faults(include_str!("../../../discovery/tests/schemas/registry.json"), None, page);
    for entry in page["servers"].as_array().expect("a list") {
        let schema = include_str!("../../../discovery/tests/schemas/server-2025-12-11.schema.json");
        found.extend(faults(schema, None, &entry["server"]));
    }
    found
}

fn names(page: &Value) -> Vec<&str> {
    let servers = page["servers"].as_array().expect("a list");
    servers.iter().map(|entry| entry["server"]["name"].as_str().expect("a name")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_published_is_valid_and_contradicts_neither_itself_nor_what_clients_are_told() {
    let issuer = Issuer::start().await;
    let world = guarded(&issuer).start().await;
    let told = json_of(&world, "/crm/mcp/server-card").await;
    assert_eq!(of_card(&told), Vec::<String>::new());
    let remote = &told["remotes"][0];
    assert_eq!(
        (&remote["url"], &remote["auth"]["posture"]),
        (&json!(format!("{URL}/crm/mcp")), &json!("required"))
    );
    let repository =
        json!({"url": "https://github.com/acme/servers", "source": "github", "subfolder": "crm"});
    assert_eq!(told["repository"], repository);
    let read = card::read(&bytes(&told), card::Options { auth: true }).expect("a card").value;

    let found = json_of(&world, "/.well-known/ai-catalog.json").await;
    let found = catalog::read(&bytes(&found)).expect("a catalog").value;
    let [entry] = found.entries.as_slice() else { panic!("{found:?}") };
    let place = Address::parse(&format!("{URL}/crm/mcp/server-card")).expect("a URL");
    assert_eq!(entry.content, catalog::Content::Url(place.clone()));
    assert_eq!(contradict::entry(&read, entry, Some(&place)), []);

    let page = json_of(&world, SERVERS).await;
    assert_eq!(of_page(&page), Vec::<String>::new());
    let server = server_json::read(&bytes(&page["servers"][0]["server"])).expect("an entry").value;
    assert_eq!(contradict::registry(&read, &server), []);

    let metadata = json_of(&world, "/.well-known/oauth-protected-resource/crm/mcp").await;
    assert_eq!(contradict::resource(&read, &Raw::from_value(&metadata)), []);

    for revision in Revision::ALL {
        let path = if revision == Revision::V2024_11_05 { "/crm/sse" } else { "/crm/mcp" };
        let authorization = Some(token(&issuer, &[path]));
        let options = Options { authorization, ..Options::default() };
        let client = world.client_with("crm", revision, options).await;
        let opening = client.opening();
        let live = Live::read(&Raw::from_value(opening));
        assert_eq!(live.name.as_deref(), Some("com.acme/crm"), "{revision}: {opening}");
        assert_eq!(live.version.as_deref(), Some("1.2.0"), "{revision}");
        let live = Live { asked_who: Some(true), ..live };
        assert_eq!(contradict::live(&read, &live), [], "{revision}: {opening}");
        assert!(read.remotes[0].supported_protocol_versions.contains(&live.versions[0]), "{revision}");
    }
    let metrics = get(&world, "/metrics").send().await.text().await;
    let counted = "tidegate_published_reads_total{document=\"card\",status=\"200\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn a_card_has_its_kind_its_mark_and_is_for_pages_of_any_origin() {
    let issuer = Issuer::start().await;
    let world = guarded(&issuer).start().await;
    for (path, kind) in [
        ("/crm/mcp/server-card", "application/mcp-server-card+json"),
        ("/.well-known/ai-catalog.json", "application/ai-catalog+json"),
    ] {
        let reply = get(&world, path).header("origin", "https://other.example").send().await;
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(kind)));
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        assert_eq!(reply.header("access-control-expose-headers"), Some("ETag"));
        assert_eq!(reply.header("cache-control"), Some("public, max-age=3600"));
        let etag = reply.header("etag").expect("a mark").to_owned();
        let again = get(&world, path).header("if-none-match", &etag).send().await;
        assert_eq!((again.status, again.header("etag")), (304, Some(etag.as_str())));
        assert_eq!(again.text().await, "");
        let other = get(&world, path).header("if-none-match", "\"x\"").send().await;
        assert_eq!(other.status, 200);
        let http = Http::new(world.address());
        let head = http.request(Method::HEAD, path).send().await;
        assert_eq!((head.status, head.header("etag")), (200, Some(etag.as_str())));
        let asked =
            http.request(Method::OPTIONS, path).header("origin", "https://other.example").send().await;
        assert_eq!((asked.status, asked.header("access-control-allow-origin")), (204, Some("*")));
        assert_eq!(asked.header("access-control-allow-headers"), Some("Content-Type, If-None-Match"));
        let posted = http.post(path, "{}").send().await;
        assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")));
    }
    // The registry may show more to whoever proves himself: pages are held against the list of origins.
    let page = get(&world, SERVERS).header("origin", "https://other.example").send().await;
    assert_eq!(page.status, 403);
}

#[tokio::test]
async fn what_one_may_not_see_is_as_if_it_did_not_exist() {
    let issuer = Issuer::start().await;
    let foreign = Issuer::start().await;
    let world = guarded(&issuer).start().await;
    let seen = async |path: &str, authorization: Option<String>| -> Reply {
        let request = get(&world, path);
        let request = match &authorization {
            Some(value) => request.header("authorization", value),
            None => request,
        };
        request.send().await
    };
    let hr = format!("{SERVERS}/com.acme%2Fhr/versions/latest");
    let nothing = format!("{SERVERS}/com.acme%2Fnothing/versions/latest");
    let unknown = seen(&nothing, None).await;
    let unknown = (unknown.status, unknown.text().await);
    for (who, listed) in [
        (None, vec!["com.acme/crm"]),
        (Some("Bearer x".to_owned()), vec!["com.acme/crm"]),
        (Some(token(&foreign, &["/hr/mcp"])), vec!["com.acme/crm"]),
        (Some(token(&issuer, &["/crm/mcp"])), vec!["com.acme/crm"]),
        (Some(token(&issuer, &["/hr/mcp"])), vec!["com.acme/crm", "com.acme/hr"]),
        (Some(token(&issuer, &["/hr/mcp", "/erp/mcp"])), vec!["com.acme/crm", "com.acme/erp", "com.acme/hr"]),
    ] {
        let proves = who.is_some();
        let reply = seen(SERVERS, who.clone()).await;
        let kept = if proves { "private, no-store" } else { "public, max-age=60" };
        assert_eq!((reply.status, reply.header("cache-control")), (200, Some(kept)));
        let page = reply.json().await;
        assert_eq!((names(&page), &page["metadata"]["count"]), (listed.clone(), &json!(listed.len())));
        let one = seen(&hr, who).await;
        if listed.contains(&"com.acme/hr") {
            assert_eq!(one.status, 200);
        } else {
            assert_eq!((one.status, one.text().await), unknown);
        }
    }
    for path in ["/hr/mcp/server-card", "/ads/mcp/server-card", "/mcp/server-card"] {
        let right = seen(path, Some(token(&issuer, &["/hr/mcp"]))).await;
        let nobody = seen("/nothing/mcp/server-card", None).await;
        assert_eq!((right.status, right.text().await), (404, nobody.text().await), "{path}");
    }
    let told = json_of(&world, "/.well-known/ai-catalog.json").await.to_string();
    assert!(told.contains("crm") && !told.contains("com.acme/hr") && !told.contains("erp"), "{told}");
}

#[tokio::test]
async fn nothing_of_what_is_behind_an_endpoint_is_published() {
    let issuer = Issuer::start().await;
    let world = guarded(&issuer).start().await;
    for path in ["/crm/mcp/server-card", "/.well-known/ai-catalog.json", SERVERS] {
        let told = json_of(&world, path).await.to_string();
        for demo in world.demos.values() {
            assert!(!told.contains(&demo.address().port().to_string()), "{path}: {told}");
        }
        for inner in ["127.0.0.1", "localhost", "echo", "demo", &world.address().port().to_string()] {
            assert!(!told.contains(inner), "{path} tells of {inner}: {told}");
        }
    }
}

#[tokio::test]
async fn a_mirror_follows_what_changes_and_hears_of_what_was_replaced() {
    let issuer = Issuer::start().await;
    let world = guarded(&issuer)
        .config(|config| {
            config.discovery.cards.insert("erp".to_owned(), section("erp", CardVisibility::Public));
        })
        .start()
        .await;
    let first = json_of(&world, &format!("{SERVERS}?limit=1")).await;
    assert_eq!((names(&first), of_page(&first)), (vec!["com.acme/crm"], Vec::new()));
    let cursor = first["metadata"]["nextCursor"].as_str().expect("more");
    let second = json_of(&world, &format!("{SERVERS}?limit=1&cursor={cursor}")).await;
    assert_eq!((names(&second), &second["metadata"].get("nextCursor")), (vec!["com.acme/erp"], &None));
    assert_eq!(names(&json_of(&world, &format!("{SERVERS}?search=THE%20ERP")).await), ["com.acme/erp"]);
    let at = first["servers"][0]["_meta"]["io.modelcontextprotocol.registry/official"]["updatedAt"].clone();
    assert_eq!(at, "2026-07-28T00:00:00Z", "since the configuration has it");
    let since = format!("{SERVERS}?updated_since=2026-07-28T00:00:00Z");
    assert!(names(&json_of(&world, &since).await).is_empty());

    world.clock.advance(Duration::from_secs(60));
    let mut config = world.config.clone();
    config.discovery.cards.get_mut("crm").expect("a card").version = "1.3.0".to_owned();
    world.gateway().reload(&config).expect("a configuration");
    let changed = json_of(&world, &since).await;
    assert_eq!((names(&changed), of_page(&changed)), (vec!["com.acme/crm", "com.acme/crm"], Vec::new()));
    let official = |entry: &Value| entry["_meta"]["io.modelcontextprotocol.registry/official"].clone();
    let told: Vec<_> = changed["servers"].as_array().expect("a list").iter().map(official).collect();
    assert_eq!((&told[0]["status"], &told[0]["isLatest"]), (&json!("deleted"), &json!(false)));
    assert_eq!((&told[1]["status"], &told[1]["isLatest"]), (&json!("active"), &json!(true)));
    assert_eq!(told[1]["publishedAt"], "2026-07-28T00:01:00Z");
    let latest = json_of(&world, &format!("{SERVERS}/com.acme%2Fcrm/versions/latest")).await;
    assert_eq!(latest["server"]["version"], "1.3.0");
    let versions = format!("{SERVERS}/com.acme%2Fcrm/versions");
    assert_eq!(json_of(&world, &versions).await["servers"].as_array().map(Vec::len), Some(1));
    let all = json_of(&world, &format!("{versions}?include_deleted=true")).await;
    assert_eq!((all["servers"].as_array().map(Vec::len), of_page(&all)), (Some(2), Vec::new()));
    let old = get(&world, &format!("{versions}/1.2.0")).send().await;
    assert_eq!(old.status, 404);

    // What is taken back is gone without a trace.
    config.discovery.cards.get_mut("crm").expect("a card").visibility = CardVisibility::Off;
    world.gateway().reload(&config).expect("a configuration");
    assert_eq!(names(&json_of(&world, &format!("{SERVERS}?include_deleted=true")).await), ["com.acme/erp"]);
    let card = get(&world, "/crm/mcp/server-card").send().await;
    assert_eq!(card.status, 404);
}

#[tokio::test]
async fn a_reader_of_registries_reads_ours() {
    let issuer = Issuer::start().await;
    let world = guarded(&issuer).start().await;
    let text = get(&world, SERVERS).send().await.text().await;
    let page = registry::read_page(&Bytes::from(text)).expect("a page").value;
    assert!(page.refused.is_empty() && page.entries.len() == 1 && page.next_cursor.is_none());
    assert!(page.entries[0].official.is_latest);
    for (query, why) in [
        ("limit=0", "limit has to be a number"),
        ("cursor=x", "the cursor is not one of this list"),
        ("updated_since=yesterday", "updated_since has to be"),
        ("include_deleted=perhaps", "include_deleted has to be"),
    ] {
        let reply = get(&world, &format!("{SERVERS}?{query}")).send().await;
        assert_eq!(reply.status, 400, "{query}");
        assert!(registry::read_error(&Bytes::from(reply.text().await)).starts_with(why), "{query}");
    }
    let posted = Http::new(world.address()).post(SERVERS, "{}").send().await;
    assert_eq!(posted.status, 405);
    for path in ["/registry/v0.1/servers/", "/registry/v0.1/publish", "/registry/v0.1/servers/%/versions"] {
        assert_eq!(get(&world, path).send().await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_gateway_that_was_told_to_publish_nothing_publishes_nothing() {
    let world = World::builder().demo("crm", Server::builder()).start().await;
    for path in ["/crm/mcp/server-card", "/mcp/server-card", "/.well-known/ai-catalog.json", SERVERS] {
        assert_eq!(get(&world, path).send().await.status, 404, "{path}");
    }
    let client = world.client("crm", Revision::V2026_07_28).await;
    let live = Live::read(&Raw::from_value(client.opening()));
    assert_ne!(live.name.as_deref(), Some("com.acme/crm"), "its own name");
}

#[tokio::test]
async fn an_endpoint_that_asks_nobody_says_so_and_one_that_is_this_machines_is_told_on_it() {
    let world = World::builder()
        .demo("crm", Server::builder())
        .config(|config| {
            config.discovery.experimental_auth = true;
            config.auth.endpoints.insert("crm".to_owned(), EndpointAuth::default());
            config.discovery.cards.insert("mcp".to_owned(), section("all", CardVisibility::Public));
        })
        .start()
        .await;
    let told = json_of(&world, "/mcp/server-card").await;
    assert_eq!(told["remotes"][0]["url"], format!("http://{}/mcp", world.address()));
    assert_eq!(told["remotes"][0]["auth"]["posture"], "none");
    let metadata = get(&world, "/.well-known/oauth-protected-resource/mcp").send().await;
    assert_eq!(metadata.status, 404, "nobody is asked, and nothing says how");
    let client = world.client("mcp", Revision::V2026_07_28).await;
    let live = Live { asked_who: Some(false), ..Live::read(&Raw::from_value(client.opening())) };
    let read = card::read(&bytes(&told), card::Options { auth: true }).expect("a card").value;
    assert_eq!(contradict::live(&read, &live), []);
    let listed = client.request("tools/list", json!({})).await;
    let info = &listed.result()["_meta"]["io.modelcontextprotocol/serverInfo"];
    assert_eq!(info["name"], "com.acme/all", "lists say the same");
}
