//! What clients and operators are told.

use identity::*;
use serde_json::json;

use crate::forge::*;

#[tokio::test]
async fn an_endpoint_says_who_issues_tokens_for_it() {
    let world = world_with(|wanted| wanted.rules.scopes = vec!["crm:read".to_owned()]);
    let document = world.gate.metadata("crm", URL, "/crm/mcp").unwrap();
    assert_eq!(
        document,
        json!({
            "resource": CRM,
            "authorization_servers": [CORP],
            "bearer_methods_supported": ["header"],
            "dpop_signing_alg_values_supported": ["ES256", "EdDSA"],
            "scopes_supported": ["crm:read"],
        })
    );
    assert_eq!(world.gate.metadata("open", URL, "/open/mcp"), None);
    assert_eq!(world.gate.metadata("nothing", URL, "/nothing/mcp"), None);
    let none = headers(&[]);
    let presented = Presented { base: URL, method: "POST", path: "/crm/mcp", query: None, headers: &none };
    let denied = world.gate.insufficient("crm", &presented, &["crm:admin".to_owned()]);
    assert_eq!(denied.status().as_u16(), 403);
    assert!(challenges(&denied)[0].contains("scope=\"crm:admin\""));
}

#[tokio::test]
async fn a_decision_is_explained_without_its_secrets() {
    let world = world();
    let token = world.forge.token(&claims(|_| {}));
    let good = headers(&[("authorization", &format!("Bearer {token}"))]);
    let presented = Presented { base: URL, method: "POST", path: "/crm/mcp", query: None, headers: &good };
    let explained = world.gate.explain("crm", &presented, identity::Terms::default()).await;
    let what: Vec<_> = explained.steps.iter().map(|step| step.what).collect();
    let all =
        ["credentials", "issuer", "kind", "signature", "audience", "time", "mapping", "possession", "scopes"];
    assert_eq!(what, all);
    let text = explained.to_value().to_string();
    assert!(text.contains("corp:ann") && !text.contains(&token[10..40]), "{text}");
    let token = world.forge.token(&claims(|c| c["aud"] = json!("x")));
    let bad = headers(&[("authorization", &format!("Bearer {token}"))]);
    let presented = Presented { base: URL, method: "POST", path: "/crm/mcp", query: None, headers: &bad };
    let explained = world.gate.explain("crm", &presented, identity::Terms::default()).await;
    let last = explained.steps.last().unwrap();
    assert!(!last.passed && last.found.contains("another audience"), "{explained:?}");
    assert_eq!(explained.caller, None);
}

#[tokio::test]
async fn what_is_explained_is_what_is_decided() {
    let world = world_with(|wanted| wanted.rules.scopes = vec!["crm:read".to_owned()]);
    let stranger = Forge::new(Algorithm::ES256, "k1");
    let mut all: Vec<Option<String>> = vec![None, Some(String::new()), Some("x.y.z".to_owned())];
    type Change = fn(&mut serde_json::Value);
    let changes: [Change; 8] = [
        |_| {},
        |c| c["aud"] = json!("https://gw.example/hr/mcp"),
        |c| c["iss"] = json!("https://evil.example/"),
        |c| c["exp"] = json!(NOW - 100),
        |c| c["nbf"] = json!(NOW + 100),
        |c| c["scope"] = json!("other"),
        |c| c["sub"] = json!(7),
        |c| c["nonce"] = json!("n"),
    ];
    for change in changes {
        all.push(Some(world.forge.token(&claims(change))));
        all.push(Some(stranger.token(&claims(change))));
    }
    let (mut let_in, mut refused) = (0, 0);
    for token in all {
        let own = token.as_ref().map(|token| ("authorization", format!("Bearer {token}")));
        let own: Vec<(&str, &str)> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let own = headers(&own);
        for endpoint in ["crm", "open", "nothing"] {
            let presented =
                Presented { base: URL, method: "POST", path: "/crm/mcp", query: None, headers: &own };
            let explained = world.gate.explain(endpoint, &presented, identity::Terms::default()).await;
            let admitted = world.gate.admit(endpoint, &presented).await;
            assert_eq!(explained.caller.is_some(), admitted.is_ok(), "{endpoint}: {explained:?}");
            let same = admitted.as_ref().ok().map(|caller| caller.principal.clone());
            assert_eq!(explained.caller.map(|caller| caller.principal), same);
            *(if admitted.is_ok() { &mut let_in } else { &mut refused }) += 1;
        }
    }
    assert!(let_in > 10 && refused > 10, "{let_in} {refused}");
}
