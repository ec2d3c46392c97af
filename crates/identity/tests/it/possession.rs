//! Tokens that are bound to a key.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use identity::*;
use serde_json::{Value, json};

use crate::forge::*;

fn bound(world: &World, key: &Forge) -> String {
    world.forge.token(&claims(|c| c["cnf"] = json!({"jkt": key.thumbprint()})))
}

async fn dpop(world: &World, token: &str, proof: &str) -> Result<(), Denied> {
    world.present(&[("authorization", &format!("DPoP {token}")), ("dpop", proof)]).await.map(drop)
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_key_is_good_with_a_proof_of_it() {
    let world = world();
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA] {
        let key = Forge::new(algorithm, "client");
        let token = bound(&world, &key);
        dpop(&world, &token, &key.proof(&token, |_, _| {})).await.unwrap();
        let with_query =
            key.proof(&token, |_, claims| claims["htu"] = json!("https://GW.example:443/crm/mcp?x#y"));
        dpop(&world, &token, &with_query).await.unwrap();
    }
}

#[tokio::test]
async fn a_proof_for_something_else_or_by_somebody_else_is_refused() {
    let world = world();
    let (key, thief) = (Forge::new(Algorithm::ES256, "client"), Forge::new(Algorithm::ES256, "thief"));
    let token = bound(&world, &key);
    type Change = fn(&mut Value, &mut Value);
    let bad: [(&str, Change); 19] = [
        ("typ", |h, _| h["typ"] = json!("JWT")),
        ("no typ", |h, _| drop(h.as_object_mut().unwrap().remove("typ"))),
        ("no key", |h, _| drop(h.as_object_mut().unwrap().remove("jwk"))),
        ("a private key", |h, _| h["jwk"]["d"] = json!("AAAA")),
        ("a symmetric key", |h, _| h["jwk"] = json!({"kty": "oct", "k": "AAAA"})),
        ("an odd key", |h, _| h["jwk"] = json!("x")),
        ("method", |_, c| c["htm"] = json!("GET")),
        ("method in lower case", |_, c| c["htm"] = json!("post")),
        ("no method", |_, c| drop(c.as_object_mut().unwrap().remove("htm"))),
        ("URL", |_, c| c["htu"] = json!("https://gw.example/hr/mcp")),
        ("scheme", |_, c| c["htu"] = json!("http://gw.example/crm/mcp")),
        ("another token", |_, c| c["ath"] = json!(BASE64.encode(seal::sha256(b"x")))),
        ("no token", |_, c| drop(c.as_object_mut().unwrap().remove("ath"))),
        ("old", |_, c| c["iat"] = json!(NOW - 301)),
        ("from the future", |_, c| c["iat"] = json!(NOW + 301)),
        ("no time", |_, c| drop(c.as_object_mut().unwrap().remove("iat"))),
        ("no name", |_, c| drop(c.as_object_mut().unwrap().remove("jti"))),
        ("an empty name", |_, c| c["jti"] = json!("")),
        ("a long name", |_, c| c["jti"] = json!("x".repeat(257))),
    ];
    for (what, change) in bad {
        let denied = dpop(&world, &token, &key.proof(&token, change)).await.expect_err(what);
        assert_eq!((denied.status().as_u16(), denied.reason), (401, Reason::BadProof), "{what}");
        assert!(challenges(&denied)[0].starts_with("DPoP error=\"invalid_dpop_proof\""), "{denied:?}");
    }
    let mixed = thief.proof(&token, |header, _| header["jwk"] = key.bare());
    for proof in [thief.proof(&token, |_, _| {}), mixed, "x.y.z".to_owned(), String::new()] {
        let denied = dpop(&world, &token, &proof).await.expect_err("a reason");
        assert_eq!(denied.status().as_u16(), 401);
    }
}

