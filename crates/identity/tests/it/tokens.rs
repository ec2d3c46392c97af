//! Tokens, good and hostile.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use identity::*;
use model::{ManualClock, Timestamp};
use serde_json::{Value, json};

use crate::forge::*;

#[tokio::test]
async fn a_token_of_a_trusted_issuer_for_this_endpoint_is_somebody() {
    let world = world();
    let token = world.forge.token(&claims(|_| {}));
    let caller = world.bearer(&token).await.unwrap();
    assert_eq!((caller.principal.tenant(), caller.principal.subject()), ("default", "corp:ann"));
    assert_eq!((caller.kind, caller.groups.as_slice()), (Kind::Person, ["sales".to_owned()].as_slice()));
    assert_eq!(caller.scopes, ["crm:read", "crm:write"]);
    assert_eq!(caller.client.as_deref(), Some("editor"));
    assert_eq!(caller.expires, Some(Timestamp((NOW + 300) * 1_000)));
    assert!(!format!("{caller:?}").contains(&token[token.len() - 20..]));
    // Nothing is asked for again.
    let asked = world.network.count();
    for n in 0..50 {
        let token = world.forge.token(&claims(|claims| claims["jti"] = json!(format!("t{n}"))));
        world.bearer(&token).await.unwrap();
    }
    assert_eq!((asked, world.network.count()), (2, 2));
}

#[tokio::test]
async fn a_token_that_is_not_for_this_endpoint_by_a_trusted_issuer_now_is_refused() {
    let world = world();
    type Change = fn(&mut Value);
    let bad: [(&str, Change, &str); 20] = [
        ("another endpoint", |c| c["aud"] = json!("https://gw.example/hr/mcp"), "another audience"),
        ("almost the endpoint", |c| c["aud"] = json!("https://gw.example/crm/mcp/"), "another audience"),
        ("the gateway alone", |c| c["aud"] = json!(URL), "another audience"),
        ("a client", |c| c["aud"] = json!("editor"), "another audience"),
        ("no audience", |c| drop(c.as_object_mut().unwrap().remove("aud")), "another audience"),
        ("audiences of others", |c| c["aud"] = json!(["a", "b", 3]), "another audience"),
        ("an odd audience", |c| c["aud"] = json!({"crm": CRM}), "another audience"),
        ("another issuer", |c| c["iss"] = json!("https://evil.example/"), "does not trust"),
        ("almost the issuer", |c| c["iss"] = json!("https://login.corp.example"), "does not trust"),
        ("no issuer", |c| drop(c.as_object_mut().unwrap().remove("iss")), "does not trust"),
        ("expired", |c| c["exp"] = json!(NOW - 61), "expired"),
        ("no end", |c| drop(c.as_object_mut().unwrap().remove("exp")), "expired"),
        ("an odd end", |c| c["exp"] = json!("2030"), "exp has not the form"),
        ("a negative end", |c| c["exp"] = json!(-1), "exp has not the form"),
        ("not yet", |c| c["nbf"] = json!(NOW + 61), "not valid yet"),
        ("from the future", |c| c["iat"] = json!(NOW + 61), "not valid yet"),
        ("an ID token", |c| c["nonce"] = json!("n"), "no access token"),
        ("an ID token", |c| c["at_hash"] = json!("n"), "no access token"),
        ("a refresh token", |c| c["typ"] = json!("Refresh"), "no access token"),
        ("nobody", |c| c["sub"] = json!(""), "no usable sub"),
    ];
    for (what, change, why) in bad {
        let (status, reason, text) = world.refused(&world.forge.token(&claims(change))).await;
        assert_eq!((status, reason), (401, Reason::BadToken), "{what}: {text}");
        assert!(text.contains(why), "{what}: {text}");
    }
    // Clocks may be a little apart.
    let skewed = world.forge.token(&claims(|c| {
        c["exp"] = json!(NOW - 59);
        c["nbf"] = json!(NOW + 59);
    }));
    world.bearer(&skewed).await.unwrap();
    world.bearer(&world.forge.token(&claims(|c| c["aud"] = json!(["x", CRM])))).await.unwrap();
}

