//! Cards that are read and written.

use bytes::Bytes;
use discovery::auth::{Method, Posture, Registration};
use discovery::card::{CARD_BYTES_MAX, CARD_SCHEMA, Options, read, write};
use serde_json::{Value, json};

use crate::{bytes, lines, schema, with};

/// A card with everything in it.
pub fn full() -> Value {
    json!({
        "$schema": CARD_SCHEMA,
        "name": "com.acme/crm",
        "version": "2.4.0",
        "title": "Acme CRM",
        "description": "Customer records",
        "websiteUrl": "https://acme.example/crm",
        "repository": {"url": "https://github.com/acme/crm", "source": "github",
                       "subfolder": "src/x", "id": "7"},
        "icons": [{"src": "https://acme.example/i.png", "mimeType": "image/png",
                   "sizes": ["48x48"], "theme": "dark"}],
        "remotes": [{
            "type": "streamable-http",
            "url": "https://gw.acme.example/{region}/crm/mcp",
            "variables": {"region": {"choices": ["eu", "us"], "default": "eu", "isRequired": true}},
            "headers": [{"name": "X-Acme-Tenant", "isRequired": true, "placeholder": "tenant id"},
                        {"name": "X-Key", "value": "k {key}", "variables": {"key": {"isSecret": true}}}],
            "supportedProtocolVersions": ["2026-07-28", "2025-11-25"],
        }],
        "_meta": {"com.acme/x": {"y": 1.50}},
    })
}

#[test]
fn a_card_is_written_as_it_was_read() {
    let document = full();
    assert_eq!(schema::card(&document), Vec::<String>::new(), "the test's own card is one");
    let card = read(&bytes(&document), Options::default()).expect("a card");
    assert_eq!(card.remarks, []);
    let written = write(&card.value);
    assert_eq!(written.to_value(), document);
    assert_eq!(schema::card(&written.to_value()), Vec::<String>::new());
    assert_eq!(read(&written.bytes(), Options::default()).expect("a card").value, card.value);
}

#[test]
fn what_nobody_knows_is_kept_byte_for_byte() {
    let text = format!(
        r#"{{"$schema":"{CARD_SCHEMA}","name":"a/b","version":"1","description":"d",
        "x":{{"n":1.50e0,"s":"\u0041","d":[ 1 , 2 ]}},
        "remotes":[{{"type":"sse","url":"https://a.example/","webhooks":{{"k":0.10}},
        "variables":{{"v":{{"z":-0}}}}}}]}}"#
    );
    let card = read(&Bytes::from(text), Options::default()).expect("a card").value;
    let written = write(&card);
    for kept in [r#""x":{"n":1.50e0,"s":"\u0041","d":[ 1 , 2 ]}"#, r#""webhooks":{"k":0.10}"#, r#""z":-0"#] {
        assert!(written.as_text().contains(kept), "{kept} in {written}");
    }
}

#[test]
fn the_digest_is_the_same_however_it_is_spelled_and_another_for_any_other_word() {
    let document = full();
    let read =
        |text: String| discovery::digest(&read(&Bytes::from(text), Options::default()).expect("a card").raw);
    let one = read(document.to_string());
    assert_eq!(one, read(serde_json::to_string_pretty(&document).expect("text")));
    assert_eq!(one.len(), 64);
    assert_ne!(one, read(with(&document, "/remotes/0/headers/0/isRequired", json!(false)).to_string()));
    assert_ne!(one, read(with(&document, "/extra", json!(1)).to_string()));
}