#[tokio::test]
async fn a_proof_is_good_once() {
    let world = world();
    let key = Forge::new(Algorithm::ES256, "client");
    let token = bound(&world, &key);
    let proof = key.proof(&token, |_, _| {});
    dpop(&world, &token, &proof).await.unwrap();
    let denied = dpop(&world, &token, &proof).await.expect_err("a reason");
    assert!(denied.text.contains("used before"), "{}", denied.text);
    // Signed anew it has the same name.
    let again = key.proof(&token, |_, claims| claims["jti"] = json!("one"));
    dpop(&world, &token, &again).await.unwrap();
    let again = key.proof(&token, |_, claims| claims["jti"] = json!("one"));
    assert!(dpop(&world, &token, &again).await.is_err());
}

#[tokio::test]
async fn a_bound_token_is_no_bearer_token_and_an_unbound_one_needs_no_proof() {
    let world = world();
    let key = Forge::new(Algorithm::ES256, "client");
    let token = bound(&world, &key);
    let (status, reason, _) = world.refused(&token).await;
    assert_eq!((status, reason), (401, Reason::BadProof));
    let plain = world.forge.token(&claims(|_| {}));
    world.bearer(&plain).await.unwrap();
    let denied = dpop(&world, &plain, &key.proof(&plain, |_, _| {})).await.expect_err("a reason");
    assert_eq!(denied.reason, Reason::BadToken);
    let proof = key.proof(&token, |_, _| {});
    let all = [("authorization", &*format!("DPoP {token}")), ("dpop", &*proof), ("dpop", &*proof)];
    assert!(world.present(&all).await.is_err());
    for confirmation in
        [json!({"x5t#S256": "abc"}), json!({"jkt": 7}), json!("x"), json!({"jkt": "a", "x": 1})]
    {
        let odd = world.forge.token(&claims(|c| c["cnf"] = confirmation.clone()));
        assert_eq!(world.refused(&odd).await.0, 401, "{confirmation}");
    }
}

#[tokio::test]
async fn where_possession_is_required_a_token_alone_is_not_enough() {
    let world = world_with(|wanted| wanted.rules.possession = Possession::Required);
    let (status, reason, _) = world.refused(&world.forge.token(&claims(|_| {}))).await;
    assert_eq!((status, reason), (401, Reason::BadToken));
    let denied = world.present(&[]).await.expect_err("a reason");
    assert!(challenges(&denied).iter().all(|challenge| challenge.starts_with("DPoP ")), "{denied:?}");
    let key = Forge::new(Algorithm::EdDSA, "client");
    let token = bound(&world, &key);
    dpop(&world, &token, &key.proof(&token, |_, _| {})).await.unwrap();
}

#[tokio::test]
async fn a_nonce_is_asked_for_and_good_for_a_while_at_any_replica() {
    let world = world_with(|wanted| wanted.dpop.nonces = true);
    let key = Forge::new(Algorithm::ES256, "client");
    let token = bound(&world, &key);
    let denied = dpop(&world, &token, &key.proof(&token, |_, _| {})).await.expect_err("a reason");
    assert_eq!((denied.status().as_u16(), denied.reason), (401, Reason::Nonce));
    assert!(challenges(&denied)[0].starts_with("DPoP error=\"use_dpop_nonce\""));
    let nonce =
        denied.headers.iter().find(|(name, _)| name == "dpop-nonce").unwrap().1.to_str().unwrap().to_owned();
    let with = |nonce: &str, at: u64| {
        key.proof(&token, |_, claims| {
            claims["nonce"] = json!(nonce);
            claims["iat"] = json!(at);
        })
    };
    dpop(&world, &token, &with(&nonce, NOW)).await.unwrap();
    let mut bytes = BASE64.decode(&nonce).unwrap();
    bytes[9] ^= 1;
    for bad in ["", "x", &BASE64.encode(&bytes), &nonce[1..]] {
        let denied = dpop(&world, &token, &with(bad, NOW)).await.expect_err("a reason");
        assert_eq!(denied.reason, Reason::Nonce, "{bad}");
    }
    world.clock.advance(Duration::from_secs(301));
    let denied = dpop(&world, &token, &with(&nonce, NOW + 301)).await.expect_err("a reason");
    assert_eq!(denied.reason, Reason::Nonce);
}