#[tokio::test]
async fn a_token_that_its_issuer_has_not_signed_is_refused() {
    let world = world();
    let good = claims(|_| {});
    let token = world.forge.token(&good);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let thief = Forge::new(Algorithm::ES256, "k1");
    let stranger = Forge::new(Algorithm::ES256, "k2");
    let edwards = Forge::new(Algorithm::EdDSA, "k1");
    let none = |alg: &str| format!("{}.", unsigned(&json!({"alg": alg, "typ": "JWT"}), &good));
    let changed = {
        let claims = BASE64.encode(claims(|c| c["sub"] = json!("root")).to_string());
        format!("{}.{claims}.{signature}", signed.split('.').next().unwrap())
    };
    // The key's own bytes are public: whoever takes them for a secret lets everybody in.
    let confused = format!("{}.{signature}", unsigned(&json!({"alg": "HS256", "kid": "k1"}), &good));
    let own_key = thief.sign(&json!({"alg": "ES256", "typ": "JWT", "jwk": thief.bare()}), &good);
    let elsewhere =
        thief.sign(&json!({"alg": "ES256", "kid": "k1", "jku": "https://evil.example/jwks"}), &good);
    let critical =
        world.forge.sign(&json!({"alg": "ES256", "kid": "k1", "crit": ["b64"], "b64": false}), &good);
    for (what, token) in [
        ("none", none("none")),
        ("None", none("None")),
        ("no algorithm", none("")),
        ("key confusion", confused),
        ("another key of the same name", thief.token(&good)),
        ("an unknown key", stranger.token(&good)),
        ("another kind of key", edwards.token(&good)),
        ("a key of its own", own_key),
        ("a key elsewhere", elsewhere),
        ("critical", critical),
        ("changed claims", changed),
        ("no signature", format!("{signed}.")),
        ("half a signature", format!("{signed}.{}", &signature[..40])),
        ("a longer signature", format!("{token}AAAA")),
        ("three dots", format!("{token}.{signature}")),
        ("encrypted", format!("{token}.a.b")),
        ("no token", "x".to_owned()),
        ("dots", "..".to_owned()),
        ("a long one", "x".repeat(15_000)),
    ] {
        let (status, reason, text) = world.refused(&token).await;
        assert_eq!((status, reason), (401, Reason::BadToken), "{what}: {text}");
    }
    let (status, reason, _) = world.refused(&"x".repeat(20_000)).await;
    assert_eq!((status, reason), (400, Reason::BadRequest));
}

#[tokio::test]
async fn only_algorithms_of_the_operators_list_are_taken() {
    let world = world_with(|wanted| wanted.issuer.algorithms = vec![Algorithm::EdDSA]);
    let (_, _, text) = world.refused(&world.forge.token(&claims(|_| {}))).await;
    assert!(text.contains("algorithm that is not taken"), "{text}");
    assert_eq!(world.network.count(), 0, "nobody is asked about it");
    for symmetric in ["HS256", "HS384", "HS512", "none", "ES256K", ""] {
        assert_eq!(algorithm(symmetric), None, "{symmetric}");
    }
}

#[tokio::test]
async fn other_kinds_of_tokens_are_no_access_tokens() {
    let world = world();
    for typ in ["dpop+jwt", "oauth-id-jag+jwt", "logout+jwt", "secevent+jwt", "x"] {
        let token = world.forge.sign(&json!({"alg": "ES256", "kid": "k1", "typ": typ}), &claims(|_| {}));
        let (_, _, text) = world.refused(&token).await;
        assert!(text.contains("no access token"), "{typ}: {text}");
    }
    for typ in ["JWT", "at+jwt", "application/at+jwt", "AT+JWT"] {
        let token = world.forge.sign(&json!({"alg": "ES256", "kid": "k1", "typ": typ}), &claims(|_| {}));
        world.bearer(&token).await.unwrap();
    }
    let typed = world_with(|wanted| wanted.issuer.typed = true);
    let token = typed.forge.sign(&json!({"alg": "ES256", "kid": "k1", "typ": "JWT"}), &claims(|_| {}));
    let (_, _, text) = typed.refused(&token).await;
    assert!(text.contains("no access token"), "{text}");
}