#[test]
fn each_thing_that_is_wrong_is_named_with_its_place() {
    let long = "x".repeat(101);
    for (pointer, value, place) in [
        ("/$schema", Value::Null, "document: \"$schema\" is missing"),
        ("/$schema", json!("https://evil.example/v1"), "/$schema: not the schema of a card"),
        ("/name", json!("crm"), "/name: no name of a server"),
        ("/name", json!(7), "/name: has to be a text"),
        ("/version", json!("latest"), "/version: names whatever is newest"),
        ("/version", json!("^1.0.0"), "/version: a range"),
        ("/description", json!(""), "/description: is empty"),
        ("/description", json!(long), "/description: 101 characters"),
        ("/title", json!(""), "/title: is empty"),
        ("/websiteUrl", json!("javascript:alert(1)"), "/websiteUrl: no URL that begins with"),
        ("/repository/url", json!("file:///etc"), "/repository/url: no URL"),
        ("/repository/subfolder", json!("../../x"), "/repository/subfolder: no plain relative path"),
        ("/repository/source", Value::Null, "/repository: \"source\" is missing"),
        ("/icons/0/src", json!("data:text/html;base64,AA=="), "/icons/0/src: no URL"),
        ("/icons/0/src", json!("data:image/svg+xml,<svg onload=x>"), "/icons/0/src: a picture that is not"),
        ("/icons/0/theme", json!("red"), "/icons/0/theme: \"red\" is none of light, dark"),
        ("/remotes", json!({}), "/remotes: has to be a list"),
        ("/remotes/0", json!(1), "/remotes/0: has to be an object"),
        ("/remotes/0/type", json!("stdio"), "/remotes/0/type: \"stdio\" is none of"),
        ("/remotes/0/url", json!("https://a.example\\@evil.example/"), "/remotes/0/url: a URL with a char"),
        ("/remotes/0/url", json!("https://user:pw@a.example/"), "/remotes/0/url: a URL with a user name"),
        ("/remotes/0/url", json!("https://a.example/{region}/../x"), "/remotes/0/url: a URL with a way back"),
        ("/remotes/0/headers/0/name", json!("X: y\r\nZ"), "/remotes/0/headers/0/name: no name of a header"),
        ("/remotes/0/headers/0/name", json!("Host"), "/remotes/0/headers/0/name: a header that the conn"),
        ("/remotes/0/headers/0/name", json!("Mcp-Session-Id"), "/remotes/0/headers/0/name: a header that"),
        (
            "/remotes/0/headers/0/name",
            json!("x-key"),
            "/remotes/0/headers/1/name: a header that stands twice",
        ),
        ("/remotes/0/headers/0/isRequired", json!("yes"), "/remotes/0/headers/0/isRequired: has to be true"),
        ("/remotes/0/variables/region/format", json!("url"), "/remotes/0/variables/region/format: \"url\""),
        ("/remotes/0/variables/region/choices", json!([1]), "/remotes/0/variables/region/choices/0: has"),
        ("/_meta", json!([]), "/_meta: has to be an object"),
    ] {
        let document = with(&full(), pointer, value);
        let faults = lines(&read(&bytes(&document), Options::default()).expect_err(pointer));
        assert!(faults.iter().any(|line| line.starts_with(place)), "{pointer}: {faults:?}");
        assert!(faults.iter().all(|line| line.ends_with("(publisher)")), "{faults:?}");
    }
}

#[test]
fn all_faults_are_told_and_not_the_first_alone() {
    let faults =
        lines(&read(&Bytes::from_static(b"{\"remotes\":[{}]}"), Options::default()).expect_err("no card"));
    assert_eq!(faults.len(), 5, "{faults:?}");
}