#[tokio::test]
async fn who_proves_nothing_is_told_where_to_prove_himself() {
    let world =
        world_with(|wanted| wanted.rules.scopes = vec!["crm:read".to_owned(), "crm:write".to_owned()]);
    let denied = world.present(&[]).await.expect_err("a reason");
    assert_eq!((denied.status().as_u16(), denied.reason), (401, Reason::NoCredentials));
    let metadata = "resource_metadata=\"https://gw.example/.well-known/oauth-protected-resource/crm/mcp\"";
    let scope = "scope=\"crm:read crm:write\"";
    let expected =
        [format!("Bearer {metadata}, {scope}"), format!("DPoP {metadata}, {scope}, algs=\"ES256 EdDSA\"")];
    assert_eq!(challenges(&denied), expected);
    let token = world.forge.token(&claims(|c| c["scope"] = json!("crm:read openid")));
    let denied = world.bearer(&token).await.expect_err("a reason");
    assert_eq!((denied.status().as_u16(), denied.reason), (403, Reason::Scope));
    let bearer = &challenges(&denied)[0];
    assert!(bearer.starts_with("Bearer error=\"insufficient_scope\", "), "{bearer}");
    assert!(bearer.ends_with(scope), "all that it needs, and not only what is lacking: {bearer}");
    let denied = world.bearer("x.y").await.expect_err("a reason");
    assert!(challenges(&denied)[0].starts_with("Bearer error=\"invalid_token\", "));
}

#[tokio::test]
async fn credentials_in_another_form_are_refused() {
    let world = world();
    let token = world.forge.token(&claims(|_| {}));
    let good = format!("Bearer {token}");
    for (all, status) in [
        (vec![("authorization", "Bearer")], 400),
        (vec![("authorization", "Bearer  ")], 400),
        (vec![("authorization", &*token)], 400),
        (vec![("authorization", "Bearer a b")], 400),
        (vec![("authorization", "Bearer a,b")], 400),
        (vec![("authorization", "Basic YTpi")], 401),
        (vec![("authorization", "Negotiate x")], 401),
        (vec![("authorization", &*good), ("authorization", &*good)], 400),
    ] {
        let denied = world.present(&all).await.expect_err("a reason");
        assert_eq!(denied.status().as_u16(), status, "{all:?}");
    }
    let headers = headers(&[("authorization", &good)]);
    let query = format!("access_token={token}");
    let presented =
        Presented { base: URL, method: "POST", path: "/crm/mcp", query: Some(&query), headers: &headers };
    let denied = world.gate.admit("crm", &presented).await.expect_err("a reason");
    assert_eq!(denied.reason, Reason::BadRequest);
    world.present(&[("authorization", &format!("bearer {token}"))]).await.unwrap();
}

#[tokio::test]
async fn an_endpoint_that_allows_nobody_or_is_unknown_lets_nobody_in() {
    let world = world_with(|wanted| wanted.rules.allow.clear());
    let token = world.forge.token(&claims(|_| {}));
    assert_eq!(world.bearer(&token).await.expect_err("a reason").status().as_u16(), 401);
    assert_eq!(world.present(&[]).await.expect_err("a reason").status().as_u16(), 401);
    let none = headers(&[]);
    let presented = Presented { base: URL, method: "POST", path: "/x/mcp", query: None, headers: &none };
    assert_eq!(world.gate.admit("x", &presented).await.expect_err("a reason").status().as_u16(), 401);
    let caller = world.gate.admit("open", &presented).await.unwrap();
    assert_eq!(caller.kind, Kind::Anonymous);
}

#[tokio::test]
async fn a_bad_token_is_not_nobody_in_particular() {
    let world = world_with(|wanted| wanted.rules.allow.push(Allowed::Anonymous));
    assert_eq!(world.present(&[]).await.unwrap().kind, Kind::Anonymous);
    assert_eq!(world.refused("x.y.z").await.0, 401);
}

#[tokio::test]
async fn tenants_groups_and_kinds_are_read_as_the_operator_says() {
    let world = world_with(|wanted| {
        wanted.issuer.mapping = Mapping {
            tenant: Tenant::Claim(Claim("/org/0/id".to_owned())),
            subject: Claim("https://corp.example/uid".to_owned()),
            groups: Some(Claim("/realm_access/roles".to_owned())),
        };
    });
    let of = |change: fn(&mut Value)| {
        world.forge.token(&claims(|c| {
            c["org"] = json!([{"id": "acme"}]);
            c["https://corp.example/uid"] = json!("u1");
            c["realm_access"] = json!({"roles": ["a", "b"]});
            change(c);
        }))
    };
    let caller = world.bearer(&of(|_| {})).await.unwrap();
    assert_eq!(caller.principal.to_string(), "acme/corp:u1");
    assert_eq!(caller.groups, ["a", "b"]);
    let agent = of(|c| c["act"] = json!({"sub": "bot", "act": {"sub": "planner"}}));
    let agent = world.bearer(&agent).await.unwrap();
    assert_eq!((agent.kind, agent.actors.join(" ")), (Kind::Agent, "bot planner".to_owned()));
    let workload = of(|c| c["sub"] = json!("editor"));
    assert_eq!(world.bearer(&workload).await.unwrap().kind, Kind::Workload);
    let changes: [fn(&mut Value); 6] = [
        |c| c["org"] = json!([]),
        |c| c["org"] = json!([{"id": 7}]),
        |c| c["https://corp.example/uid"] = json!("a\u{0}b"),
        |c| c["https://corp.example/uid"] = json!("x".repeat(257)),
        |c| c["realm_access"] = json!({"roles": vec!["r"; 513]}),
        |c| c["act"] = json!({"name": "bot"}),
    ];
    for change in changes {
        assert_eq!(world.refused(&of(change)).await.0, 401);
    }
}

#[tokio::test]
async fn a_withdrawn_key_is_believed_for_a_minute_and_a_new_one_at_once() {
    let world = world();
    let old = world.forge.token(&claims(|c| c["exp"] = json!(NOW + 90_000)));
    world.bearer(&old).await.unwrap();
    let new = Forge::new(Algorithm::EdDSA, "k9");
    world.network.set("https://login.corp.example/jwks", 200, json!({"keys": [new.jwk()]}));
    world.clock.advance(Duration::from_secs(11));
    world.bearer(&new.token(&claims(|_| {}))).await.unwrap();
    let (status, _, text) = world.refused(&world.forge.token(&claims(|c| c["jti"] = json!("t2")))).await;
    assert!(status == 401 && text.contains("does not publish"), "{text}");
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(world.refused(&old).await.0, 401);
}

#[tokio::test]
async fn random_key_names_do_not_make_the_gateway_hammer_an_issuer() {
    let world = world();
    world.bearer(&world.forge.token(&claims(|_| {}))).await.unwrap();
    let before = world.network.count();
    for n in 0..200 {
        let stranger = Forge::new(Algorithm::EdDSA, &format!("random {n}"));
        assert_eq!(world.refused(&stranger.token(&claims(|_| {}))).await.0, 401);
        world.clock.advance(Duration::from_millis(100));
    }
    // Twenty seconds have passed.
    assert!(world.network.count() - before <= 3, "{}", world.network.count() - before);
}

#[tokio::test]
async fn many_at_once_ask_an_issuer_for_its_keys_once() {
    let world = world();
    let tokens: Vec<String> =
        (0..40).map(|n| world.forge.token(&claims(|c| c["jti"] = json!(format!("{n}"))))).collect();
    let mut all = tokio::task::JoinSet::new();
    let world = std::sync::Arc::new(world);
    for token in tokens {
        let world = std::sync::Arc::clone(&world);
        all.spawn(async move { world.bearer(&token).await.map(drop) });
    }
    for done in all.join_all().await {
        done.unwrap();
    }
    assert_eq!(world.network.count(), 2, "its metadata and its keys");
}

#[tokio::test]
async fn an_issuer_that_is_down_is_believed_for_an_hour_and_then_nobody_comes_in() {
    let world = world();
    let token = |n: u64| {
        world.forge.token(&claims(|c| {
            c["jti"] = json!(n);
            c["exp"] = json!(NOW + 90_000);
        }))
    };
    world.bearer(&token(1)).await.unwrap();
    world.network.down.store(true, Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(3_500));
    world.bearer(&token(2)).await.unwrap();
    world.clock.advance(Duration::from_secs(101));
    let (status, reason, text) = world.refused(&token(3)).await;
    assert_eq!((status, reason), (503, Reason::Unavailable), "{text}");
    assert!(!text.contains("login"), "what is wrong inside is not told: {text}");
    let asked = world.network.count();
    assert_eq!(world.refused(&token(4)).await.0, 503);
    assert_eq!(world.network.count(), asked, "it rests between two tries");
    world.network.down.store(false, Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(11));
    world.bearer(&token(5)).await.unwrap();
}