#[test]
fn hostile_documents_are_refused_in_a_bounded_way() {
    let many = json!({"remotes": vec![json!({}); 101]}).to_string();
    let members: String = (0..600).map(|n| format!("\"m{n}\":1,")).collect();
    for (name, text) in [
        ("no JSON", "{".to_owned()),
        ("a list", "[]".to_owned()),
        ("too large", format!("\"{}\"", "x".repeat(CARD_BYTES_MAX))),
        ("too deep", format!("{{\"x\":{}{}}}", "[".repeat(33), "]".repeat(33))),
        ("twice", r#"{"name":"a/b","name":"c/d"}"#.to_owned()),
        ("too many remotes", many),
        ("too many members", format!("{{{members}\"z\":1}}")),
        ("half a character", r#"{"name":"\ud800"}"#.to_owned()),
        ("other text after it", "{} {}".to_owned()),
    ] {
        let faults = read(&Bytes::from(text), Options::default()).expect_err(name);
        assert!(!faults.is_empty() && faults.len() <= discovery::FAULTS_MAX, "{name}");
        assert!(faults.iter().all(|fault| fault.to_string().len() < 600), "{name}");
    }
    assert!(read(&Bytes::from_static(b"\xff\xfe"), Options::default()).is_err());
}

fn with_auth(auth: &Value) -> Value {
    with(&full(), "/remotes/0/auth", auth.clone())
}

#[test]
fn declarations_of_authentication_mean_something_only_where_their_draft_is_read() {
    let auth = json!({
        "posture": "optional", "preferred": "oauth",
        "methods": [
            {"type": "oauth", "registration": "client-metadata", "clientCredential": "none",
             "endpoints": {"authorization": "/authorize", "token": "/token"}},
            {"type": "headers", "headers": [{"name": "Authorization", "value": "Bearer {t}",
             "variables": {"t": {"isSecret": true, "pattern": "^[a-z]+$", "maxLength": 40}}}]},
        ],
    });
    let document = with_auth(&auth);
    let kept = read(&bytes(&document), Options::default()).expect("a card").value;
    assert_eq!(kept.remotes[0].auth, None);
    assert_eq!(write(&kept).to_value(), document, "kept all the same");
    let card = read(&bytes(&document), Options { auth: true }).expect("a card").value;
    let read_auth = card.remotes[0].auth.as_ref().expect("read");
    assert_eq!(read_auth.posture, Posture::Optional);
    assert_eq!(read_auth.methods.len(), 2);
    let Method::Oauth { registration, .. } = &read_auth.methods[0] else { panic!("oauth") };
    assert_eq!(*registration, Registration::ClientMetadata);
    let again = read(&write(&card).bytes(), Options { auth: true }).expect("a card").value;
    assert_eq!(again, card);
}

#[test]
fn a_declaration_that_would_send_a_token_elsewhere_is_refused() {
    let oauth = |endpoints: Value, more: Value| {
        let mut method = json!({"type": "oauth", "registration": "dynamic", "endpoints": endpoints});
        if let (Some(method), Value::Object(more)) = (method.as_object_mut(), more) {
            method.extend(more);
        }
        json!({"methods": [method]})
    };
    for auth in [
        oauth(json!({"authorization": "https://a.example/a", "token": "https://b.example/t"}), json!({})),
        oauth(json!({"authorization": "http://a.example/a", "token": "http://a.example/t"}), json!({})),
        oauth(json!({"authorization": "/a", "token": "https://a.example/t"}), json!({})),
        oauth(json!({"authorization": "//b.example/a", "token": "//b.example/t"}), json!({})),
        oauth(json!({"authorization": "/a/../b", "token": "/t"}), json!({})),
        oauth(json!({"authorization": "/a", "token": "/t"}), json!({"headers": [{"name": "AUTHORIZATION"}]})),
        oauth(json!({"authorization": "/a", "token": "/t"}), json!({"registration": "magic"})),
        oauth(json!({"authorization": "/a", "token": "/t"}), json!({"clientCredential": "password"})),
        json!({"posture": "sometimes"}),
        json!({"posture": "none", "methods": [{"type": "headers", "headers": [{"name": "X"}]}]}),
        json!({"methods": [{"type": "headers", "headers": []}]}),
        json!({"preferred": "oauth", "methods": []}),
        json!({"methods": [{"type": "headers", "headers": [{"name": "X"}]},
                           {"type": "headers", "headers": [{"name": "Y"}]}]}),
    ] {
        assert!(read(&bytes(&with_auth(&auth)), Options { auth: true }).is_err(), "{auth}");
    }
    let unknown = json!({"methods": [{"type": "mtls"}]});
    let card = read(&bytes(&with_auth(&unknown)), Options { auth: true }).expect("the draft may grow");
    assert_eq!(card.value.remotes[0].auth.as_ref().map(|auth| auth.posture), Some(Posture::Required));
    assert_eq!(card.remarks.len(), 1);
    assert_eq!(
        write(&card.value).to_value()["remotes"][0]["auth"]["methods"],
        unknown["methods"],
        "and is kept"
    );
}