#[tokio::test]
async fn hostile_metadata_and_keys_let_nobody_in() {
    let well_known = "https://login.corp.example/.well-known/oauth-authorization-server";
    let jwks = "https://login.corp.example/jwks";
    let modulus = |bits: usize| BASE64.encode(vec![0xff; bits / 8]);
    let rsa = |bits| json!({"kty": "RSA", "n": modulus(bits), "e": "AQAB", "kid": "k1"});
    let documents = [
        (well_known, json!({"issuer": "https://login.corp.example", "jwks_uri": jwks}).to_string()),
        (well_known, json!({"issuer": "https://evil.example/", "jwks_uri": jwks}).to_string()),
        (well_known, json!({"jwks_uri": jwks}).to_string()),
        (well_known, json!({"issuer": CORP}).to_string()),
        (well_known, json!({"issuer": CORP, "jwks_uri": 7}).to_string()),
        (well_known, json!({"issuer": CORP, "jwks_uri": "file:///etc/passwd"}).to_string()),
        (well_known, "[]".to_owned()),
        (well_known, "<html>".to_owned()),
        (jwks, "{}".to_owned()),
        (jwks, json!({"keys": {}}).to_string()),
        (jwks, json!({"keys": []}).to_string()),
        (jwks, json!({"keys": [null, 7, {}, {"kty": "oct", "k": "AAAA", "kid": "k1"}]}).to_string()),
        (
            jwks,
            json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "kid": "k1"}]}).to_string(),
        ),
        (jwks, json!({"keys": [rsa(1_024), rsa(16_384)]}).to_string()),
    ];
    for (url, page) in documents {
        let world = world();
        world.network.set(url, 200, &page);
        let (status, ..) = world.refused(&world.forge.token(&claims(|_| {}))).await;
        assert_eq!(status, 503, "{page}");
    }
    for usage in [
        json!({"use": "enc"}),
        json!({"key_ops": ["encrypt"]}),
        json!({"alg": "ES384"}),
        json!({"alg": "HS256"}),
    ] {
        let world = world();
        let mut key = world.forge.bare();
        key["kid"] = json!("k1");
        for (name, value) in usage.as_object().unwrap() {
            key[name] = value.clone();
        }
        let other = Forge::new(Algorithm::ES256, "other").jwk();
        world.network.set(jwks, 200, json!({"keys": [key, other]}));
        let (status, ..) = world.refused(&world.forge.token(&claims(|_| {}))).await;
        assert_eq!(status, 401, "{usage}");
    }
}

#[tokio::test]
async fn a_token_that_says_nothing_is_asked_about() {
    let world = world_with(|wanted| {
        wanted.issuer.introspection = Some(Introspection {
            url: Some("https://login.corp.example/introspect".parse().unwrap()),
            client_id: "gate way".to_owned(),
            client_secret: "s:ecret".to_owned(),
        });
    });
    let place = "https://login.corp.example/introspect";
    let mut says = claims(|c| drop(c.as_object_mut().unwrap().remove("iss")));
    says["active"] = json!(true);
    world.network.set(place, 200, &says);
    let caller = world.bearer("opaque-1").await.unwrap();
    assert_eq!(caller.principal.subject(), "corp:ann");
    world.bearer("opaque-1").await.unwrap();
    assert_eq!(world.network.count(), 1, "it is remembered for a moment");
    let asked = world.network.requests.lock().unwrap()[0].clone();
    assert_eq!(asked.headers()["authorization"], format!("Basic {}", base64("gate+way:s%3Aecret")));
    assert_eq!(asked.body().as_ref(), b"token=opaque-1&token_type_hint=access_token");
    world.clock.advance(Duration::from_secs(31));
    world.network.set(place, 200, json!({"active": false}));
    assert_eq!(world.refused("opaque-1").await.0, 401);
    says["aud"] = json!("https://gw.example/hr/mcp");
    world.network.set(place, 200, &says);
    assert_eq!(world.refused("opaque-2").await.0, 401);
    world.clock.advance(Duration::from_secs(1));
    for page in ["", "{}", "[]", r#"{"active":"true"}"#] {
        world.network.set(place, 200, page);
        assert_eq!(world.refused("opaque-3").await.0, 503, "{page}");
    }
    world.network.set(place, 401, "");
    assert_eq!(world.refused("opaque-3").await.0, 503);
    // A client's own token has no subject; a user's that is not named by `sub` is nobody's.
    says["aud"] = json!(CRM);
    says.as_object_mut().unwrap().remove("sub");
    world.network.set(place, 200, &says);
    let caller = world.bearer("opaque-4").await.unwrap();
    assert_eq!((caller.principal.subject(), caller.kind), ("corp:editor", Kind::Workload));
    says["username"] = json!("ann");
    world.network.set(place, 200, &says);
    assert_eq!(world.refused("opaque-5").await.0, 401);
}

#[tokio::test]
async fn an_issuer_is_asked_once_for_everybody_who_comes_with_the_same_token() {
    let world = world_with(|wanted| {
        wanted.issuer.introspection = Some(Introspection {
            url: Some("https://login.corp.example/introspect".parse().unwrap()),
            client_id: "gateway".to_owned(),
            client_secret: "secret".to_owned(),
        });
    });
    let place = "https://login.corp.example/introspect";
    let mut says = claims(|c| drop(c.as_object_mut().unwrap().remove("iss")));
    says["active"] = json!(true);
    world.network.set(place, 200, &says);
    let all = futures_util::future::join_all((0..50).map(|_| world.bearer("opaque"))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(world.network.count(), 1);
    world.network.set(place, 200, json!({"active": false}));
    let all = futures_util::future::join_all((0..50).map(|_| world.bearer("unknown"))).await;
    assert!(all.iter().all(Result::is_err));
    assert_eq!(world.network.count(), 2, "nor is it asked again at once about one that it does not know");
}

fn base64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test]
async fn who_is_barred_is_refused_also_by_what_was_found_good_a_moment_ago() {
    let barred = Arc::new(Barred::new(Arc::new(ManualClock::at(Timestamp(NOW * 1_000)))));
    let new = NewKey::generate(&seal::SystemRng);
    let key = ApiKey {
        id: new.id.clone(),
        hash: new.hash,
        tenant: "default".to_owned(),
        groups: Vec::new(),
        scopes: Vec::new(),
        endpoints: vec!["crm".to_owned()],
        not_before: None,
        expires: None,
    };
    let mut world = world_with(|wanted| wanted.keys = ApiKeys::new([key]));
    world.gate = world.gate.barring(Arc::clone(&barred));
    let token = world.forge.token(&claims(|_| {}));
    let ann = world.bearer(&token).await.unwrap();
    let robot = world.bearer(&new.text).await.unwrap();
    assert!(world.gate.still("crm", &ann) && world.gate.still("crm", &robot));
    let end = Timestamp(u64::MAX);
    for caller in [&ann, &robot] {
        let (tenant, subject) = (caller.principal.tenant(), caller.principal.subject());
        let (tenant, subject) = (tenant.to_owned(), subject.to_owned());
        barred.add(&Bar { tenant, subject, grant: None, before: end, until: end });
        assert!(!world.gate.still("crm", caller));
    }
    for proof in [&token, &new.text] {
        let denied = world.bearer(proof).await.unwrap_err();
        assert_eq!((denied.status().as_u16(), denied.reason), (401, Reason::BadToken));
        assert_eq!(denied.text, "the user was disabled, or has lost this grant");
        assert!(challenges(&denied)[0].contains("invalid_token"), "{denied:?}");
    }
    let ben = world.forge.token(&claims(|claims| claims["sub"] = json!("ben")));
    world.bearer(&ben).await.unwrap();
}

#[tokio::test]
async fn whoever_is_let_in_by_a_token_is_remembered_as_seen() {
    let seen = Arc::new(Seen::default());
    let mut world = world();
    world.gate = world.gate.seeing(Arc::clone(&seen));
    world.bearer(&world.forge.token(&claims(|_| {}))).await.unwrap();
    let other = world.forge.token(&claims(|claims| claims["exp"] = json!(NOW - 600)));
    world.bearer(&other).await.unwrap_err();
    assert_eq!(seen.of("corp"), [model::Principal::new("default", "corp:ann")]);
}
